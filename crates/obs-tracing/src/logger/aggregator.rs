//! Events that are made at run time, and what takes, counts and renders them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use obs_model::{Clock, Context, FieldValue, Level, Redactor, SystemClock, Timestamp};
use tracing::Span;

use super::outputs::{self, Outputs};
use super::{LogDetails, write};
use crate::Error;
use crate::config::LogFormat;
use crate::counters;
use crate::fields::FieldRules;
use crate::fields::keys::{IdField, Key};
use crate::line::{Head, LineRules, Scratch};
use crate::sink::{LineHead, LogSink};
use crate::spans::ids::{SpanIds, effective};

/// Something to be logged, put together at run time.
///
/// ```
/// use obs_model::Level;
/// use obs_tracing::LogEvent;
///
/// let event = LogEvent::new(Level::Warn, "disk is filling up").user("u-17").with("free_bytes", 1_024_u64);
/// assert_eq!((event.level(), event.message()), (Level::Warn, "disk is filling up"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    level: Level,
    message: Cow<'static, str>,
    service: Option<Arc<str>>,
    user: Option<Arc<str>>,
    agent: Option<Arc<str>>,
    request: Option<Arc<str>>,
    fields: Vec<(Cow<'static, str>, FieldValue)>,
}

impl LogEvent {
    /// An event with nothing but a message.
    #[must_use]
    pub fn new(level: Level, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self {
            level,
            message,
            service: None,
            user: None,
            agent: None,
            request: None,
            fields: Vec::new(),
        }
    }

    /// For another service than the aggregator's.
    #[must_use]
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// For this user, when it is not the current context's.
    #[must_use]
    pub fn user(mut self, id: impl Into<Arc<str>>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Of this agent, when it is not the current context's.
    #[must_use]
    pub fn agent(mut self, id: impl Into<Arc<str>>) -> Self {
        self.agent = Some(id.into());
        self
    }

    /// For this request, when it is not the current context's.
    #[must_use]
    pub fn request(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request = Some(id.into());
        self
    }

    /// With one more member of `metadata`.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<FieldValue>) -> Self {
        self.fields.push((key.into(), value.into()));
        self
    }

    /// How important it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Its own members of `metadata`, in the order in which they were added.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.fields.iter().map(|(key, value)| (&**key, value))
    }
}

/// Takes events of one service: drops what is not important enough, adds what every line says, counts, and hands the rest
/// to the pipeline of the process, whose outputs and sinks write it, or to [outputs](Self::with_outputs) of its own.
///
/// ```
/// use obs_model::{Level, Timestamp};
/// use obs_tracing::{LogAggregator, LogEvent};
///
/// let logs = LogAggregator::new("billing").with_level(Level::Info).with_field("region", "eu");
/// assert!(logs.log(&LogEvent::new(Level::Warn, "slow")));
/// assert!(!logs.log(&LogEvent::new(Level::Debug, "detail")));
/// logs.filter(Level::Debug);
/// assert!(logs.log(&LogEvent::new(Level::Debug, "detail")));
/// assert_eq!((logs.count(), logs.count_of(Level::Debug), logs.filtered()), (2, 1, 1));
///
/// let line = logs.render(&LogEvent::new(Level::Info, "paid"), Timestamp::from_millis(0));
/// assert!(line.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000Z","level":"INFO","message":"paid","service":"billing""#));
/// ```
pub struct LogAggregator {
    service: Arc<str>,
    /// The least important level that is taken, by its number.
    level: AtomicU8,
    rules: LineRules,
    fields: Vec<(Cow<'static, str>, FieldValue)>,
    counts: [AtomicU64; Level::ALL.len()],
    filtered: AtomicU64,
    outputs: Option<Outputs>,
}

impl LogAggregator {
    /// Takes events of `service` at every level, and renders them as JSON.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>) -> Self {
        let service = service.into();
        let fields = FieldRules {
            owner: crate::pipeline::next_owner(),
            redactor: Redactor::new(),
            max_fields: 64,
            max_text: 16 * 1024,
            max_bytes: 64 * 1024,
        };
        let name = service.to_string();
        let rules = LineRules::new(Arc::new(fields), LogFormat::Json, false, name, 64 * 1024);
        Self {
            service,
            level: AtomicU8::new(Level::Trace as u8),
            rules,
            fields: Vec::new(),
            counts: Default::default(),
            filtered: AtomicU64::new(0),
            outputs: None,
        }
    }

    /// Hands events to these outputs, as JSON, and no longer to the pipeline of the process: `stdout`, `stderr`,
    /// `file:PATH`, `syslog://host:514` (also `syslog+tcp`, `syslog+tls`, `syslog+unix`), `elasticsearch://host:9200/index`.
    ///
    /// A thread of the aggregator's own writes to them, until it is dropped; [`LogAggregator::flush_blocking`] waits for it.
    ///
    /// ```
    /// use obs_model::Level;
    /// use obs_tracing::{LogAggregator, LogEvent};
    /// use std::time::Duration;
    ///
    /// # let folder = std::env::temp_dir().join(format!("obskit-aggregator-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let path = folder.join("billing.log");
    /// let output = format!("file:{}", path.display());
    /// let logs = LogAggregator::new("billing").with_outputs(&[&output])?;
    /// logs.log(&LogEvent::new(Level::Info, "paid").with("cents", 950_u64));
    /// logs.flush_blocking(Duration::from_secs(5))?;
    /// assert!(std::fs::read_to_string(&path).unwrap().contains(r#""message":"paid""#));
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), obs_tracing::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// One of them is not an output, or could not be opened; every problem at once, without any password.
    pub fn with_outputs(self, outputs: &[&str]) -> Result<Self, Error> {
        self.with_sinks(outputs::sinks(outputs)?)
    }

    /// As [`LogAggregator::with_outputs`], with sinks, each of which may have a filter, fields and a queue of its own.
    ///
    /// # Errors
    ///
    /// The settings of a sink are wrong, or it could not be started.
    pub fn with_sinks(mut self, sinks: Vec<LogSink>) -> Result<Self, Error> {
        self.outputs = Some(Outputs::start(sinks, &self.service)?);
        Ok(self)
    }

    /// Waits until everything that was logged so far has been written and sent, where this has outputs of its own. It
    /// blocks this thread.
    ///
    /// # Errors
    ///
    /// Something was not, within `deadline`.
    pub fn flush_blocking(&self, deadline: Duration) -> Result<(), Error> {
        self.outputs.as_ref().map_or(Ok(()), |outputs| outputs.flush(deadline))
    }

    /// Takes events of this level and of more important ones.
    #[must_use]
    pub fn with_level(self, level: Level) -> Self {
        self.filter(level);
        self
    }

    /// Renders in this form. What the pipeline writes has the form of its own settings.
    #[must_use]
    pub const fn with_format(mut self, format: LogFormat) -> Self {
        self.rules.format = format;
        self
    }

    /// Adds a member of `metadata` to every event that does not have it.
    #[must_use]
    pub fn with_field(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<FieldValue>,
    ) -> Self {
        self.fields.push((key.into(), value.into()));
        self
    }

    /// From now on takes events of this level and of more important ones.
    pub fn filter(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Hands an event on to the pipeline; `false` when it is not important enough. The pipeline has a filter of its own.
    pub fn log(&self, event: &LogEvent) -> bool {
        if (event.level as u8) < self.level.load(Ordering::Relaxed) {
            self.filtered.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.counts[event.level as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(outputs) = &self.outputs {
            self.write_to(outputs, event);
            return true;
        }
        let metadata = self.fields_of(event).map(|(key, value)| (key, value.clone())).collect();
        let details = LogDetails {
            user: event.user.as_deref(),
            agent: event.agent.as_deref(),
            request: event.request.as_deref(),
            operation: None,
            error: None,
            metadata,
        };
        let service = event.service.as_deref().unwrap_or(&self.service);
        write(event.level, service, &event.message, &details);
        true
    }

    /// How many events were handed on.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many events of one level were handed on.
    #[must_use]
    pub fn count_of(&self, level: Level) -> u64 {
        self.counts[level as usize].load(Ordering::Relaxed)
    }

    /// How many events were not important enough.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.filtered.load(Ordering::Relaxed)
    }

    /// The line of an event as it would be written at `at` here and now, without the line's end: for an output of one's
    /// own. Nothing is written or counted.
    #[must_use]
    pub fn render(&self, event: &LogEvent, at: Timestamp) -> String {
        let mut scratch = Scratch::default();
        let head = self.fill(&mut scratch, event, at);
        scratch.render(head, &self.rules);
        String::from_utf8_lossy(scratch.line.trim_ascii_end()).into_owned()
    }

    fn write_to(&self, outputs: &Outputs, event: &LogEvent) {
        let service = event.service.as_ref().unwrap_or(&self.service);
        counters::counter(event.level, service).increment(1);
        if !outputs.want(event.level) {
            return;
        }
        let mut scratch = Scratch::default();
        let head = self.fill(&mut scratch, event, SystemClock::new().now());
        scratch.render_json(head, &self.rules);
        let ids = SpanIds::of(&Span::current());
        let sampled = ids.is_some_and(|ids| ids.sampled && Some(ids.trace) == head.trace);
        let Head { at, level, target, trace, span } = head;
        outputs.push(&scratch.line, LineHead { at, level, target, trace, span, sampled });
    }

    /// Puts everything into `scratch` that the event's line says.
    fn fill(&self, scratch: &mut Scratch, event: &LogEvent, at: Timestamp) -> Head<'static> {
        let rules = &self.rules.fields;
        let redacted = rules.redactor.text(&event.message);
        let message = crate::fields::cut(&redacted, rules.max_text);
        scratch.event.message.text.push_str(message);
        scratch.event.message.lost = redacted.len() - message.len();
        if let Some(service) = &event.service {
            scratch.event.service.push_str(service);
        }
        for (field, id) in [
            (IdField::User, &event.user),
            (IdField::Agent, &event.agent),
            (IdField::Request, &event.request),
        ] {
            if let Some(id) = id {
                scratch.fields.put_text(Key::id(field), id, rules);
            }
        }
        // As the pipeline gets them: in the order of their names.
        for (key, value) in self.fields_of(event).collect::<BTreeMap<_, _>>() {
            scratch.fields.put_value(Key::new(key, &rules.redactor), value, rules);
        }
        let (trace, span) = Context::with_current(|context| {
            scratch.add_context(context, rules);
            effective(SpanIds::of(&Span::current()), context)
        });
        Head { at, level: event.level, target: "obskit::logger", trace, span }
    }

    /// The event's own fields, then those of every event that it does not have.
    fn fields_of<'a>(
        &'a self,
        event: &'a LogEvent,
    ) -> impl Iterator<Item = (&'a str, &'a FieldValue)> {
        let common =
            self.fields.iter().filter(|(key, _)| event.fields.iter().all(|(own, _)| own != key));
        event.fields.iter().chain(common).map(|(key, value)| (&**key, value))
    }
}

impl fmt::Debug for LogAggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogAggregator")
            .field("service", &self.service)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
