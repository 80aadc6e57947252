//! The registry: from a name and labels to a series, within caps.

mod cache;
mod family;
mod handle;
mod histograms;
mod idle;
mod lookup;
mod own;
mod read;
mod recorder;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use obs_model::{Clock, LabelLimits, Labels, MetricKind, SystemClock};
use parking_lot::{Mutex, RwLock};

pub(crate) use self::family::{Family, OVERFLOW_LABEL, Series};
use self::family::{IsNew, Overflow};
use self::handle::CellMaker;
pub use self::handle::FloatCounter;
pub(crate) use self::handle::{Cell, Handled};
use self::idle::TakenOut;
use self::lookup::Lookup;
use self::own::{OwnMetrics, Refusal};
pub(crate) use self::read::{Reader, Value};
use crate::backend::{self, Backend};
use crate::buckets::BucketRules;
use crate::error::{Error, Kind};
use crate::expose::GivenNames;
use crate::rules::LabelRules;
use crate::{names, typed};

/// How many bytes a metric's name may have.
const MAX_NAME_BYTES: usize = 1_024;

/// How many descriptions are kept for each metric that may exist, since a description may come first.
const DESCRIPTIONS_PER_METRIC: usize = 2;

/// The caps of a [`Registry`].
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Metric names; 2,000 by default. Recordings under further names are dropped and counted.
    pub max_metrics: usize,
    /// Series in all; 50,000 by default. Beyond it every new series is folded into its metric's overflow series.
    pub max_series: usize,
    /// Series of one metric; 10,000 by default. Beyond it new series are folded likewise.
    pub max_series_per_metric: usize,
    /// How large one label set may be. Recordings with larger ones are dropped and counted.
    pub label_limits: LabelLimits,
    /// Which labels are taken, and what becomes of their values; none by default.
    pub label_rules: LabelRules,
    /// Which exemplars histograms keep; none by default.
    pub exemplars: Exemplars,
    /// How long a series may be idle before [`Registry::expire_idle`] takes it out; by default none is.
    pub idle_timeout: Option<Duration>,
}

/// Which observations histograms keep as exemplars, for OpenMetrics and protobuf expositions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exemplars {
    /// None.
    #[default]
    None,
    /// One per bucket: the first one after each exposition that was made in a trace, as
    /// [`Context::trace`](obs_model::Context::trace) of the current context says, with the ids of the trace and of
    /// the span. An observation outside of traces costs a few nanoseconds more, because it looks for one.
    PerBucket,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            max_metrics: 2_000,
            max_series: 50_000,
            max_series_per_metric: 10_000,
            label_limits: LabelLimits::default(),
            label_rules: LabelRules::new(),
            exemplars: Exemplars::None,
            idle_timeout: None,
        }
    }
}

/// All metrics of a process: what the `metrics` macros record into and what `/metrics` shows.
///
/// A clone is another handle on the same registry. Recording never blocks on a reader, never fails and never
/// panics; what cannot be recorded is counted in `obskit_metrics_dropped_total{reason}`:
///
/// | reason | what happened |
/// |---|---|
/// | `label_limits` | the label set is larger than [`RegistryConfig::label_limits`] allows |
/// | `name_too_long` | the metric's name has more than 1,024 bytes |
/// | `kind_conflict` | the name belongs to a metric of another kind; a histogram `x` owns `x_bucket`, `x_sum`, `x_count` and `x_created` too |
/// | `too_many_metrics` | there are [`RegistryConfig::max_metrics`] names already |
/// | `invalid_value` | a histogram was given NaN, or a [`FloatCounter`] NaN or a negative number |
///
/// Names that Prometheus does not accept are made valid: characters outside `[a-zA-Z0-9_:]` become `_`
/// (`http.requests` is shown as `http_requests`) and a leading digit gets `_` in front. In label names `:`
/// becomes `_` too, and names that the exposition needs itself (`__…`, and `le` in a histogram) get
/// `exported_` in front. Of labels that have the same name, the last one counts. A scrape that asks for UTF-8 names
/// sees the names as they were given first: see [`Escaping`](crate::expose::Escaping).
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    config: RegistryConfig,
    lookup: Lookup,
    families: RwLock<BTreeMap<Arc<str>, Arc<Family>>>,
    descriptions: RwLock<HashMap<Box<str>, Description>>,
    buckets: RwLock<BucketRules>,
    series: AtomicUsize,
    /// Which registry this is and which state of it, for the caches of threads: the number of the registry in the
    /// upper half; the lower half rises whenever series were taken out.
    stamp: AtomicU64,
    clock: Arc<dyn Clock>,
    taken_out: Mutex<Vec<TakenOut>>,
    own: OwnMetrics,
    /// Where the values are, if another recorder has them.
    backend: Option<Arc<dyn Backend>>,
}

#[derive(Clone)]
struct Description {
    help: Arc<str>,
    unit: Option<Unit>,
}

/// Where a recording goes.
enum Place {
    Own(Arc<Series>),
    Overflow(Arc<Family>),
    Nowhere(Refusal),
}

/// What a name and labels stand for.
enum Resolved<H> {
    /// A series of its own.
    Own(Arc<Series>),
    /// An overflow series, or nothing but a count of what is lost.
    Elsewhere(H),
}

impl Registry {
    /// An empty registry that takes the time from the machine's clock.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        Self::with_clock(config, Arc::new(SystemClock::new()))
    }

    /// An empty registry. `clock` says when a series was made and how long it has been idle.
    #[must_use]
    pub fn with_clock(config: RegistryConfig, clock: Arc<dyn Clock>) -> Self {
        Self::build(config, clock, None)
    }

    /// A registry in front of another recorder.
    #[cfg(feature = "metrics-exporter-prometheus")]
    pub(crate) fn with_backend(config: RegistryConfig, backend: Arc<dyn Backend>) -> Self {
        Self::build(config, Arc::new(SystemClock::new()), Some(backend))
    }

    fn build(
        config: RegistryConfig,
        clock: Arc<dyn Clock>,
        backend: Option<Arc<dyn Backend>>,
    ) -> Self {
        let own = OwnMetrics::new(clock.now());
        let families =
            own.families().iter().map(|family| (Arc::clone(&family.name), Arc::clone(family)));
        let registry = Self(Arc::new(Inner {
            // Twice the series leaves room for keys that name one series in two ways.
            lookup: Lookup::new(config.max_series.saturating_mul(2)),
            families: RwLock::new(families.collect()),
            descriptions: RwLock::default(),
            buckets: RwLock::default(),
            series: AtomicUsize::new(0),
            stamp: AtomicU64::new(next_stamp()),
            clock,
            taken_out: Mutex::default(),
            own,
            config,
            backend,
        }));
        if registry.0.backend.is_none() {
            for (name, help) in OwnMetrics::help() {
                registry.describe(name, help);
            }
        }
        registry
    }

    /// Makes this registry the one that the `metrics` macros record into, for the whole process.
    ///
    /// # Errors
    ///
    /// When another recorder was installed before: [`Error::is_already_installed`].
    pub fn install(&self) -> Result<(), Error> {
        if self.0.backend.is_none() {
            metrics::set_global_recorder(self.clone()).map_err(|_| Kind::AlreadyInstalled)?;
        }
        typed::set_installed(self);
        Ok(())
    }

    /// The registry that was installed, if one was.
    #[must_use]
    pub fn installed() -> Option<Self> {
        typed::installed().cloned()
    }

    /// The caps that this registry was made with.
    #[must_use]
    pub fn config(&self) -> &RegistryConfig {
        &self.0.config
    }

    /// Says what a metric measures: its `# HELP`. The last description stands; an empty one is ignored.
    pub fn describe(&self, name: &str, help: &str) {
        self.describe_with(name, help, None, Replace::Yes);
    }

    /// A counter of this registry, whether it is installed or not.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        self.handle(name, labels.iter().copied())
    }

    /// A counter of fractions of this registry.
    #[must_use]
    pub fn float_counter(&self, name: &str, labels: &[(&str, &str)]) -> FloatCounter {
        self.handle(name, labels.iter().copied())
    }

    /// A gauge of this registry, whether it is installed or not.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        self.handle(name, labels.iter().copied())
    }

    /// A histogram of this registry, whether it is installed or not.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Histogram {
        self.handle(name, labels.iter().copied())
    }

    /// A handle by name and labels; every recording has one, if only one that counts what is lost.
    pub(crate) fn handle<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> H {
        self.handle_and_place(name, labels).0
    }

    /// As [`Registry::handle`], and whether the series has a place of its own.
    pub(crate) fn handle_and_place<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (H, bool) {
        if self.0.backend.is_some() {
            return (backend::handle(self, name, labels), true);
        }
        match self.resolve::<H>(name, labels) {
            Resolved::Own(series) => match H::on(&series.cell) {
                Some(handle) => (handle, true),
                // OK because the series was just found to fit.
                None => (H::refused(self.0.own.refused(Refusal::KindConflict)), false),
            },
            Resolved::Elsewhere(handle) => (handle, false),
        }
    }

    /// A handle that counts recordings as lost, for want of somebody to record them.
    pub(crate) fn refused_handle<H: Handled>(&self) -> H {
        H::refused(self.0.own.refused(Refusal::KindConflict))
    }

    /// What has the values, if not this registry.
    pub(crate) fn backend(&self) -> Option<&dyn Backend> {
        self.0.backend.as_deref()
    }

    /// The series, if it has a place of its own, or a handle on whatever stands in for it.
    fn resolve<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Resolved<H> {
        let refuse = |reason| H::refused(self.0.own.refused(reason));
        Resolved::Elsewhere(match self.place::<H>(name, labels) {
            Place::Own(series) if H::fits(&series.cell) => return Resolved::Own(series),
            Place::Own(_) => refuse(Refusal::KindConflict),
            Place::Overflow(family) => {
                let overflow = self.overflow::<H>(&family);
                H::folding(&overflow.series.cell, &overflow.folded)
                    .unwrap_or_else(|| refuse(Refusal::KindConflict))
            }
            Place::Nowhere(reason) => refuse(reason),
        })
    }

    fn place<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Place {
        if name.len() > MAX_NAME_BYTES {
            return Place::Nowhere(Refusal::NameTooLong);
        }
        let of_histogram = H::KIND == MetricKind::Histogram;
        let metric = names::metric_name(name);
        let mut given = GivenNames::default();
        let labels = labels.filter_map(|(name, value)| {
            let legacy = names::label_name(name, of_histogram);
            let value = self.0.config.label_rules.apply(&metric, &legacy, value)?;
            given.note(name, &legacy);
            Some((legacy, value))
        });
        let Ok(labels) = Labels::with_limits(labels, &self.0.config.label_limits) else {
            return Place::Nowhere(Refusal::LabelLimits);
        };
        let family = match self.family_or_new(&metric, H::KIND) {
            Ok(family) => family,
            Err(reason) => return Place::Nowhere(reason),
        };
        family.note_given(name);
        let known = family.find(&labels);
        let series = known.or_else(|| self.new_series::<H>(&family, labels));
        if let Some(series) = &series {
            series.note_given(given);
        }
        series.map_or(Place::Overflow(family), Place::Own)
    }

    fn family(&self, name: &str) -> Option<Arc<Family>> {
        self.0.families.read().get(name).cloned()
    }

    fn family_or_new(&self, name: &str, kind: MetricKind) -> Result<Arc<Family>, Refusal> {
        let of_kind = |family: &Arc<Family>| {
            if family.kind == kind { Ok(Arc::clone(family)) } else { Err(Refusal::KindConflict) }
        };
        if let Some(family) = self.0.families.read().get(name) {
            return of_kind(family);
        }
        // The buckets are chosen before the lock is taken, so that no lock is taken under another.
        let (bounds, native) = if kind == MetricKind::Histogram {
            let unit = self.0.descriptions.read().get(name).and_then(|known| known.unit);
            let rules = self.0.buckets.read();
            (rules.bounds_for(name, unit), rules.native_for(name))
        } else {
            (Arc::default(), None)
        };
        let mut families = self.0.families.write();
        if let Some(family) = families.get(name) {
            return of_kind(family);
        }
        if clashes(&families, name, kind) {
            return Err(Refusal::KindConflict);
        }
        if families.len() >= self.0.config.max_metrics + self.0.own.families().len() {
            return Err(Refusal::TooManyMetrics);
        }
        let family = Arc::new(Family::new(name, kind, bounds).with_native(native));
        families.insert(Arc::clone(&family.name), Arc::clone(&family));
        Ok(family)
    }

    /// Makes `name` belong to metrics of `kind`, if it may; else says in which way it may not, as in the table at
    /// [`Registry`].
    pub(crate) fn claim(&self, name: &str, kind: MetricKind) -> Result<(), &'static str> {
        if self.0.backend.is_some() {
            return Ok(());
        }
        self.family_or_new(name, kind).map(drop).map_err(Refusal::as_str)
    }

    /// The series of `labels`, made now unless a cap is reached.
    fn new_series<H: Handled>(&self, family: &Family, labels: Labels) -> Option<Arc<Series>> {
        if family.overflow.get().is_some() && self.is_full(family) {
            return None;
        }
        let (max, now) = (self.0.config.max_series_per_metric, self.0.clock.now());
        let (series, is_new) = family.find_or_insert_if(
            labels,
            |count| count < max && self.reserve_series(),
            |labels| Series::new(labels, self.new_cell::<H>(family), now),
        )?;
        if is_new == IsNew::Yes {
            self.0.own.series.increment(1);
        }
        Some(series)
    }

    /// Whether a new series has no chance, without the exclusive lock: a flood of new label sets must not
    /// hold up a reader.
    fn is_full(&self, family: &Family) -> bool {
        self.0.series.load(Ordering::Relaxed) >= self.0.config.max_series
            || family.len() >= self.0.config.max_series_per_metric
    }

    fn reserve_series(&self) -> bool {
        let max = self.0.config.max_series;
        self.0
            .series
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < max).then_some(count + 1)
            })
            .is_ok()
    }

    fn new_cell<H: Handled>(&self, family: &Family) -> Cell {
        let invalid = &self.0.own.refused(Refusal::InvalidValue).0;
        let exemplars = match self.0.config.exemplars {
            Exemplars::PerBucket => Some(&self.0.clock),
            Exemplars::None => None,
        };
        H::cell(&CellMaker { search: &family.search, native: family.native, exemplars, invalid })
    }

    fn overflow<'a, H: Handled>(&self, family: &'a Family) -> &'a Overflow {
        family.overflow.get_or_init(|| {
            // OK because the label is ours and valid.
            let labels = Labels::new([(OVERFLOW_LABEL, "true")]).unwrap_or_default();
            let now = self.0.clock.now();
            let series = family.find_or_insert(labels, |labels| {
                Series::new(labels, self.new_cell::<H>(family), now)
            });
            Overflow { series, folded: self.0.own.folded_by(&family.name, now) }
        })
    }

    fn describe_with(&self, name: &str, help: &str, unit: Option<Unit>, replace: Replace) {
        if help.is_empty() && unit.is_none() {
            return;
        }
        if self.0.backend.is_some() {
            let (name, help) = (name.to_owned().into(), help.to_owned().into());
            // Whichever of the three it is: recorders keep descriptions by name.
            backend::with_recorder(|recorder| recorder.describe_gauge(name, unit, help));
            return;
        }
        let name = names::metric_name(name);
        let mut descriptions = self.0.descriptions.write();
        if let Some(known) = descriptions.get_mut(&*name) {
            if !help.is_empty() && (matches!(replace, Replace::Yes) || known.help.is_empty()) {
                known.help = Arc::from(help);
            }
            known.unit = unit.or(known.unit);
        } else if descriptions.len()
            < self.0.config.max_metrics.saturating_mul(DESCRIPTIONS_PER_METRIC)
                + self.0.own.families().len()
        {
            descriptions.insert(name.into(), Description { help: Arc::from(help), unit });
        }
    }
}

fn next_stamp() -> u64 {
    static REGISTRIES: AtomicU64 = AtomicU64::new(1);
    REGISTRIES.fetch_add(1, Ordering::Relaxed) << 32
}

/// Whether a later description takes the place of an earlier one.
#[derive(Clone, Copy)]
enum Replace {
    Yes,
    No,
}

/// Whether a new metric's lines would be taken for another's: a histogram `x` writes lines named `x_count`.
fn clashes(families: &BTreeMap<Arc<str>, Arc<Family>>, name: &str, kind: MetricKind) -> bool {
    const PARTS: [&str; 4] = ["_bucket", "_sum", "_count", "_created"];
    let part_of_another = PARTS
        .iter()
        .filter_map(|part| name.strip_suffix(part))
        .filter_map(|base| families.get(base))
        .any(|family| family.kind == MetricKind::Histogram);
    let owns_another = kind == MetricKind::Histogram
        && PARTS.iter().any(|part| families.contains_key(format!("{name}{part}").as_str()));
    part_of_another || owns_another
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(RegistryConfig::default())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("metrics", &self.0.families.read().len())
            .field("series", &self.0.series.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
