//! The rules for the samples of one family: values by type, grouping and order by labels and timestamp, and that a
//! histogram's buckets, count and sum agree.

use std::collections::{HashMap, HashSet};
use std::mem;

use super::cursor::number;
use super::family::Format;
use super::{FamilyType, Sample};

/// What a sample's name has behind its family's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Suffix {
    Value,
    Total,
    Created,
    Bucket,
    Count,
    Sum,
    GaugeCount,
    GaugeSum,
    Info,
}

impl Suffix {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::Total => "_total",
            Self::Created => "_created",
            Self::Bucket => "_bucket",
            Self::Count => "_count",
            Self::Sum => "_sum",
            Self::GaugeCount => "_gcount",
            Self::GaugeSum => "_gsum",
            Self::Info => "_info",
        }
    }
}

/// Every point of one family.
pub(super) struct Points {
    format: Format,
    /// By the labels that all samples of a metric share.
    metrics: HashMap<String, Point>,
    /// Which metric the last sample belongs to.
    current: Option<String>,
}

/// What is known of the present point of one metric: the samples with its labels at one timestamp.
#[derive(Default)]
struct Point {
    line: usize,
    timestamp: Option<f64>,
    seen: HashSet<(Suffix, String)>,
    /// The bound and the count of the last bucket.
    bucket: Option<(f64, f64)>,
    quantile: Option<f64>,
    count: Option<f64>,
    sum: Option<f64>,
    has_negative_buckets: bool,
}

/// What is wrong with a sample.
type Reason = String;

/// What is wrong with a point, and the line of its last sample.
type PointProblem = (usize, Reason);

impl Points {
    pub(super) fn new(format: Format) -> Self {
        Self { format, metrics: HashMap::new(), current: None }
    }

    /// Checks a sample, and says whether it is new: OpenMetrics allows a sample to stand again with the same
    /// timestamp, since timestamps may have been cut to fewer digits.
    pub(super) fn add(
        &mut self,
        line: usize,
        family: &str,
        kind: FamilyType,
        suffix: Suffix,
        sample: &Sample,
    ) -> Result<bool, PointProblem> {
        let here = |reason| (line, reason);
        check_exemplar(kind, suffix, sample).map_err(here)?;
        if self.format == Format::OpenMetrics {
            check_value(kind, suffix, sample.value).map_err(here)?;
        }
        let special = special_label(kind, suffix, family, sample).map_err(here)?;
        if kind == FamilyType::Info {
            return self.add_info(sample).map_err(here);
        }
        let metric = label_key(sample, special.map(|(name, _)| name));
        if self.current.as_ref() != Some(&metric) {
            self.enter(kind, &metric)
                .map_err(|problem| problem.unwrap_or_else(|reason| (line, reason)))?;
        }
        let point = self.metrics.entry(metric).or_default();
        if point.line > 0 {
            if self.format == Format::OpenMetrics {
                check_timestamps(point.timestamp, sample.timestamp).map_err(here)?;
            }
            if self.format == Format::OpenMetrics && point.timestamp != sample.timestamp {
                mem::take(point).finish(kind)?;
            }
        }
        point.line = line;
        point.timestamp = sample.timestamp;
        let id = (suffix, special.map_or_else(String::new, |(_, value)| value.to_owned()));
        if !point.seen.insert(id) {
            return if sample.timestamp.is_some() && self.format == Format::OpenMetrics {
                Ok(false)
            } else {
                Err(here(format!("a second {:?} with the same labels", sample.name)))
            };
        }
        point
            .take(self.format, suffix, special.map(|(_, value)| value), sample.value)
            .map_err(here)?;
        Ok(true)
    }

    /// Ends the family.
    pub(super) fn finish(self, kind: FamilyType) -> Result<(), PointProblem> {
        // The order of a hash map is arbitrary; the problem of the first line is the one to tell.
        let mut points: Vec<_> = self.metrics.into_values().collect();
        points.sort_by_key(|point| point.line);
        points.into_iter().try_for_each(|point| point.finish(kind))
    }

    /// Goes over to another metric; in OpenMetrics the one before is complete.
    fn enter(
        &mut self,
        kind: FamilyType,
        metric: &str,
    ) -> Result<(), Result<PointProblem, Reason>> {
        let before = self.current.replace(metric.to_owned());
        if self.format == Format::Text {
            return Ok(());
        }
        if self.metrics.contains_key(metric) {
            return Err(Err(String::from(
                "samples with the same labels stand apart: metrics must not be interleaved",
            )));
        }
        match before.and_then(|before| self.metrics.get_mut(&before)) {
            Some(point) => mem::take(point).finish(kind).map_err(Ok),
            None => Ok(()),
        }
    }

    /// An info's labels do not tell which of them belong to the metric, so there is nothing to be interleaved.
    fn add_info(&mut self, sample: &Sample) -> Result<bool, Reason> {
        let key = label_key(sample, None);
        let time = sample.timestamp.map_or_else(String::new, |time| time.to_string());
        let is_new = self.metrics.entry(key).or_default().seen.insert((Suffix::Info, time));
        if is_new || sample.timestamp.is_some() {
            Ok(is_new)
        } else {
            Err(format!("a second {:?} with the same labels", sample.name))
        }
    }
}

impl Point {
    /// Takes in what the samples of a point must agree about.
    fn take(
        &mut self,
        format: Format,
        suffix: Suffix,
        special: Option<&str>,
        value: f64,
    ) -> Result<(), Reason> {
        let special = special.and_then(number);
        match suffix {
            Suffix::Bucket => self.take_bucket(special.unwrap_or(f64::NAN), value)?,
            Suffix::Count | Suffix::GaugeCount => self.count = Some(value),
            Suffix::Sum | Suffix::GaugeSum => self.sum = Some(value),
            Suffix::Value if format == Format::Text => {
                if let (Some(before), Some(now)) = (self.quantile, special)
                    && now <= before
                {
                    return Err(format!("the quantile {now} stands behind {before}"));
                }
                self.quantile = special;
            }
            Suffix::Value | Suffix::Total | Suffix::Created | Suffix::Info => {}
        }
        Ok(())
    }

    fn take_bucket(&mut self, bound: f64, value: f64) -> Result<(), Reason> {
        if let Some((last_bound, last_value)) = self.bucket {
            if bound <= last_bound {
                return Err(format!(
                    "the bucket {bound} stands behind {last_bound}: bounds must rise"
                ));
            }
            if value < last_value {
                return Err(format!(
                    "a bucket counts {value}, the smaller one before it {last_value}: buckets are cumulative"
                ));
            }
        }
        self.has_negative_buckets |= bound < 0.0;
        self.bucket = Some((bound, value));
        Ok(())
    }

    /// Checks what only a complete point shows.
    fn finish(self, kind: FamilyType) -> Result<(), PointProblem> {
        let result = match kind {
            FamilyType::Histogram | FamilyType::GaugeHistogram => self.finish_histogram(kind),
            FamilyType::Counter => self.finish_counter(),
            _ => Ok(()),
        };
        result.map_err(|reason| (self.line, reason))
    }

    fn finish_counter(&self) -> Result<(), Reason> {
        let has = |wanted| self.seen.iter().any(|(suffix, _)| *suffix == wanted);
        if has(Suffix::Created) && !has(Suffix::Total) {
            return Err(String::from("a counter has a _created but no _total"));
        }
        Ok(())
    }

    fn finish_histogram(&self, kind: FamilyType) -> Result<(), Reason> {
        if self.line == 0 {
            return Ok(());
        }
        let total = match self.bucket {
            Some((bound, total)) if bound == f64::INFINITY => total,
            _ => return Err(String::from("a histogram has no bucket with le=\"+Inf\"")),
        };
        match (self.count, self.sum) {
            (Some(count), _) if count != total => {
                return Err(format!("the count is {count}, the bucket of +Inf counts {total}"));
            }
            (None, Some(_)) => return Err(String::from("a histogram has a sum but no count")),
            (Some(_), None) => return Err(String::from("a histogram has a count but no sum")),
            _ => {}
        }
        let Some(sum) = self.sum else { return Ok(()) };
        if kind == FamilyType::Histogram && self.has_negative_buckets {
            return Err(String::from(
                "a histogram with a negative bound has a sum, which may fall and so is no counter",
            ));
        }
        if kind == FamilyType::GaugeHistogram && sum < 0.0 && !self.has_negative_buckets {
            return Err(String::from("a sum is negative, yet no bucket has a negative bound"));
        }
        Ok(())
    }
}

/// The label that tells the samples of one point apart, and its value; checks that it is there and makes sense.
fn special_label<'a>(
    kind: FamilyType,
    suffix: Suffix,
    family: &'a str,
    sample: &'a Sample,
) -> Result<Option<(&'a str, &'a str)>, Reason> {
    let reserved = match kind {
        FamilyType::Histogram | FamilyType::GaugeHistogram => "le",
        FamilyType::Summary => "quantile",
        FamilyType::StateSet => family,
        _ => return Ok(None),
    };
    let value = sample.label(reserved);
    if !matches!(
        (kind, suffix),
        (FamilyType::StateSet | FamilyType::Summary, Suffix::Value) | (_, Suffix::Bucket)
    ) {
        return match value {
            Some(_) => Err(format!("{:?} has the label {reserved:?}", sample.name)),
            None => Ok(None),
        };
    }
    let Some(value) = value else {
        return Err(format!("{:?} lacks the label {reserved:?}", sample.name));
    };
    if kind == FamilyType::StateSet {
        return Ok(Some((reserved, value)));
    }
    let accepted = match number(value) {
        Some(bound) if suffix == Suffix::Bucket => {
            !bound.is_nan()
                && (bound != f64::INFINITY || value == "+Inf" || number_overflows(value))
        }
        Some(quantile) => (0.0..=1.0).contains(&quantile),
        None => false,
    };
    if accepted {
        Ok(Some((reserved, value)))
    } else {
        let wanted =
            if suffix == Suffix::Bucket { "a number or +Inf" } else { "a number from 0 to 1" };
        Err(format!("{reserved} is {value:?}: {wanted} is accepted"))
    }
}

/// Whether a text is digits that are too large for a float, rather than a word for infinity.
fn number_overflows(text: &str) -> bool {
    super::cursor::real_number(text).is_some()
}

/// The values that OpenMetrics allows.
fn check_value(kind: FamilyType, suffix: Suffix, value: f64) -> Result<(), Reason> {
    let refuse = |what: &str| Err(format!("the value is {value}: {what}"));
    match (kind, suffix) {
        (FamilyType::StateSet, _) if value != 0.0 && value != 1.0 => {
            refuse("a stateset has only 0 and 1")
        }
        (FamilyType::Info, _) if value != 1.0 => refuse("an info has only 1"),
        (_, Suffix::GaugeSum) if value.is_nan() => refuse("a sum must not be NaN"),
        (_, Suffix::Total | Suffix::Sum) if value.is_nan() || value < 0.0 => {
            refuse("a total must be neither NaN nor negative")
        }
        (_, Suffix::Bucket | Suffix::Count | Suffix::GaugeCount)
            if !value.is_finite() || value < 0.0 || value.fract() != 0.0 =>
        {
            refuse("a count must be a whole number that is not negative")
        }
        (_, Suffix::Created) if !value.is_finite() => refuse("a time must be a finite number"),
        (FamilyType::Summary, Suffix::Value) if value < 0.0 => {
            refuse("a quantile must not be negative")
        }
        _ => Ok(()),
    }
}

fn check_exemplar(kind: FamilyType, suffix: Suffix, sample: &Sample) -> Result<(), Reason> {
    let Some(exemplar) = &sample.exemplar else { return Ok(()) };
    let of_bucket = matches!(kind, FamilyType::Histogram | FamilyType::GaugeHistogram)
        && suffix == Suffix::Bucket;
    let of_total = kind == FamilyType::Counter && suffix == Suffix::Total;
    if !of_bucket && !of_total {
        return Err(format!(
            "{:?} of a {} has an exemplar: only totals and buckets may have one",
            sample.name,
            kind.as_str()
        ));
    }
    match sample.label("le").and_then(number) {
        Some(bound) if of_bucket && exemplar.value > bound => Err(format!(
            "the exemplar's value {} is beyond the bucket's bound {bound}",
            exemplar.value
        )),
        _ => Ok(()),
    }
}

fn check_timestamps(before: Option<f64>, now: Option<f64>) -> Result<(), Reason> {
    match (before, now) {
        (Some(before), Some(now)) if now < before => {
            Err(format!("the timestamp {now} stands behind {before}"))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(String::from("samples with the same labels have a timestamp and have none"))
        }
        _ => Ok(()),
    }
}

/// The labels but `without`, in an order of their own, as one text.
fn label_key(sample: &Sample, without: Option<&str>) -> String {
    let mut labels: Vec<_> =
        sample.labels.iter().filter(|(name, _)| Some(name.as_str()) != without).collect();
    labels.sort_unstable();
    let mut key = String::new();
    for (name, value) in labels {
        // The lengths keep two different sets from being one text.
        key.push_str(&format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    key
}
