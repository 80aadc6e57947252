//! The registry: from a name and labels to a series, within caps.

mod family;
mod handle;
mod lookup;
mod own;
mod read;
mod recorder;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge, Histogram, Unit};
use obs_model::{LabelLimits, Labels, MetricKind};
use parking_lot::RwLock;

use self::family::Overflow;
pub(crate) use self::family::{Family, OVERFLOW_LABEL, Series};
use self::handle::CellMaker;
pub use self::handle::FloatCounter;
pub(crate) use self::handle::{Cell, Handled};
use self::lookup::Lookup;
use self::own::{OwnMetrics, Refusal};
use crate::buckets::{self, BucketPattern, BucketRules};
use crate::error::{Error, Kind};
use crate::names;

/// How many bytes a metric's name may have.
const MAX_NAME_BYTES: usize = 1_024;

/// How many descriptions are kept for each metric that may exist, since a description may come first.
const DESCRIPTIONS_PER_METRIC: usize = 2;

/// The caps of a [`Registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Metric names; 2,000 by default. Recordings under further names are dropped and counted.
    pub max_metrics: usize,
    /// Series in all; 50,000 by default. Beyond it every new series is folded into its metric's overflow series.
    pub max_series: usize,
    /// Series of one metric; 10,000 by default. Beyond it new series are folded likewise.
    pub max_series_per_metric: usize,
    /// How large one label set may be. Recordings with larger ones are dropped and counted.
    pub label_limits: LabelLimits,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            max_metrics: 2_000,
            max_series: 50_000,
            max_series_per_metric: 10_000,
            label_limits: LabelLimits::default(),
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
/// | `kind_conflict` | the name belongs to a metric of another kind; a histogram `x` owns `x_bucket`, `x_sum` and `x_count` too |
/// | `too_many_metrics` | there are [`RegistryConfig::max_metrics`] names already |
/// | `invalid_value` | a histogram was given NaN, or a [`FloatCounter`] NaN or a negative number |
///
/// Names that Prometheus does not accept are made valid: characters outside `[a-zA-Z0-9_:]` become `_`
/// (`http.requests` is shown as `http_requests`) and a leading digit gets `_` in front. In label names `:`
/// becomes `_` too, and names that the exposition needs itself (`__…`, and `le` in a histogram) get
/// `exported_` in front. Of labels that have the same name, the last one counts.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    config: RegistryConfig,
    lookup: Lookup,
    families: RwLock<BTreeMap<Arc<str>, Arc<Family>>>,
    descriptions: RwLock<HashMap<Box<str>, Description>>,
    buckets: RwLock<BucketRules>,
    series: AtomicUsize,
    own: OwnMetrics,
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

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let own = OwnMetrics::new();
        let families =
            own.families().iter().map(|family| (Arc::clone(&family.name), Arc::clone(family)));
        let registry = Self(Arc::new(Inner {
            // Twice the series leaves room for keys that name one series in two ways.
            lookup: Lookup::new(config.max_series.saturating_mul(2)),
            families: RwLock::new(families.collect()),
            descriptions: RwLock::default(),
            buckets: RwLock::default(),
            series: AtomicUsize::new(0),
            own,
            config,
        }));
        for (name, help) in OwnMetrics::help() {
            registry.describe(name, help);
        }
        registry
    }

    /// Makes this registry the one that the `metrics` macros record into, for the whole process.
    ///
    /// # Errors
    ///
    /// When another recorder was installed before: [`Error::is_already_installed`].
    pub fn install(&self) -> Result<(), Error> {
        metrics::set_global_recorder(self.clone()).map_err(|_| Kind::AlreadyInstalled.into())
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

    /// Sets the upper bounds of a histogram's buckets, in the metric's unit; `+Inf` need not be among them.
    ///
    /// # Errors
    ///
    /// When the bounds are not finite and rising, are none or are more than 200
    /// ([`Error::is_invalid_buckets`]), when 10,000 metrics have buckets already
    /// ([`Error::is_too_many_rules`]), and when the histogram already has series with other buckets
    /// ([`Error::is_buckets_in_use`]).
    pub fn set_buckets(&self, name: &str, bounds: &[f64]) -> Result<(), Error> {
        let bounds = buckets::checked(&format!("{name:?}"), bounds)?;
        let name = names::metric_name(name);
        if let Some(family) = self.family(&name)
            && family.kind == MetricKind::Histogram
            && family.bounds != bounds
        {
            return Err(Kind::BucketsInUse { name: name.into_owned() }.into());
        }
        self.0.buckets.write().set_exact(&name, bounds)
    }

    /// Sets the buckets of every histogram whose name matches `pattern` and that has none by its exact name.
    ///
    /// Patterns are tried in the order in which they were set; histograms that exist keep their buckets.
    ///
    /// # Errors
    ///
    /// When the bounds are not acceptable, as in [`Registry::set_buckets`], and when there are 1,000 patterns
    /// already ([`Error::is_too_many_rules`]).
    pub fn set_buckets_for(&self, pattern: BucketPattern, bounds: &[f64]) -> Result<(), Error> {
        let bounds = buckets::checked(&format!("names that match {pattern:?}"), bounds)?;
        self.0.buckets.write().set_pattern(pattern, bounds)
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

    /// Describes a metric of ours, and gives it buckets, unless the user did before.
    pub(crate) fn declare(&self, name: &str, help: &str, bounds: Option<&[f64]>) {
        self.describe_with(name, help, None, Replace::No);
        let Some(bounds) = bounds else { return };
        let mut rules = self.0.buckets.write();
        if !rules.has_exact(name) {
            // OK because a catalog that finds the rules full gets the unit's default buckets.
            let _ = rules.set_exact(name, Arc::from(bounds));
        }
    }

    /// A handle by name and labels; every recording has one, if only one that counts what is lost.
    pub(crate) fn handle<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> H {
        self.resolve(name, labels).0
    }

    /// A handle, and whether the series has a place of its own.
    fn resolve<'a, H: Handled>(
        &self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (H, bool) {
        let refuse = |reason| (H::refused(self.0.own.refused(reason)), false);
        match self.place::<H>(name, labels) {
            Place::Own(series) => match H::on(&series.cell) {
                Some(handle) => (handle, true),
                None => refuse(Refusal::KindConflict),
            },
            Place::Overflow(family) => {
                let overflow = self.overflow::<H>(&family);
                match H::folding(&overflow.series.cell, &overflow.folded) {
                    Some(handle) => (handle, false),
                    None => refuse(Refusal::KindConflict),
                }
            }
            Place::Nowhere(reason) => refuse(reason),
        }
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
        let labels = labels.map(|(name, value)| (names::label_name(name, of_histogram), value));
        let Ok(labels) = Labels::with_limits(labels, &self.0.config.label_limits) else {
            return Place::Nowhere(Refusal::LabelLimits);
        };
        let family = match self.family_or_new(&names::metric_name(name), H::KIND) {
            Ok(family) => family,
            Err(reason) => return Place::Nowhere(reason),
        };
        let known = family.series.read().get(&labels).cloned();
        known
            .or_else(|| self.new_series::<H>(&family, labels))
            .map_or(Place::Overflow(family), Place::Own)
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
        let bounds = if kind == MetricKind::Histogram {
            let unit = self.0.descriptions.read().get(name).and_then(|known| known.unit);
            self.0.buckets.read().bounds_for(name, unit)
        } else {
            Arc::default()
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
        let family = Arc::new(Family::new(name, kind, bounds));
        families.insert(Arc::clone(&family.name), Arc::clone(&family));
        Ok(family)
    }

    /// The series of `labels`, made now unless a cap is reached.
    fn new_series<H: Handled>(&self, family: &Family, labels: Labels) -> Option<Arc<Series>> {
        if family.overflow.get().is_some() && self.is_full(family) {
            return None;
        }
        let mut all = family.series.write();
        if let Some(series) = all.get(&labels) {
            return Some(Arc::clone(series));
        }
        let own_place = all.len() < self.0.config.max_series_per_metric && self.reserve_series();
        if !own_place {
            return None;
        }
        let series = Arc::new(Series::new(labels.clone(), self.new_cell::<H>(family)));
        all.insert(labels, Arc::clone(&series));
        self.0.own.series.increment(1);
        Some(series)
    }

    /// Whether a new series has no chance, without the exclusive lock: a flood of new label sets must not
    /// hold up a reader.
    fn is_full(&self, family: &Family) -> bool {
        self.0.series.load(Ordering::Relaxed) >= self.0.config.max_series
            || family.series.read().len() >= self.0.config.max_series_per_metric
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
        H::cell(&CellMaker { bounds: &family.bounds, invalid })
    }

    fn overflow<'a, H: Handled>(&self, family: &'a Family) -> &'a Overflow {
        family.overflow.get_or_init(|| {
            // OK because the label is ours and valid.
            let labels = Labels::new([(OVERFLOW_LABEL, "true")]).unwrap_or_default();
            let series = Arc::new(Series::new(labels.clone(), self.new_cell::<H>(family)));
            let mut all = family.series.write();
            let series = Arc::clone(all.entry(labels).or_insert(series));
            drop(all);
            Overflow { series, folded: self.0.own.folded_by(&family.name) }
        })
    }

    fn describe_with(&self, name: &str, help: &str, unit: Option<Unit>, replace: Replace) {
        if help.is_empty() && unit.is_none() {
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

/// Whether a later description takes the place of an earlier one.
#[derive(Clone, Copy)]
enum Replace {
    Yes,
    No,
}

/// Whether a new metric's lines would be taken for another's: a histogram `x` writes lines named `x_count`.
fn clashes(families: &BTreeMap<Arc<str>, Arc<Family>>, name: &str, kind: MetricKind) -> bool {
    const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
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
