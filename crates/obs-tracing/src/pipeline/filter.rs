//! Which spans and events are kept, changeable at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use obs_model::Level;
use parking_lot::RwLock;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{Directive, EnvFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};

use crate::Error;

/// The filter as it is at the moment.
enum Filter {
    /// Levels per target: decided once for each place in the code, so that it costs nothing afterwards.
    Static(Targets),
    /// Directives on spans and their fields, which must be looked at each time.
    Dynamic(Box<EnvFilter>),
}

impl Filter {
    /// Reads a level or directives.
    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let directives: Vec<&str> =
            split_directives(text).map(str::trim).filter(|part| !part.is_empty()).collect();
        if directives.is_empty() {
            problems.push("the filter is empty".to_owned());
        }
        let is_dynamic = text.contains('[');
        for directive in &directives {
            if let Err(reason) = check(directive) {
                problems.push(format!("{directive:?} is not a directive ({reason})"));
            }
        }
        if problems.is_empty() {
            let parsed = if is_dynamic { dynamic(&directives) } else { fixed(&directives) };
            match parsed {
                Ok(filter) => return Ok(filter),
                Err(reason) => problems.push(format!("{text:?} cannot be read ({reason})")),
            }
        }
        problems.push(
            "expected off, error, warn, info, debug, trace, or directives such as \
             info,my_crate=debug,[my_span{field=value}]=trace"
                .to_owned(),
        );
        Err(problems)
    }

    fn max_level(&self) -> LevelFilter {
        match self {
            Self::Static(targets) => {
                targets.iter().map(|(_, level)| level).max().unwrap_or(LevelFilter::OFF).max(
                    // OK because the default level is not among the targets.
                    targets.default_level().unwrap_or(LevelFilter::OFF),
                )
            }
            Self::Dynamic(filter) => {
                Layer::<Registry>::max_level_hint(&**filter).unwrap_or(LevelFilter::TRACE)
            }
        }
    }
}

/// Says whether a text is a filter as [`LogConfig::filter`](crate::LogConfig::filter) takes it, without installing
/// anything.
///
/// # Errors
///
/// [`Error::is_config`]: every directive that is not one.
pub fn check_filter(text: &str) -> Result<(), Error> {
    Filter::parse(text).map(drop).map_err(Error::config)
}

/// Splits at commas that are not inside `[…]`.
fn split_directives(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |character| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
}

/// Reads directives on targets alone.
fn fixed(directives: &[&str]) -> Result<Filter, String> {
    directives.join(",").parse().map(Filter::Static).map_err(|error| format!("{error}"))
}

/// Reads directives some of which are on spans. They are added one by one, because the parser for several
/// splits also at the commas between fields.
fn dynamic(directives: &[&str]) -> Result<Filter, String> {
    let nothing = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).parse("");
    let mut filter = nothing.map_err(|error| error.to_string())?;
    for directive in directives {
        let directive: Directive =
            directive.parse().map_err(|error| format!("{directive:?}: {error}"))?;
        filter = filter.add_directive(directive);
    }
    Ok(Filter::Dynamic(Box::new(filter)))
}

/// Whether one directive can be read: more strictly than the parsers, which take almost any text for a
/// target and so turn a misspelt level into silence.
fn check(directive: &str) -> Result<(), String> {
    let (before, after) = match (directive.find('['), directive.rfind(']')) {
        (Some(open), Some(close)) if open < close => (&directive[..open], &directive[close + 1..]),
        (None, None) => directive.split_at(directive.find('=').unwrap_or(directive.len())),
        _ => return Err("unbalanced brackets".to_owned()),
    };
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"_:.-/".contains(&byte);
    if !before.bytes().all(is_path) {
        return Err("unexpected character in the target".to_owned());
    }
    let level = after.strip_prefix('=').unwrap_or(after);
    if (!after.is_empty() && !is_level(level)) || (after.is_empty() && is_level_misspelt(before)) {
        return Err("unknown level".to_owned());
    }
    directive.parse::<Directive>().map(drop).map_err(|error| error.to_string())
}

fn is_level(text: &str) -> bool {
    !text.is_empty() && text.parse::<LevelFilter>().is_ok()
}

/// A target without a level has an underscore or a path; a bare word is meant as a level.
fn is_level_misspelt(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !is_level(text)
}

struct Shared {
    filter: RwLock<(Filter, String)>,
    is_dynamic: AtomicBool,
    span_level: LevelFilter,
    /// Whether `log::max_level` follows the filter.
    #[cfg(feature = "log")]
    follows_log_crate: AtomicBool,
}

/// The filter's layer and, cloned, its handle.
///
/// Only the filter is exchanged, never a layer, so that per-span data of other layers stays valid.
#[derive(Clone)]
pub(crate) struct LevelControl(Arc<Shared>);

impl LevelControl {
    /// Reads the first filter; `Err` is everything that is wrong with it.
    pub(crate) fn new(filter: &str, span_level: Level) -> Result<Self, Vec<String>> {
        let parsed = Filter::parse(filter)?;
        Ok(Self(Arc::new(Shared {
            is_dynamic: AtomicBool::new(matches!(parsed, Filter::Dynamic(_))),
            filter: RwLock::new((parsed, filter.to_owned())),
            span_level: level_filter(span_level),
            #[cfg(feature = "log")]
            follows_log_crate: AtomicBool::new(false),
        })))
    }

    /// The filter's text.
    pub(crate) fn text(&self) -> String {
        self.0.filter.read().1.clone()
    }

    /// Exchanges the filter; a text that cannot be read changes nothing.
    pub(crate) fn set(&self, text: &str) -> Result<(), Error> {
        let parsed = Filter::parse(text).map_err(Error::config)?;
        self.0.is_dynamic.store(matches!(parsed, Filter::Dynamic(_)), Ordering::Relaxed);
        *self.0.filter.write() = (parsed, text.to_owned());
        #[cfg(feature = "log")]
        if self.follows_log_crate() {
            crate::log_crate::set_max_level(self.0.filter.read().0.max_level());
        }
        // OK because the lock is free again: this asks every layer for its interest in every place.
        tracing_core::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Lets `log::max_level` follow the filter from now on.
    #[cfg(feature = "log")]
    pub(crate) fn follow_log_crate(&self) {
        self.0.follows_log_crate.store(true, Ordering::Relaxed);
        crate::log_crate::set_max_level(self.0.filter.read().0.max_level());
    }

    /// Whether `log::max_level` follows the filter.
    #[cfg(feature = "log")]
    pub(crate) fn follows_log_crate(&self) -> bool {
        self.0.follows_log_crate.load(Ordering::Relaxed)
    }

    fn keeps_span(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= self.0.span_level
    }

    /// Whether the filter depends on spans, so that it must be told of them.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.0.is_dynamic.load(Ordering::Relaxed)
    }

    /// Looks at the filter when it depends on spans.
    fn with_dynamic(&self, look: impl FnOnce(&EnvFilter)) {
        if self.is_dynamic()
            && let Filter::Dynamic(filter) = &self.0.filter.read().0
        {
            look(filter);
        }
    }
}

fn level_filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    }
}

impl<S: Subscriber> Layer<S> for LevelControl {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let decided = match &self.0.filter.read().0 {
            Filter::Static(targets)
                if targets.would_enable(metadata.target(), metadata.level()) =>
            {
                Interest::always()
            }
            Filter::Static(_) => Interest::never(),
            Filter::Dynamic(filter) => Layer::<S>::register_callsite(&**filter, metadata),
        };
        if self.keeps_span(metadata) { Interest::always() } else { decided }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        self.keeps_span(metadata)
            || match &self.0.filter.read().0 {
                Filter::Static(targets) => {
                    targets.would_enable(metadata.target(), metadata.level())
                }
                Filter::Dynamic(filter) => Layer::<S>::enabled(&**filter, metadata, ctx),
            }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.filter.read().0.max_level().max(self.0.span_level))
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        self.with_dynamic(|filter| filter.on_new_span(attrs, id, ctx));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        self.with_dynamic(|filter| filter.on_record(id, values, ctx));
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        self.with_dynamic(|filter| filter.on_enter(id, ctx));
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        self.with_dynamic(|filter| filter.on_exit(id, ctx));
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.with_dynamic(|filter| filter.on_close(id, ctx));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_read_and_every_mistake_is_named() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,hyper=warn",
            "my_crate::db=trace, debug",
            "[http.request{path=/x}]=trace,info",
            "info,[a{b=1,c=2}]=debug",
        ] {
            assert!(Filter::parse(good).is_ok(), "{good}");
        }
        for (bad, named) in [
            ("", "empty"),
            ("infos", "\"infos\""),
            ("a=", "\"a=\""),
            ("info,[x=debug", "\"[x=debug\""),
            ("info,my_crate=loud,x=wat", "\"x=wat\""),
            ("info,my_crate=loud,x=wat", "\"my_crate=loud\""),
        ] {
            let problems = Filter::parse(bad).err().expect(bad).join("; ");
            assert!(problems.contains(named), "{bad}: {problems}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_leaves_the_old_one() {
        let control = LevelControl::new("debug", Level::Info).unwrap();
        assert!(control.set("nonsense!=").unwrap_err().is_config());
        assert_eq!(control.text(), "debug");
        control.set("warn").unwrap();
        assert_eq!(control.text(), "warn");
        let hint = Layer::<Registry>::max_level_hint(&control);
        assert_eq!(hint, Some(LevelFilter::INFO));
    }
}
