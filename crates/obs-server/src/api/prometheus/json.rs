//! Writing JSON straight into a buffer, with numbers and times as Prometheus writes them.

use obs_model::{Labels, Timestamp};
use obs_query::promql::NativeHistogram;

/// Writes a text in quotes.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..index]);
        written = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(control >> 4)]);
                out.push(DIGITS[usize::from(control & 0xf)]);
            }
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// Writes texts as an array.
pub(super) fn strings<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    array(out, texts, string);
}

/// Writes an array.
pub(super) fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes a label set as an object.
pub(super) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

/// Writes a time as seconds with at most three digits after the point.
pub(super) fn timestamp(out: &mut Vec<u8>, at: Timestamp) {
    let millis = at.as_millis();
    if millis < 0 {
        out.push(b'-');
    }
    let millis = millis.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(millis / 1_000).as_bytes());
    let fraction = (millis % 1_000) as u32;
    if fraction != 0 {
        let digit = |number: u32| b'0' + (number % 10) as u8;
        out.extend_from_slice(&[
            b'.',
            digit(fraction / 100),
            digit(fraction / 10),
            digit(fraction),
        ]);
    }
}

/// Writes a number in quotes, because JSON numbers cannot be NaN or infinite.
pub(super) fn quoted_number(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    number(out, value);
    out.push(b'"');
}

/// Writes a scalar in quotes: in full, without an exponent, unlike any other number.
pub(super) fn quoted_scalar(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(format!("\"{value}\"").as_bytes());
    } else {
        quoted_number(out, value);
    }
}

/// The largest size up to which every whole number is a float, and is written by its digits.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Writes a number as Go's `strconv` does with the fewest digits: with an exponent below 10⁻⁶ and from 10²¹.
fn number(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if size < WHOLE && value.trunc() == value {
        if value.is_sign_negative() {
            out.push(b'-');
        }
        // OK because the size is whole and below 2⁵³.
        out.extend_from_slice(itoa::Buffer::new().format(size as u64).as_bytes());
    } else if (1e-5..1e15).contains(&size) {
        // In this range ryu writes no exponent, and what is not whole has no `.0`.
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else if (1e-6..1e21).contains(&size) {
        out.extend_from_slice(value.to_string().as_bytes());
    } else {
        scientific(out, value);
    }
}

/// Writes a number with an exponent of at least two digits.
pub(super) fn scientific(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return number(out, value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.extend_from_slice(mantissa.as_bytes());
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ("e-", digits),
        None => ("e+", exponent),
    };
    out.extend_from_slice(sign.as_bytes());
    if digits.len() < 2 {
        out.push(b'0');
    }
    out.extend_from_slice(digits.as_bytes());
}

/// Writes a native histogram: its count, its sum, and its buckets that are not empty.
///
/// Each bucket is which of its bounds belong to it (0: the upper one, 1: the lower one, 2: neither, 3: both), the
/// bounds, and its count.
pub(super) fn histogram(out: &mut Vec<u8>, histogram: &NativeHistogram) {
    out.extend_from_slice(b"{\"count\":");
    quoted_number(out, histogram.count);
    out.extend_from_slice(b",\"sum\":");
    quoted_number(out, histogram.sum);
    let buckets = histogram.buckets();
    if !buckets.is_empty() {
        out.extend_from_slice(b",\"buckets\":");
        array(out, &buckets, |out, bucket| {
            let is_zero_bucket = !histogram.has_custom_buckets() && bucket.lower == -bucket.upper;
            let bounds = match (bucket.lower < 0.0, bucket.upper > 0.0) {
                _ if is_zero_bucket => b'3',
                (true, true) => b'3',
                (true, false) => b'1',
                (false, true) => b'0',
                (false, false) => b'2',
            };
            out.extend_from_slice(&[b'[', bounds]);
            for number in [bucket.lower, bucket.upper, bucket.count] {
                out.push(b',');
                quoted_number(out, number);
            }
            out.push(b']');
        });
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use obs_query::promql::BucketSpan;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.25, "-17.25"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (0.000_001, "0.000001"),
            (0.000_009_9, "0.0000099"),
            (0.000_000_1, "1e-07"),
            (2.5e-10, "2.5e-10"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1_234_567_890_123_456.8, "1234567890123456.8"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| quoted_number(out, value)), format!("\"{expected}\""));
        }
        assert_eq!(written(|out| scientific(out, 12.5)), "1.25e+01");
        assert_eq!(written(|out| quoted_scalar(out, 1e22)), "\"10000000000000000000000\"");
        assert_eq!(written(|out| quoted_scalar(out, f64::INFINITY)), "\"+Inf\"");
    }

    #[test]
    fn times_are_seconds_with_milliseconds_only_where_there_are_some() {
        for (millis, expected) in [
            (0, "0"),
            (1_500, "1.500"),
            (1_000_007, "1000.007"),
            (-1_050, "-1.050"),
            (-7, "-0.007"),
        ] {
            assert_eq!(written(|out| timestamp(out, Timestamp::from_millis(millis))), expected);
        }
    }

    #[test]
    fn a_histogram_says_which_bounds_belong_to_each_bucket() {
        let value = NativeHistogram {
            count: 6.0,
            sum: 1.5,
            zero_threshold: 0.001,
            zero_count: 1.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
            positive_buckets: vec![2.0, 0.0],
            negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
            negative_buckets: vec![3.0],
            ..NativeHistogram::default()
        };
        assert_eq!(
            written(|out| histogram(out, &value)),
            r#"{"count":"6","sum":"1.5","buckets":[[1,"-1","-0.5","3"],[3,"-0.001","0.001","1"],[0,"0.5","1","2"]]}"#
        );
        assert_eq!(
            written(|out| histogram(out, &NativeHistogram::default())),
            r#"{"count":"0","sum":"0"}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let json = written(|out| string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn any_number_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let json = written(|out| number(out, value));
            let back: f64 = json.parse().unwrap();
            prop_assert!(back == value || (back.is_nan() && value.is_nan()), "{} {}", json, value);
        }
    }
}
