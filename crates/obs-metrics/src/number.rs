//! Writing numbers as Prometheus writes them.

use std::io::Write;

/// Appends a float as Go's `strconv.FormatFloat(value, 'g', -1, 64)`, which is what Prometheus and its client
/// libraries write: the shortest digits that read back as the same number, an exponent from 1e+06 up and
/// below 1e-04, and `NaN`, `+Inf`, `-Inf`.
///
/// The same text for bucket bounds matters most: `le` is a label, so `1e+06` and `1000000` are two series.
pub(crate) fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value.trunc() == value
        && value.abs() < 1e6
        && (value != 0.0 || value.is_sign_positive())
    {
        // OK because the number is whole and below a million.
        push_i64(out, value as i64);
    } else {
        push_shortest(out, value);
    }
}

fn push_shortest(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    // OK because writing to a vector cannot fail.
    let _ = write!(out, "{value:e}");
    let Some(at) = out[start..].iter().rposition(|byte| *byte == b'e').map(|at| start + at) else {
        return;
    };
    let exponent: i32 =
        std::str::from_utf8(&out[at + 1..]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) {
        out.truncate(start);
        // OK because `Display` of a float is also the shortest that reads back, without an exponent.
        let _ = write!(out, "{value}");
    } else {
        out.truncate(at);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.abs());
    }
}

/// Appends a whole number in plain digits.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // OK because a remainder by ten is one digit.
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (100_000.0, "100000"),
            (999_999.0, "999999"),
            (123_456.7, "123456.7"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (-5e6, "-5e+06"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn whole_numbers_are_written_in_full() {
        for value in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            push_u64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back_as_itself(value in any::<f64>()) {
            let read: f64 = text(value).parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        }
    }
}
