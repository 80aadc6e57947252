//! Series as a test writes them: a metric and a sequence of values.

use std::sync::Arc;

use obs_model::Labels;

use crate::STALE;
use crate::promql::{
    BucketSpan, CounterResetHint, NativeHistogram, label_set, number, parse_metric,
};

/// One place in a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SequenceValue {
    Gap,
    Float(f64),
    Histogram(Arc<NativeHistogram>, HintGiven),
}

/// Whether a test says what is known of a reset before a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HintGiven {
    Yes,
    No,
}

/// Reads a line `metric value value …`.
pub(super) fn parse(line: &str) -> Result<(Labels, Vec<SequenceValue>), String> {
    let (metric, values) = line.split_at(metric_end(line));
    let labels =
        parse_metric(metric).and_then(label_set).map_err(|error| format!("{metric:?}: {error}"))?;
    let mut sequence = Vec::new();
    let mut rest = values.trim_start();
    while !rest.is_empty() {
        rest = item(rest, &mut sequence)?.trim_start();
    }
    Ok((labels, sequence))
}

/// Where the metric ends: behind its braces, or at the first blank if it has none.
fn metric_end(line: &str) -> usize {
    let name = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))
        .unwrap_or(line.len());
    let blank = line[name..].len() - line[name..].trim_start().len();
    if !line[name + blank..].starts_with('{') || line[name + blank..].starts_with("{{") {
        return name;
    }
    let (mut quote, mut escaped) = (None, false);
    for (index, character) in line.char_indices().skip_while(|(index, _)| *index < name + blank) {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '}') => return index + 1,
            (None, _) => {}
        }
    }
    line.len()
}

/// Reads one item, which can stand for several values, and says what is left.
fn item<'t>(text: &'t str, sequence: &mut Vec<SequenceValue>) -> Result<&'t str, String> {
    if let Some(rest) = text.strip_prefix('_') {
        let (times, rest) = repetitions(rest)?;
        sequence.extend(vec![SequenceValue::Gap; times.unwrap_or(1)]);
        return separated(rest);
    }
    if let Some(rest) = text.strip_prefix("stale") {
        sequence.push(SequenceValue::Float(STALE));
        return separated(rest);
    }
    if text.starts_with("{{") {
        return histogram_item(text, sequence);
    }
    let (first, rest) = signed(text)?;
    let (step, rest) = match rest.chars().next() {
        Some('+' | '-') => signed(rest).map(|(step, rest)| (Some(step), rest))?,
        _ => (None, rest),
    };
    let (times, rest) = repetitions(rest)?;
    if step.is_some() && times.is_none() {
        return Err(format!("{text:?}: expected xN after a step"));
    }
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        sequence.push(SequenceValue::Float(value));
        value += step.unwrap_or(0.0);
    }
    separated(rest)
}

fn separated(rest: &str) -> Result<&str, String> {
    if rest.is_empty() || rest.starts_with([' ', '\t']) {
        Ok(rest)
    } else {
        Err(format!("unexpected {rest:?} in a sequence of values: expected a blank"))
    }
}

/// Reads `xN`, if it stands here.
fn repetitions(text: &str) -> Result<(Option<usize>, &str), String> {
    const MOST: usize = 1_000_000;
    let Some(rest) = text.strip_prefix('x') else {
        return Ok((None, text));
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    match rest[..end].parse() {
        Ok(times) if times <= MOST => Ok((Some(times), &rest[end..])),
        _ => Err(format!("{text:?}: expected x and a number up to {MOST}")),
    }
}

/// Reads a number, with or without sign; `x` ends it.
fn signed(text: &str) -> Result<(f64, &str), String> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut end = 0;
    let bytes = body.as_bytes();
    while let Some(byte) = bytes.get(end) {
        let after_exponent =
            end > 0 && matches!(bytes[end - 1], b'e' | b'E') && bytes[0].is_ascii_digit();
        match byte {
            b'+' | b'-' if !after_exponent => break,
            b'x' | b' ' | b'\t' | b'}' | b']' => break,
            _ => end += 1,
        }
    }
    let value =
        number(&body[..end]).ok_or_else(|| format!("{:?} is not a number", &body[..end]))?;
    Ok((if negative { -value } else { value }, &body[end..]))
}

fn histogram_item<'t>(text: &'t str, sequence: &mut Vec<SequenceValue>) -> Result<&'t str, String> {
    let (first, hint, rest) = histogram(text)?;
    let (step, hint, rest) = match rest.chars().next() {
        Some(sign @ ('+' | '-')) => {
            let (step, hint, rest) = histogram(&rest[1..])?;
            (Some((sign, step)), hint, rest)
        }
        _ => (None, hint, rest),
    };
    let (times, rest) = repetitions(rest)?;
    let mut value = first;
    for index in 0..=times.unwrap_or(0) {
        if let (Some((sign, step)), true) = (&step, index > 0) {
            let next = if *sign == '+' { value.plus(step) } else { value.minus(step) };
            value = next.map_err(|mismatch| format!("{text:?}: {mismatch:?}"))?;
        }
        sequence.push(SequenceValue::Histogram(Arc::new(value.clone()), hint));
    }
    separated(rest)
}

/// Reads `{{key:value …}}`.
fn histogram(text: &str) -> Result<(NativeHistogram, HintGiven, &str), String> {
    let body = text.strip_prefix("{{").ok_or_else(|| format!("{text:?}: expected {{{{"))?;
    let end = body.find("}}").ok_or_else(|| format!("{text:?}: expected }}}}"))?;
    let mut histogram = NativeHistogram::default();
    let mut hint = HintGiven::No;
    let (mut offset, mut negative_offset) = (0, 0);
    let mut rest = body[..end].trim();
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once(':').ok_or_else(|| format!("{rest:?}: expected key:value"))?;
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').ok_or_else(|| format!("{rest:?}: expected ]"))?,
            None => after.split_once([' ', '\t']).unwrap_or((after, "")),
        };
        let float = || signed(value.trim()).map(|(value, _)| value);
        let integer = || value.trim().parse::<i32>().map_err(|error| format!("{value:?}: {error}"));
        match key.trim() {
            "schema" => histogram.schema = integer()?,
            "sum" => histogram.sum = float()?,
            "count" => histogram.count = float()?,
            "z_bucket" => histogram.zero_count = float()?,
            "z_bucket_w" => histogram.zero_threshold = float()?,
            "offset" => offset = integer()?,
            "n_offset" => negative_offset = integer()?,
            "buckets" => histogram.positive_buckets = list(value)?,
            "n_buckets" => histogram.negative_buckets = list(value)?,
            "custom_values" => histogram.custom_values = list(value)?,
            "counter_reset_hint" => {
                hint = HintGiven::Yes;
                histogram.hint = self::hint(value.trim())?;
            }
            other => return Err(format!("{other:?} is no part of a histogram")),
        }
        rest = after.trim_start();
    }
    histogram.positive_spans = spans(offset, &histogram.positive_buckets);
    histogram.negative_spans = spans(negative_offset, &histogram.negative_buckets);
    Ok((histogram, hint, &body[end + 2..]))
}

fn hint(word: &str) -> Result<CounterResetHint, String> {
    Ok(match word {
        "unknown" => CounterResetHint::Unknown,
        "reset" => CounterResetHint::Reset,
        "not_reset" => CounterResetHint::NotReset,
        "gauge" => CounterResetHint::Gauge,
        other => return Err(format!("{other:?}: expected unknown, reset, not_reset or gauge")),
    })
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    text.split_whitespace().map(|word| signed(word).map(|(value, _)| value)).collect()
}

fn spans(offset: i32, buckets: &[f64]) -> Vec<BucketSpan> {
    match u32::try_from(buckets.len()) {
        Ok(length) if length > 0 => vec![BucketSpan { offset, length }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(line: &str) -> Vec<Option<f64>> {
        let (_, values) = parse(line).unwrap();
        values
            .into_iter()
            .map(|value| match value {
                SequenceValue::Float(value) => Some(value),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_sequence_repeats_and_steps() {
        assert_eq!(floats("a 1 -2.5 1e3"), [Some(1.0), Some(-2.5), Some(1_000.0)]);
        assert_eq!(floats("a 0x2"), [Some(0.0); 3]);
        assert_eq!(floats("a 1+2x2 5-1x1"), [1.0, 3.0, 5.0, 5.0, 4.0].map(Some));
        assert_eq!(floats("a _ _x2 7"), [None, None, None, Some(7.0)]);
        assert_eq!(floats("{} 1e+06+1x1"), [1e6, 1e6 + 1.0].map(Some));
        assert!(floats("a NaN +Inf -Inf")[0].unwrap().is_nan());
        assert!(crate::is_stale(floats("a stale")[0].unwrap()));
    }

    #[test]
    fn a_metric_may_have_blanks_and_braces_in_its_labels() {
        let (labels, values) = parse("a:b{x=\"} 1\", y='\\''}  3").unwrap();
        assert_eq!(labels.to_string(), "a:b{x=\"} 1\",y=\"'\"}");
        assert_eq!(values, [SequenceValue::Float(3.0)]);
        assert_eq!(parse("{} 1").unwrap().0, Labels::empty());
    }

    #[test]
    fn a_histogram_is_read_with_its_parts() {
        let (_, values) =
            parse("a {{schema:1 sum:-0.3 count:3 buckets:[1 2] offset:-1}}+{{schema:1 count:1 buckets:[1]}}x1")
                .unwrap();
        let [SequenceValue::Histogram(first, _), SequenceValue::Histogram(second, _)] = &values[..]
        else {
            panic!("{values:?}");
        };
        assert_eq!((first.schema, first.sum, first.count), (1, -0.3, 3.0));
        assert_eq!(first.positive_spans, [BucketSpan { offset: -1, length: 2 }]);
        assert_eq!((second.count, second.positive_buckets.clone()), (4.0, vec![1.0, 3.0]));
    }

    #[test]
    fn what_is_no_sequence_is_refused() {
        for line in
            ["a 1+2", "a x5", "a 1y", "a {{schema:1", "a {{colour:1}}", "a 1x99999999", "a{b=c} 1"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
