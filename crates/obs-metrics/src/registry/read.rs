//! Reading the registry: all of it, or one value.

use std::io;
use std::sync::Arc;

use obs_model::{Gather, Labels, MetricFamily, MetricKind};

use super::handle::Cell;
use super::{Family, Registry};
use crate::text;

impl Registry {
    /// Writes every metric in the Prometheus text format 0.0.4, in pieces of about 16 KiB.
    ///
    /// # Errors
    ///
    /// What `writer` reports.
    pub fn write_text(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        let mut out = text::Chunks::new(writer);
        let mut counts = Vec::new();
        for family in self.families() {
            let series = family.all_series();
            if !series.is_empty() {
                text::push_family(
                    &mut out,
                    &family,
                    &self.help(&family.name),
                    &series,
                    &mut counts,
                )?;
            }
        }
        out.finish()
    }

    /// Every metric in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn render_text(&self) -> String {
        let mut text = Vec::new();
        // OK because writing to a vector cannot fail, and everything written comes from valid UTF-8.
        let _ = self.write_text(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// One value as the exposition would show it, found by the name and all labels of its line.
    ///
    /// For a histogram `x` ask for `x_count`, `x_sum`, or `x_bucket` with its `le`.
    ///
    /// ```
    /// let registry = obs_metrics::Registry::default();
    /// registry.counter("jobs_total", &[("kind", "mail")]).increment(2);
    /// assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(2.0));
    /// assert_eq!(registry.value("jobs_total", &[]), None);
    /// ```
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        if let Some(family) = self.family(name) {
            let series = find(&family, labels)?;
            return match &series.cell {
                Cell::Counter(cell) => Some(cell.value() as f64),
                Cell::FloatCounter(cell) => Some(cell.value()),
                Cell::Gauge(cell) => Some(cell.value()),
                Cell::Histogram(_) => None,
            };
        }
        let (base, part) = name.rsplit_once('_')?;
        let family = self.family(base).filter(|family| family.kind == MetricKind::Histogram)?;
        let le = labels.iter().find(|(name, _)| *name == "le").map(|(_, value)| *value);
        let others: Vec<_> = labels.iter().copied().filter(|(name, _)| *name != "le").collect();
        let series = find(&family, &others)?;
        let Cell::Histogram(cell) = &series.cell else { return None };
        let mut counts = Vec::new();
        let sum = cell.read(&mut counts);
        match (part, le) {
            ("sum", None) => Some(sum),
            ("count", None) => Some(counts.iter().sum::<u64>() as f64),
            ("bucket", Some(le)) => {
                let bucket = family.bound_texts.iter().position(|text| **text == *le)?;
                Some(counts[..=bucket].iter().sum::<u64>() as f64)
            }
            _ => None,
        }
    }

    fn families(&self) -> Vec<Arc<Family>> {
        self.0.families.read().values().cloned().collect()
    }

    fn help(&self, name: &str) -> Arc<str> {
        self.0
            .descriptions
            .read()
            .get(name)
            .map(|known| Arc::clone(&known.help))
            .unwrap_or_default()
    }
}

fn find(family: &Family, labels: &[(&str, &str)]) -> Option<Arc<super::Series>> {
    let labels = Labels::new(labels.iter().copied()).ok()?;
    family.series.read().get(&labels).cloned()
}

impl Gather for Registry {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        for family in self.families() {
            let points: Vec<_> =
                family.all_series().iter().map(|series| family.point(series)).collect();
            if !points.is_empty() {
                visit(&MetricFamily {
                    name: Arc::clone(&family.name),
                    help: self.help(&family.name),
                    kind: family.kind,
                    points,
                });
            }
        }
    }
}
