//! Which traces are exported: decided once for each, before anything is spent on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use obs_model::TraceId;

#[cfg(feature = "otlp")]
mod history;
#[cfg(feature = "otlp")]
mod tail;
#[cfg(feature = "otlp")]
mod undecided;

#[cfg(feature = "otlp")]
pub use tail::{LinkedTraces, TailConfig, TailSampler};
#[cfg(feature = "otlp")]
pub(crate) use tail::{Tail, TailOutcome};

/// How one kind of trace is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// A share between 0 and 1, decided by the trace id alone, so that every process with the same share decides the
    /// same (OpenTelemetry's `TraceIdRatioBased`).
    Share(f64),
    /// So many traces a second at most, with up to a second's worth at once.
    PerSecond(f64),
}

/// Which traces are exported.
///
/// A span inside another one of this process shares its trace's fate. A trace that a caller started follows the
/// caller's decision, unless [`Sampling::ignoring_callers`] says otherwise. Every other trace is decided by the first
/// rule that fits its first span, else by the default.
///
/// ```
/// use obs_tracing::{Sampler, Sampling};
///
/// let sampling = Sampling::new(Sampler::Share(0.01))
///     .with_rule("/health*", Sampler::AlwaysOff)
///     .with_rule("/checkout", Sampler::PerSecond(5.0));
/// assert_eq!(sampling.default_sampler(), Sampler::Share(0.01));
///
/// // As OpenTelemetry's variables say it.
/// let read = |name: &str| match name {
///     "OTEL_TRACES_SAMPLER" => Some("parentbased_traceidratio".to_owned()),
///     "OTEL_TRACES_SAMPLER_ARG" => Some("0.25".to_owned()),
///     _ => None,
/// };
/// assert_eq!(Sampling::from_variables(read).unwrap().default_sampler(), Sampler::Share(0.25));
/// ```
#[derive(Clone, Debug)]
pub struct Sampling {
    default: Arc<Decision>,
    rules: Vec<Rule>,
    follows_callers: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    decision: Arc<Decision>,
}

impl Rule {
    fn fits(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == self.pattern,
        }
    }
}

impl Sampling {
    /// Samples new traces with `default`, and those of callers as they say.
    #[must_use]
    pub fn new(default: Sampler) -> Self {
        Self { default: Decision::new(default), rules: Vec::new(), follows_callers: true }
    }

    /// This sampling, with a rule for the traces that begin with a request to a route (its template, such as
    /// `/orders/{id}`) or with a span of a name. A pattern that ends with `*` fits what begins with the rest. The first
    /// rule that fits wins.
    #[must_use]
    pub fn with_rule(mut self, pattern: impl Into<String>, sampler: Sampler) -> Self {
        self.rules.push(Rule { pattern: pattern.into(), decision: Decision::new(sampler) });
        self
    }

    /// This sampling, which decides anew about the traces of callers.
    #[must_use]
    pub fn ignoring_callers(mut self) -> Self {
        self.follows_callers = false;
        self
    }

    /// How traces are sampled that no rule fits.
    #[must_use]
    pub fn default_sampler(&self) -> Sampler {
        self.default.sampler
    }

    /// Reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` as the OpenTelemetry specification has them:
    /// `always_on`, `always_off`, `traceidratio`, and the same after `parentbased_`. Unset, every new trace is sampled.
    ///
    /// # Errors
    ///
    /// What is wrong, and what would be accepted.
    pub fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name| read(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let name = set("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (kind, follows_callers) = match name.strip_prefix("parentbased_") {
            Some(kind) => (kind, true),
            None => (name.as_str(), false),
        };
        let sampler = match kind {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => {
                let share = set("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
                let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                Sampler::Share(
                    share.ok_or("OTEL_TRACES_SAMPLER_ARG: expected a share from 0 to 1")?,
                )
            }
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER is {name:?}: expected always_on, always_off or traceidratio, or one of them \
                     after parentbased_"
                ));
            }
        };
        Ok(Self { follows_callers, ..Self::new(sampler) })
    }

    /// What is wrong with the samplers.
    #[cfg(feature = "otlp")]
    pub(crate) fn problems(&self) -> Vec<String> {
        let all = self.rules.iter().map(|rule| (rule.pattern.as_str(), &rule.decision));
        all.chain([("the default", &self.default)])
            .filter_map(|(of, decision)| match decision.sampler {
                Sampler::Share(share) if !(0.0..=1.0).contains(&share) => {
                    Some(format!("the sample share of {of} is {share}: expected 0 to 1"))
                }
                Sampler::PerSecond(rate) if !(rate > 0.0 && rate <= 1e6) => Some(format!(
                    "the sampled traces per second of {of} are {rate}: expected more than 0, a million at most"
                )),
                _ => None,
            })
            .collect()
    }

    /// Whether a trace is sampled that begins with the span `name`.
    pub(crate) fn takes(&self, trace: TraceId, name: &str, route: Option<&str>) -> bool {
        let fits = |rule: &&Rule| rule.fits(name) || route.is_some_and(|route| rule.fits(route));
        let rule = self.rules.iter().find(fits);
        rule.map_or(&self.default, |rule| &rule.decision).takes(trace)
    }

    /// Whether a caller's decision is followed.
    pub(crate) fn follows_callers(&self) -> bool {
        self.follows_callers
    }
}

#[derive(Debug)]
pub(crate) struct Decision {
    sampler: Sampler,
    /// Below which number the lower 63 bits of an id are, as other implementations have it, whose trace is taken.
    bound: u64,
    started: Instant,
    /// When the next trace may be taken, in nanoseconds after `started`.
    next: AtomicU64,
}

/// How far ahead of its rate a sampler may be.
const BURST_NANOSECONDS: u64 = 1_000_000_000;

impl Decision {
    fn new(sampler: Sampler) -> Arc<Self> {
        let share = if let Sampler::Share(share) = sampler { share } else { 0.0 };
        let bound = (share * (1_u64 << 63) as f64) as u64;
        Arc::new(Self { sampler, bound, started: Instant::now(), next: AtomicU64::new(0) })
    }

    fn takes(&self, trace: TraceId) -> bool {
        match self.sampler {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            Sampler::Share(_) => ((trace.get() as u64) >> 1) < self.bound,
            Sampler::PerSecond(rate) => {
                let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.takes_at(now, (1e9 / rate) as u64)
            }
        }
    }

    /// The generic cell rate algorithm (ITU-T I.371): one number says how much of the burst is spent.
    fn takes_at(&self, now: u64, interval: u64) -> bool {
        let after = |next: u64| {
            let next = next.max(now) + interval;
            (next - now <= BURST_NANOSECONDS.max(interval)).then_some(next)
        };
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::ids::random_trace_id;

    #[test]
    fn the_share_of_sampled_traces_is_the_one_asked_for() {
        for (share, low, high) in [(0.0, 0, 0), (0.25, 2_200, 2_800), (1.0, 10_000, 10_000)] {
            let sampling = Sampling::new(Sampler::Share(share));
            let taken =
                (0..10_000).filter(|_| sampling.takes(random_trace_id(), "x", None)).count();
            assert!((low..=high).contains(&taken), "{taken} of 10000 at {share}");
        }
    }

    #[test]
    fn a_rate_is_kept_after_a_burst_of_one_second() {
        let decision = Decision::new(Sampler::PerSecond(10.0));
        let second = 1_000_000_000;
        let at = |now: u64| (0..100).filter(|_| decision.takes_at(now, second / 10)).count();
        assert_eq!((at(0), at(second / 10), at(second / 10)), (10, 1, 0));
        assert_eq!((at(second), at(100 * second)), (9, 10));
        let slow = Decision::new(Sampler::PerSecond(0.1));
        assert!(slow.takes_at(0, 10 * second) && !slow.takes_at(9 * second, 10 * second));
        assert!(slow.takes_at(10 * second, 10 * second));
    }

    #[test]
    fn the_first_rule_that_fits_the_route_or_the_span_decides() {
        let sampling = Sampling::new(Sampler::AlwaysOn)
            .with_rule("/health/deep", Sampler::AlwaysOn)
            .with_rule("/health*", Sampler::AlwaysOff)
            .with_rule("poll", Sampler::AlwaysOff);
        let takes = |name, route| sampling.takes(random_trace_id(), name, route);
        assert!(takes("http.request", Some("/health/deep")) && takes("http.request", Some("/x")));
        assert!(!takes("http.request", Some("/healthz")) && !takes("poll", None));
        assert!(takes("polling", None) && takes("http.request", None));
    }

    #[test]
    fn the_usual_variables_are_read_and_mistakes_are_named() {
        let read = |sampler: &'static str, argument: &'static str| {
            Sampling::from_variables(move |name| {
                Some(if name == "OTEL_TRACES_SAMPLER" { sampler } else { argument }.to_owned())
            })
        };
        for (sampler, argument, expected, follows) in [
            ("always_on", "", Sampler::AlwaysOn, false),
            ("parentbased_always_off", "", Sampler::AlwaysOff, true),
            ("traceidratio", "0.5", Sampler::Share(0.5), false),
            ("parentbased_traceidratio", "", Sampler::Share(1.0), true),
            ("", "", Sampler::AlwaysOn, true),
        ] {
            let sampling = read(sampler, argument).unwrap();
            assert_eq!((sampling.default_sampler(), sampling.follows_callers), (expected, follows));
        }
        assert!(read("jaeger_remote", "").unwrap_err().contains("jaeger_remote"));
        assert!(read("traceidratio", "2").unwrap_err().contains("0 to 1"));
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn every_sampler_that_is_wrong_is_named() {
        let wrong = Sampling::new(Sampler::Share(-1.0)).with_rule("/x", Sampler::PerSecond(0.0));
        assert_eq!(wrong.problems().len(), 2);
    }
}
