//! Metrics whose type, name and labels come from a configuration.

use std::fmt::Write;

use obs_model::{MetricKind, is_valid_label_name, is_valid_metric_name};

use crate::error::{Error, Kind};
use crate::{Registry, buckets};

/// The types and what they accept.
const TYPES: [(&str, MetricKind); 3] = [
    ("counter", MetricKind::Counter),
    ("gauge", MetricKind::Gauge),
    ("histogram", MetricKind::Histogram),
];

/// What a [`Collector`] may be told beyond its name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectorOptions {
    /// The upper bounds of a histogram's buckets, as for [`Registry::set_buckets`]; by default those of the name.
    pub buckets: Option<Vec<f64>>,
}

/// A counter, gauge or histogram of a [`Registry`] that is made from text and checks how it is used.
///
/// Each recording names a value for every label, in any order, and looks its series up; where the metrics are known
/// when the program is written, [`typed`](crate::typed) and the `metrics` macros cost less. The registry's caps
/// hold: what is over them is folded or dropped and counted there, and is no error here.
///
/// ```
/// use obs_metrics::Registry;
/// use obs_metrics::trackers::{Collector, CollectorOptions};
///
/// let registry = Registry::default();
/// let options = CollectorOptions::default();
/// let help = "Evaluations that ended.";
/// let evaluations =
///     Collector::new(&registry, "counter", "evaluations_total", help, &["status"], options)?;
/// evaluations.increment(3, &[("status", "success")])?;
/// assert_eq!(registry.value("evaluations_total", &[("status", "success")]), Some(3.0));
///
/// let error = evaluations.set(1.0, &[("status", "success")]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "set the counter \"evaluations_total\": a counter accepts increment",
/// );
/// # Ok::<(), obs_metrics::Error>(())
/// ```
#[derive(Clone)]
pub struct Collector {
    registry: Registry,
    kind: MetricKind,
    name: Box<str>,
    label_names: Box<[Box<str>]>,
}

impl Collector {
    /// A metric of `registry`. `kind` is `counter`, `gauge` or `histogram`; an empty `help` leaves the help that the
    /// metric has. A second collector of one name and type records into the same metric.
    ///
    /// # Errors
    ///
    /// When the type is unknown, the name or a label name is not one of Prometheus's data model, a label is named
    /// twice or is reserved (`__…`, and `le` in a histogram), buckets are given for another type, or the registry
    /// cannot have the metric: [`Error::is_invalid_tracker`], with all problems at once. When the buckets are not
    /// acceptable, as for [`Registry::set_buckets`].
    pub fn new(
        registry: &Registry,
        kind: &str,
        name: &str,
        help: &str,
        label_names: &[&str],
        options: CollectorOptions,
    ) -> Result<Self, Error> {
        let found = TYPES.iter().find(|(known, _)| *known == kind).map(|(_, kind)| *kind);
        let problems = problems(kind, found, name, label_names, &options);
        let invalid = |problems| {
            Error::from(Kind::InvalidTracker {
                target: format!("the collector {name:?}"),
                problems,
            })
        };
        let Some(found) = found.filter(|_| problems.is_empty()) else {
            return Err(invalid(problems.join("; ")));
        };
        if let Some(bounds) = &options.buckets {
            registry.set_buckets(name, bounds)?;
        }
        registry.claim(name, found).map_err(|reason| {
            invalid(format!(
                "the registry refuses the {kind} with {reason:?}: a name is accepted that no metric of another \
                 type has, as long as there are fewer than {} metrics",
                registry.config().max_metrics
            ))
        })?;
        registry.describe(name, help);
        Ok(Self {
            registry: registry.clone(),
            kind: found,
            name: Box::from(name),
            label_names: label_names.iter().map(|name| Box::from(*name)).collect(),
        })
    }

    /// Adds `n` to a counter.
    ///
    /// # Errors
    ///
    /// When this is no counter, or the labels are not those of the metric: [`Error::is_wrong_use`].
    pub fn increment(&self, n: u64, labels: &[(&str, &str)]) -> Result<(), Error> {
        self.check(MetricKind::Counter, "increment", labels)?;
        self.registry.counter(&self.name, labels).increment(n);
        Ok(())
    }

    /// Sets a gauge to `value`.
    ///
    /// # Errors
    ///
    /// When this is no gauge, or the labels are not those of the metric: [`Error::is_wrong_use`].
    pub fn set(&self, value: f64, labels: &[(&str, &str)]) -> Result<(), Error> {
        self.check(MetricKind::Gauge, "set", labels)?;
        self.registry.gauge(&self.name, labels).set(value);
        Ok(())
    }

    /// Records an observation into a histogram.
    ///
    /// # Errors
    ///
    /// When this is no histogram, the labels are not those of the metric, or `value` is NaN:
    /// [`Error::is_wrong_use`].
    pub fn record(&self, value: f64, labels: &[(&str, &str)]) -> Result<(), Error> {
        self.check(MetricKind::Histogram, "record", labels)?;
        if value.is_nan() {
            return Err(Kind::NotANumber { name: self.name.to_string() }.into());
        }
        self.registry.histogram(&self.name, labels).record(value);
        Ok(())
    }

    fn check(
        &self,
        kind: MetricKind,
        operation: &'static str,
        labels: &[(&str, &str)],
    ) -> Result<(), Error> {
        if self.kind != kind {
            let (kind, accepted) = type_and_operation(self.kind);
            let name = self.name.to_string();
            return Err(Kind::WrongOperation { operation, kind, name, accepted }.into());
        }
        let is_known = |name: &str| self.label_names.iter().any(|known| **known == *name);
        let is_given = |known: &str| labels.iter().any(|(name, _)| *name == known);
        // As many labels as names, all of them known and none of the names missing: so none is given twice.
        if labels.len() == self.label_names.len()
            && labels.iter().all(|(name, _)| is_known(name))
            && self.label_names.iter().all(|known| is_given(known))
        {
            return Ok(());
        }
        let mut problems = Vec::new();
        for (index, (name, _)) in labels.iter().enumerate() {
            if !is_known(name) {
                problems.push(format!("{name:?} is unknown"));
            } else if labels[..index].iter().any(|(before, _)| before == name) {
                problems.push(format!("{name:?} is given twice"));
            }
        }
        let missing = self.label_names.iter().filter(|known| !is_given(known));
        problems.extend(missing.map(|known| format!("{known:?} is missing")));
        Err(Kind::WrongLabels {
            name: self.name.to_string(),
            given: listed(labels.iter().map(|(name, _)| *name)),
            problems: problems.join(", "),
            accepted: listed(self.label_names.iter().map(|name| &**name)),
        }
        .into())
    }
}

fn type_and_operation(kind: MetricKind) -> (&'static str, &'static str) {
    match kind {
        MetricKind::Counter => ("counter", "increment"),
        MetricKind::Gauge => ("gauge", "set"),
        MetricKind::Histogram => ("histogram", "record"),
    }
}

/// The names in brackets: `[a, b]`.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list = String::from("[");
    for (index, name) in names.enumerate() {
        // OK because writing into a text does not fail.
        let _ = write!(list, "{}{name}", if index == 0 { "" } else { ", " });
    }
    list + "]"
}

fn problems(
    kind: &str,
    found: Option<MetricKind>,
    name: &str,
    label_names: &[&str],
    options: &CollectorOptions,
) -> Vec<String> {
    let mut problems = Vec::new();
    if found.is_none() {
        let types = listed(TYPES.iter().map(|(name, _)| *name));
        problems.push(format!("the type {kind:?} is unknown: accepted are {types}"));
    }
    if !is_valid_metric_name(name) {
        problems.push(format!("the name {name:?}: [a-zA-Z_:][a-zA-Z0-9_:]* is accepted"));
    }
    let of_histogram = found == Some(MetricKind::Histogram);
    for (index, label) in label_names.iter().enumerate() {
        if !is_valid_label_name(label) {
            problems.push(format!("the label name {label:?}: [a-zA-Z_][a-zA-Z0-9_]* is accepted"));
        } else if label.starts_with("__") || (of_histogram && *label == "le") {
            problems.push(format!("the label name {label:?} is reserved: another is accepted"));
        }
        if label_names[..index].contains(label) {
            problems.push(format!("the label name {label:?} is given twice: once is accepted"));
        }
    }
    match &options.buckets {
        Some(_) if found.is_some() && !of_histogram => {
            problems.push(format!("buckets for a {kind}: they are accepted for a histogram"));
        }
        Some(bounds) => {
            problems.extend(buckets::checked("it", bounds).err().map(|error| error.to_string()));
        }
        None => {}
    }
    problems
}
