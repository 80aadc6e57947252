//! Reading the native histograms of a remote write.

use std::sync::Arc;

use obs_model::Timestamp;
use obs_query::promql::{BucketSpan, CounterResetHint, HistogramSample, NativeHistogram};

use super::decode::{Fields, Malformed, Value};

/// The most buckets that a histogram may have, so that a short message cannot stand for a long histogram.
const MAX_BUCKETS: usize = 10_000;

/// Reads one histogram of a series, with its time.
///
/// Its buckets are counts, or whole numbers as differences to the bucket before; here they all become counts.
pub(super) fn read(message: &[u8]) -> Result<HistogramSample, Malformed> {
    let mut at = 0;
    let mut value = NativeHistogram::default();
    let mut fields = Fields::new(message);
    while let Some((field, part)) = fields.next()? {
        match field {
            1 | 2 => value.count = whole_or_float(field, 1, part)?,
            3 => value.sum = part.float(field)?,
            4 => value.schema = zigzag_32(part.varint(field)?),
            5 => value.zero_threshold = part.float(field)?,
            6 | 7 => value.zero_count = whole_or_float(field, 6, part)?,
            8 => value.negative_spans.push(span(part.bytes(field)?)?),
            9 => deltas(part, field, &mut value.negative_buckets)?,
            10 => floats(part, field, &mut value.negative_buckets)?,
            11 => value.positive_spans.push(span(part.bytes(field)?)?),
            12 => deltas(part, field, &mut value.positive_buckets)?,
            13 => floats(part, field, &mut value.positive_buckets)?,
            14 => value.hint = hint(part.varint(field)?),
            15 => at = part.varint(field)?.cast_signed(),
            16 => floats(part, field, &mut value.custom_values)?,
            _ => {}
        }
    }
    check(&value)?;
    Ok(HistogramSample { timestamp: Timestamp::from_millis(at), value: Arc::new(value) })
}

/// Spans and buckets have to fit each other, or buckets would be read that are not there.
fn check(value: &NativeHistogram) -> Result<(), Malformed> {
    for (spans, buckets) in [
        (&value.positive_spans, &value.positive_buckets),
        (&value.negative_spans, &value.negative_buckets),
    ] {
        let length: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        if length != buckets.len() as u64 || buckets.len() > MAX_BUCKETS {
            return Err(Malformed::Histogram);
        }
    }
    if !(-4..=8).contains(&value.schema) && !value.has_custom_buckets() {
        return Err(Malformed::Histogram);
    }
    Ok(())
}

/// A count: as a whole number in the field `whole`, or as a float in the one after it.
fn whole_or_float(field: u32, whole: u32, part: Value<'_>) -> Result<f64, Malformed> {
    if field == whole { Ok(part.varint(field)? as f64) } else { part.float(field) }
}

fn span(message: &[u8]) -> Result<BucketSpan, Malformed> {
    let mut span = BucketSpan::default();
    let mut fields = Fields::new(message);
    while let Some((field, part)) = fields.next()? {
        match field {
            1 => span.offset = zigzag_32(part.varint(field)?),
            2 => {
                span.length =
                    u32::try_from(part.varint(field)?).map_err(|_| Malformed::Histogram)?;
            }
            _ => {}
        }
    }
    Ok(span)
}

/// Differences of whole counts, packed or one to a field.
fn deltas(part: Value<'_>, field: u32, buckets: &mut Vec<f64>) -> Result<(), Malformed> {
    let mut add = |bits: u64| {
        let delta = ((bits >> 1).cast_signed()) ^ -((bits & 1).cast_signed());
        // OK because counts are whole and far below 2⁵³.
        let before = buckets.last().copied().unwrap_or(0.0);
        buckets.push(before + delta as f64);
    };
    match part {
        Value::Varint(bits) => add(bits),
        packed => {
            let mut rest = Fields::new(packed.bytes(field)?);
            while !rest.is_empty() {
                add(rest.varint()?);
            }
        }
    }
    Ok(())
}

/// Floats, packed or one to a field.
fn floats(part: Value<'_>, field: u32, numbers: &mut Vec<f64>) -> Result<(), Malformed> {
    match part {
        Value::Fixed64(bits) => numbers.push(f64::from_bits(bits)),
        packed => {
            let (each, rest) = packed.bytes(field)?.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Malformed::Truncated);
            }
            numbers.extend(each.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        }
    }
    Ok(())
}

/// A signed number of 32 bits, whose sign is its lowest bit.
fn zigzag_32(bits: u64) -> i32 {
    // OK because the number has 32 bits in the message, too.
    let bits = bits as u32;
    (bits >> 1).cast_signed() ^ -((bits & 1).cast_signed())
}

fn hint(number: u64) -> CounterResetHint {
    match number {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::messages::{ProstHistogram, ProstSpan};
    use super::*;

    fn sent() -> ProstHistogram {
        ProstHistogram {
            count_int: Some(12),
            sum: 18.5,
            schema: 1,
            zero_threshold: 0.001,
            zero_count_int: Some(2),
            positive_spans: vec![
                ProstSpan { offset: -2, length: 2 },
                ProstSpan { offset: 1, length: 1 },
            ],
            positive_deltas: vec![1, 3, -2],
            negative_spans: vec![ProstSpan { offset: 0, length: 1 }],
            negative_deltas: vec![3],
            reset_hint: 3,
            timestamp: -15_000,
            ..ProstHistogram::default()
        }
    }

    #[test]
    fn whole_counts_become_counts_of_each_bucket() {
        let read = read(&sent().encode_to_vec()).unwrap();
        assert_eq!(read.timestamp.as_millis(), -15_000);
        let value = &*read.value;
        assert_eq!((value.count, value.sum, value.schema), (12.0, 18.5, 1));
        assert_eq!((value.zero_threshold, value.zero_count), (0.001, 2.0));
        assert_eq!(value.positive_buckets, [1.0, 4.0, 2.0]);
        assert_eq!(value.positive_spans[0], BucketSpan { offset: -2, length: 2 });
        assert_eq!(value.negative_buckets, [3.0]);
        assert_eq!(value.hint, CounterResetHint::Gauge);
    }

    #[test]
    fn counts_that_are_floats_are_taken_as_they_are() {
        let message = ProstHistogram {
            count_float: Some(1.5),
            zero_count_float: Some(0.5),
            schema: -53,
            positive_spans: vec![ProstSpan { offset: 0, length: 1 }],
            positive_counts: vec![1.0],
            custom_values: vec![0.25, 4.0],
            ..ProstHistogram::default()
        };
        let value = read(&message.encode_to_vec()).unwrap().value;
        assert_eq!((value.count, value.zero_count), (1.5, 0.5));
        assert_eq!(
            (&value.positive_buckets[..], &value.custom_values[..]),
            (&[1.0][..], &[0.25, 4.0][..])
        );
    }

    #[test]
    fn buckets_and_spans_that_do_not_fit_are_refused() {
        for change in [
            (|message| message.positive_deltas.push(1)) as fn(&mut ProstHistogram),
            |message| message.negative_spans[0].length = 4_000_000_000,
            |message| message.schema = 9,
        ] {
            let mut message = sent();
            change(&mut message);
            assert_eq!(read(&message.encode_to_vec()).unwrap_err(), Malformed::Histogram);
        }
    }
}
