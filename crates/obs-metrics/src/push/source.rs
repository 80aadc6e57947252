//! What is pushed: a registry with all that it knows of its series, or anything else that can be gathered.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use obs_model::{Gather, Labels, MetricFamily, MetricKind, MetricValue, Timestamp};

use crate::expose::unit_of;
use crate::registry::{Reader, Registry, Series, Value};

/// Where the metrics that are pushed come from.
///
/// A [`Registry`] also tells when its series began, their exemplars and their native buckets; any other [`Gather`] tells
/// the values alone.
#[derive(Clone)]
pub struct Source(Kind);

#[derive(Clone)]
enum Kind {
    Registry(Registry),
    Gather(Arc<dyn Gather>),
}

impl From<Registry> for Source {
    fn from(registry: Registry) -> Self {
        Self(Kind::Registry(registry))
    }
}

impl From<&Registry> for Source {
    fn from(registry: &Registry) -> Self {
        Self(Kind::Registry(registry.clone()))
    }
}

impl From<Arc<dyn Gather>> for Source {
    fn from(source: Arc<dyn Gather>) -> Self {
        Self(Kind::Gather(source))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Registry(registry) => f.debug_tuple("Source").field(registry).finish(),
            Kind::Gather(_) => f.debug_tuple("Source").finish(),
        }
    }
}

/// How the counters of a source come by their totals.
#[cfg(feature = "otlp")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They are added up in the registry.
    Recorded,
    /// They are read from elsewhere as they are.
    Observed,
}

/// What all series of one name have in common.
pub(super) struct Head<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) help: &'a str,
    pub(super) kind: MetricKind,
    /// The word that the name ends in, if it is one of a unit; a counter's `_total` does not count.
    pub(super) unit: Option<&'static str>,
}

/// One series and what it holds.
pub(super) struct Row<'a> {
    pub(super) labels: &'a Labels,
    /// When its total began, if that is known.
    #[cfg_attr(
        not(feature = "otlp"),
        expect(dead_code, reason = "remote write 1.0 has no place for it")
    )]
    pub(super) created: Option<Timestamp>,
    /// The finite bounds of a histogram.
    pub(super) bounds: &'a [f64],
    pub(super) value: Value<'a>,
}

/// What takes in all series, family by family.
pub(super) trait Visit {
    /// Begins a family that has at least one series.
    fn family(&mut self, head: &Head<'_>);

    /// Takes in one series of the family that was begun last.
    fn row(&mut self, head: &Head<'_>, row: &Row<'_>);

    /// Ends a family.
    fn end(&mut self) {}
}

impl Source {
    /// Shows every series once; one family's worth of them is in memory at a time.
    pub(super) fn visit(&self, visitor: &mut impl Visit) {
        match &self.0 {
            Kind::Registry(registry) if registry.backend().is_none() => {
                visit_registry(registry, visitor);
            }
            Kind::Registry(registry) => {
                registry.gather(&mut |family| visit_family(family, visitor))
            }
            Kind::Gather(source) => source.gather(&mut |family| visit_family(family, visitor)),
        }
    }

    #[cfg(feature = "otlp")]
    pub(super) fn origin(&self) -> Origin {
        match &self.0 {
            Kind::Registry(registry) if registry.backend().is_none() => Origin::Recorded,
            Kind::Registry(_) | Kind::Gather(_) => Origin::Observed,
        }
    }

    /// Keeps those of `series`, which were not shown just now, that will not be shown again with the totals that they had.
    #[cfg(feature = "otlp")]
    pub(super) fn retain_gone(&self, series: &mut Vec<(Arc<str>, Labels)>) {
        if let Kind::Registry(registry) = &self.0 {
            registry.retain_gone(series);
        }
    }
}

fn head<'a>(name: &'a Arc<str>, help: &'a str, kind: MetricKind) -> Head<'a> {
    let unit = unit_of(name.strip_suffix("_total").unwrap_or(name));
    Head { name, help, kind, unit }
}

fn visit_registry(registry: &Registry, visitor: &mut impl Visit) {
    for family in registry.families() {
        let help = registry.help(&family.name);
        let mut reader = RegistryReader {
            visitor: &mut *visitor,
            head: head(&family.name, &help, family.kind),
            bounds: &family.bounds,
            has_started: false,
        };
        // OK because this reader cannot fail.
        let Ok(()) = family.read(&mut reader);
        if reader.has_started {
            visitor.end();
        }
    }
}

struct RegistryReader<'a, V> {
    visitor: &'a mut V,
    head: Head<'a>,
    bounds: &'a [f64],
    has_started: bool,
}

impl<V: Visit> Reader for RegistryReader<'_, V> {
    type Error = Infallible;

    fn show(&mut self, series: &Series, value: Value<'_>) -> ControlFlow<()> {
        if !self.has_started {
            self.has_started = true;
            self.visitor.family(&self.head);
        }
        let (labels, created) = (&series.labels, Some(series.created));
        self.visitor.row(&self.head, &Row { labels, created, bounds: self.bounds, value });
        ControlFlow::Continue(())
    }

    fn pause(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn visit_family(family: &MetricFamily, visitor: &mut impl Visit) {
    if family.points.is_empty() {
        return;
    }
    let head = head(&family.name, &family.help, family.kind);
    visitor.family(&head);
    let (mut bounds, mut counts) = (Vec::new(), Vec::new());
    for point in &family.points {
        bounds.clear();
        let value = match &point.value {
            MetricValue::Counter(total) => Value::FloatCounter(*total),
            MetricValue::Gauge(value) => Value::Gauge(*value),
            MetricValue::Histogram(snapshot) => {
                counts.clear();
                let mut before = 0;
                for bucket in &snapshot.buckets {
                    counts.push(bucket.cumulative_count.saturating_sub(before));
                    before = bucket.cumulative_count;
                    if bucket.upper_bound < f64::INFINITY {
                        bounds.push(bucket.upper_bound);
                    }
                }
                if counts.len() == bounds.len() {
                    // A snapshot without a last bucket still says how many observations there were.
                    counts.push(snapshot.count.saturating_sub(before));
                }
                Value::Histogram {
                    counts: &counts,
                    sum: snapshot.sum,
                    exemplars: &[],
                    native: None,
                }
            }
        };
        let row = Row { labels: &point.labels, created: None, bounds: &bounds, value };
        visitor.row(&head, &row);
    }
    visitor.end();
}
