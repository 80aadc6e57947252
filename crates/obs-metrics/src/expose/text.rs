//! Writing the text format 0.0.4 and OpenMetrics 1.0, which differ in metadata, names and a few lines.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use obs_model::{Exemplar, MetricKind, Timestamp};

use super::Created;
use super::encode::Encode;
use super::escape::{Escaping, push_plain_help, push_quotable};
use super::line::{LineStart, push_metadata_name};
use super::observed::push_exemplar;
use super::parse::FamilyType;
use super::plan::{Plan, Planned, unit_of};
use crate::number::{push_f64, push_u64};
use crate::registry::{Family, Series, Value};

/// Which of the two formats is written.
#[derive(Debug)]
pub(super) enum Dialect {
    Text,
    OpenMetrics { created: Created, plan: Plan },
}

/// Writes one family after the other.
#[derive(Debug)]
pub(super) struct TextEncoder {
    dialect: Dialect,
    escaping: Escaping,
    family: FamilyLines,
}

/// What the lines of the present family have in common.
#[derive(Debug)]
struct FamilyLines {
    kind: FamilyType,
    value: LineStart,
    created: Option<LineStart>,
    bucket: LineStart,
    sum: LineStart,
    count: LineStart,
    /// For each bucket its label `le`, the closing brace and the blank.
    bounds: Vec<Vec<u8>>,
    has_negative_bounds: bool,
}

impl TextEncoder {
    pub(super) fn new(dialect: Dialect, escaping: Escaping) -> Self {
        Self { dialect, escaping, family: FamilyLines::none() }
    }

    #[inline]
    fn push_buckets(
        &self,
        out: &mut Vec<u8>,
        labels: &str,
        counts: &[u64],
        exemplars: &[Option<Exemplar>],
    ) -> u64 {
        let mut cumulative = 0;
        for (at, (bound, count)) in self.family.bounds.iter().zip(counts).enumerate() {
            cumulative += count;
            self.family.bucket.push_bucket(out, labels, bound);
            push_u64(out, cumulative);
            if let Some(Some(exemplar)) = exemplars.get(at) {
                push_exemplar(out, exemplar);
            }
            out.push(b'\n');
        }
        cumulative
    }

    fn push_sum_and_count(&self, out: &mut Vec<u8>, labels: &str, sum: f64, count: u64) {
        self.family.sum.push(out, labels);
        push_f64(out, sum);
        out.push(b'\n');
        self.family.count.push(out, labels);
        push_u64(out, count);
        out.push(b'\n');
    }

    #[inline]
    fn push_created(&self, out: &mut Vec<u8>, series: &Series, labels: &str) {
        if let Some(start) = &self.family.created {
            start.push(out, labels);
            push_seconds(out, series.created);
            out.push(b'\n');
        }
    }
}

impl Encode for TextEncoder {
    fn start(&mut self, out: &mut Vec<u8>, family: &Family, help: &str) {
        let given = family.shown_name(self.escaping).into_owned();
        match &mut self.dialect {
            Dialect::Text => {
                push_text_header(out, &given, family.kind, help);
                self.family = FamilyLines::text(&given, family);
            }
            Dialect::OpenMetrics { created, plan } => {
                let planned = plan.place(&given, family.kind, || family.is_all_ones());
                push_openmetrics_header(out, &planned, help);
                self.family = FamilyLines::openmetrics(&planned, &given, family, *created);
            }
        }
    }

    #[inline]
    fn series(&mut self, out: &mut Vec<u8>, series: &Series, value: Value<'_>) {
        let labels = series.shown_labels(self.escaping);
        let labels = &*labels;
        match value {
            Value::Counter(total) => {
                self.family.value.push(out, labels);
                push_u64(out, total);
                out.push(b'\n');
                self.push_created(out, series, labels);
            }
            Value::FloatCounter(total) => {
                self.family.value.push(out, labels);
                push_f64(out, total);
                out.push(b'\n');
                self.push_created(out, series, labels);
            }
            Value::Gauge(value) => {
                self.family.value.push(out, labels);
                // An info was all ones when its family was begun; a value that changed since is the next scrape's.
                push_f64(out, if self.family.kind == FamilyType::Info { 1.0 } else { value });
                out.push(b'\n');
            }
            Value::Histogram { counts, sum, exemplars, .. } => {
                let is_text = matches!(self.dialect, Dialect::Text);
                let exemplars = if is_text { &[] } else { exemplars };
                let count = self.push_buckets(out, labels, counts, exemplars);
                // A sum that may fall is no counter, and OpenMetrics has the count only together with the sum.
                if is_text || (sum >= 0.0 && !self.family.has_negative_bounds) {
                    self.push_sum_and_count(out, labels, sum, count);
                }
                self.push_created(out, series, labels);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if matches!(self.dialect, Dialect::OpenMetrics { .. }) {
            out.extend_from_slice(b"# EOF\n");
        }
    }
}

impl FamilyLines {
    fn none() -> Self {
        Self {
            kind: FamilyType::Unknown,
            value: LineStart::default(),
            created: None,
            bucket: LineStart::default(),
            sum: LineStart::default(),
            count: LineStart::default(),
            bounds: Vec::new(),
            has_negative_bounds: false,
        }
    }

    fn text(name: &str, family: &Family) -> Self {
        let bounds = family.bound_texts.iter().map(|bound| le_label(bound)).collect();
        Self { value: LineStart::new(name), ..Self::none() }.with_histogram(name, family, bounds)
    }

    fn openmetrics(planned: &Planned, name: &str, family: &Family, created: Created) -> Self {
        let has_created = matches!(planned.kind, FamilyType::Counter | FamilyType::Histogram)
            && created == Created::Shown;
        let value = match planned.kind {
            FamilyType::Counter => LineStart::new(&format!("{}_total", planned.name)),
            _ => LineStart::new(name),
        };
        let bounds = family.bound_texts.iter().map(|bound| le_label(&as_float(bound))).collect();
        Self {
            kind: planned.kind,
            value,
            created: has_created.then(|| LineStart::new(&format!("{}_created", planned.name))),
            ..Self::none()
        }
        .with_histogram(name, family, bounds)
    }

    fn with_histogram(mut self, name: &str, family: &Family, bounds: Vec<Vec<u8>>) -> Self {
        if family.kind == MetricKind::Histogram {
            self.bucket = LineStart::new(&format!("{name}_bucket"));
            self.sum = LineStart::new(&format!("{name}_sum"));
            self.count = LineStart::new(&format!("{name}_count"));
            self.has_negative_bounds = family.bounds.first().is_some_and(|bound| *bound < 0.0);
            self.bounds = bounds;
        }
        self
    }
}

fn push_text_header(out: &mut Vec<u8>, name: &str, kind: MetricKind, help: &str) {
    if !help.is_empty() {
        out.extend_from_slice(b"# HELP ");
        push_metadata_name(out, name);
        out.push(b' ');
        push_plain_help(out, help);
        out.push(b'\n');
    }
    push_type(out, name, kind.as_str());
}

fn push_openmetrics_header(out: &mut Vec<u8>, planned: &Planned, help: &str) {
    push_type(out, &planned.name, planned.kind.as_str());
    let may_have_unit = !matches!(planned.kind, FamilyType::Info | FamilyType::StateSet);
    if let Some(unit) = unit_of(&planned.name).filter(|_| may_have_unit) {
        out.extend_from_slice(b"# UNIT ");
        push_metadata_name(out, &planned.name);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        out.push(b'\n');
    }
    // A carriage return at the end of a line would be taken for a part of the line's end.
    let help = help.trim_end_matches('\r');
    if !help.is_empty() {
        out.extend_from_slice(b"# HELP ");
        push_metadata_name(out, &planned.name);
        out.push(b' ');
        push_quotable(out, help);
        out.push(b'\n');
    }
}

fn push_type(out: &mut Vec<u8>, name: &str, kind: &str) {
    out.extend_from_slice(b"# TYPE ");
    push_metadata_name(out, name);
    out.push(b' ');
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
}

fn le_label(bound: &str) -> Vec<u8> {
    format!("le=\"{bound}\"}} ").into_bytes()
}

/// A bound as OpenMetrics wants it: with a point or an exponent, so that everyone writes the same text.
fn as_float(bound: &str) -> String {
    let is_whole = bound.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    format!("{bound}{}", if is_whole { ".0" } else { "" })
}

/// A time in seconds, to the millisecond.
pub(super) fn push_seconds(out: &mut Vec<u8>, time: Timestamp) {
    let millis = time.as_millis();
    if millis < 0 {
        out.push(b'-');
    }
    push_u64(out, millis.unsigned_abs() / 1_000);
    out.push(b'.');
    let rest = millis.unsigned_abs() % 1_000;
    // OK because what is left is below a thousand, so each is one digit.
    out.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}
