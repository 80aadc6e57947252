//! Writing numbers as Prometheus writes them.

/// Appends a float as Go's `strconv.FormatFloat(value, 'g', -1, 64)`, which is what Prometheus and its client
/// libraries write: the shortest digits that read back as the same number, an exponent from 1e+06 up and
/// below 1e-04, and `NaN`, `+Inf`, `-Inf`.
///
/// The same text for bucket bounds matters most: `le` is a label, so `1e+06` and `1000000` are two series.
///
/// ```
/// let mut text = Vec::new();
/// obs_model::write_float(&mut text, 2.5e6);
/// assert_eq!(text, b"2.5e+06");
/// ```
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value.trunc() == value
        && value.abs() < 1e6
        && (value != 0.0 || value.is_sign_positive())
    {
        // OK because the number is whole and below a million.
        push_whole(out, value as i64);
    } else {
        push_shortest(out, value);
    }
}

/// Lays out the shortest digits that read back as `value`.
fn push_shortest(out: &mut Vec<u8>, value: f64) {
    let mut shortest = ryu::Buffer::new();
    let text = shortest.format_finite(value).as_bytes();
    let text = match text {
        [b'-', rest @ ..] => {
            out.push(b'-');
            rest
        }
        rest => rest,
    };
    // The digits without point, leading and trailing zeros, and the power of ten of the first of them.
    let mut digits = [0_u8; 24];
    let mut count = 0;
    let mut point = None;
    let mut exponent = 0_i32;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'.' => point = Some(count),
            b'e' => {
                exponent = parse_exponent(&text[at + 1..]);
                break;
            }
            digit => {
                digits[count] = *digit;
                count += 1;
            }
        }
    }
    // OK because there are at most 17 significant digits and a few zeros around them.
    let mut first = point.unwrap_or(count) as i32 - 1 + exponent;
    let leading = digits[..count].iter().take_while(|digit| **digit == b'0').count();
    if leading == count {
        out.push(b'0');
        return;
    }
    first -= leading as i32;
    let trailing = digits[..count].iter().rev().take_while(|digit| **digit == b'0').count();
    push_digits(out, &digits[leading..count - trailing], first);
}

/// Writes `digits` of which the first counts `10^first`.
fn push_digits(out: &mut Vec<u8>, digits: &[u8], first: i32) {
    if !(-4..6).contains(&first) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if first < 0 { b"e-" } else { b"e+" });
        if first.abs() < 10 {
            out.push(b'0');
        }
        push_whole(out, i64::from(first.abs()));
    } else if first < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', first.unsigned_abs() as usize - 1));
        out.extend_from_slice(digits);
    } else {
        // OK because `first` is between 0 and 5 here.
        let whole = first as usize + 1;
        if digits.len() > whole {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        } else {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        }
    }
}

fn parse_exponent(text: &[u8]) -> i32 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn push_whole(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
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

    proptest! {
        #[test]
        fn every_float_reads_back_as_itself(value in any::<f64>()) {
            let read: f64 = text(value).parse().unwrap();
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        }
    }
}
