//! From a parsed exposition to the families that the series store takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use obs_model::{
    Bucket, HistogramSnapshot, Labels, MetricFamily, MetricKind, MetricPoint, MetricValue,
};

use crate::expose::parse::{Family, FamilyType, Sample};

/// All families in order of name, and how many samples were left out because their labels are too large.
pub(super) fn families(parsed: Vec<Family>) -> (Vec<MetricFamily>, u64) {
    let mut made = Made::default();
    for family in parsed {
        made.name = Arc::from(family.name.as_str());
        made.help = Arc::from(family.help.as_str());
        match family.kind {
            FamilyType::Counter => made.plain(&family, MetricKind::Counter),
            FamilyType::Histogram => made.histogram(&family),
            FamilyType::Summary => made.summary(family),
            // What the text format 0.0.4 has beside those is a value at a time, whatever it means.
            _ => made.plain(&family, MetricKind::Gauge),
        }
    }
    let mut families: Vec<_> = made.families.into_values().collect();
    families.retain(|family| !family.points.is_empty());
    (families, made.lost)
}

/// The families that are put together.
#[derive(Default)]
struct Made {
    families: BTreeMap<Arc<str>, MetricFamily>,
    name: Arc<str>,
    help: Arc<str>,
    lost: u64,
}

impl Made {
    fn point(&mut self, name: &Arc<str>, kind: MetricKind, labels: Labels, value: MetricValue) {
        let help = &self.help;
        let family = self.families.entry(Arc::clone(name)).or_insert_with(|| MetricFamily {
            name: Arc::clone(name),
            help: Arc::clone(help),
            kind,
            points: Vec::new(),
        });
        family.points.push(MetricPoint { labels, value });
    }

    /// The labels of a sample but for one; counts a sample whose labels cannot be.
    fn labels(&mut self, sample: &Sample, without: &str) -> Option<Labels> {
        let pairs = sample.labels.iter().filter(|(name, _)| name != without);
        let labels = Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str()))).ok();
        self.lost += u64::from(labels.is_none());
        labels
    }

    fn plain(&mut self, family: &Family, kind: MetricKind) {
        let name = Arc::clone(&self.name);
        for sample in &family.samples {
            if let Some(labels) = self.labels(sample, "") {
                self.point(&name, kind, labels, value(kind, sample.value));
            }
        }
    }

    fn histogram(&mut self, family: &Family) {
        let mut points: BTreeMap<Labels, HistogramSnapshot> = BTreeMap::new();
        for sample in &family.samples {
            let Some(labels) = self.labels(sample, "le") else { continue };
            let snapshot = points.entry(labels).or_default();
            match (sample.name.strip_prefix(family.name.as_str()), sample.label("le")) {
                (Some("_bucket"), Some(le)) => snapshot.buckets.push(Bucket {
                    // OK because the parser has checked that bounds are numbers and rise.
                    upper_bound: le.parse().unwrap_or(f64::INFINITY),
                    cumulative_count: count(sample.value),
                }),
                (Some("_sum"), _) => snapshot.sum = sample.value,
                (Some("_count"), _) => snapshot.count = count(sample.value),
                _ => {}
            }
        }
        let name = Arc::clone(&self.name);
        for (labels, snapshot) in points {
            self.point(&name, MetricKind::Histogram, labels, MetricValue::Histogram(snapshot));
        }
    }

    /// A summary has no family of its own in the store: its quantiles are gauges, its count and sum are totals.
    fn summary(&mut self, family: Family) {
        for sample in &family.samples {
            let Some(labels) = self.labels(sample, "") else { continue };
            let kind = match sample.name == family.name {
                true => MetricKind::Gauge,
                false => MetricKind::Counter,
            };
            let name = Arc::from(sample.name.as_str());
            self.point(&name, kind, labels, value(kind, sample.value));
        }
    }
}

fn value(kind: MetricKind, value: f64) -> MetricValue {
    match kind {
        MetricKind::Counter => MetricValue::Counter(value),
        MetricKind::Gauge | MetricKind::Histogram => MetricValue::Gauge(value),
    }
}

/// A count as the text has it; a float never stands for more than 2^64 observations.
fn count(value: f64) -> u64 {
    // OK because the conversion saturates, and the parser refuses counts that are negative or NaN.
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::parse;

    #[test]
    fn every_type_of_the_text_format_has_its_families() {
        let text = "# HELP h Sizes.\n# TYPE h histogram\n\
            h_bucket{a=\"1\",le=\"0.5\"} 1\nh_bucket{a=\"1\",le=\"+Inf\"} 3\nh_sum{a=\"1\"} 4\nh_count{a=\"1\"} 3\n\
            # TYPE s summary\ns{quantile=\"0.5\"} 7\ns_sum 9\ns_count 2\n\
            # TYPE g gauge\ng -1\n# TYPE c counter\nc{x=\"y\"} 5\nu 6\n";
        let (families, lost) = families(parse::text(text.as_bytes()).unwrap());
        let names: Vec<_> = families.iter().map(|family| (&*family.name, family.kind)).collect();
        use MetricKind::{Counter, Gauge, Histogram};
        let expected = [
            ("c", Counter),
            ("g", Gauge),
            ("h", Histogram),
            ("s", Gauge),
            ("s_count", Counter),
            ("s_sum", Counter),
            ("u", Gauge),
        ];
        assert_eq!((names, lost), (expected.to_vec(), 0));
        assert_eq!(&*families[2].help, "Sizes.");
        let MetricValue::Histogram(snapshot) = &families[2].points[0].value else { panic!() };
        let buckets: Vec<_> =
            snapshot.buckets.iter().map(|one| (one.upper_bound, one.cumulative_count)).collect();
        assert_eq!(buckets, [(0.5, 1), (f64::INFINITY, 3)]);
        assert_eq!((snapshot.sum, snapshot.count), (4.0, 3));
        assert_eq!(families[2].points[0].labels, Labels::new([("a", "1")]).unwrap());
    }

    #[test]
    fn a_sample_whose_labels_are_too_large_is_left_out_and_counted() {
        let text = format!("# TYPE c counter\nc{{x=\"{}\"}} 5\nc 1\n", "y".repeat(100_000));
        let (families, lost) = families(parse::text(text.as_bytes()).unwrap());
        assert_eq!((families[0].points.len(), lost), (1, 1));
    }
}
