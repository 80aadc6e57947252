//! Writes JSON values and times straight into a byte buffer, without allocating.

use obs_model::Timestamp;

/// What stands at the end of a text that was cut: `…[truncated N bytes]`.
const CUT_MARK: [&str; 2] = ["…[truncated ", " bytes]"];

/// The most bytes that the mark takes.
pub(crate) const CUT_MARK_BYTES: usize = CUT_MARK[0].len() + 20 + CUT_MARK[1].len();

/// Appends the mark of a text that lost so many bytes.
pub(crate) fn push_cut_mark(out: &mut Vec<u8>, lost: usize) {
    out.extend_from_slice(CUT_MARK[0].as_bytes());
    push_u64(out, lost as u64);
    out.extend_from_slice(CUT_MARK[1].as_bytes());
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as the inside of a JSON string and returns whether it had to be cut.
///
/// At most `budget` bytes are appended. A text that is cut, or that `lost` bytes before it came here, ends with a
/// mark that says how many are missing.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str, lost: usize, budget: usize) -> bool {
    let bytes = text.as_bytes();
    // OK because one byte becomes six at most, so that a short text needs no counting.
    if lost == 0 && (bytes.len().saturating_mul(6) <= budget || escaped_len(bytes) <= budget) {
        push_all(out, bytes);
        return false;
    }
    let room = budget.saturating_sub(CUT_MARK_BYTES);
    let mut used = 0;
    let mut end = 0;
    for character in text.chars() {
        let width = if character.is_ascii() {
            escaped_width(character as u8)
        } else {
            character.len_utf8()
        };
        if used + width > room {
            break;
        }
        used += width;
        end += character.len_utf8();
    }
    push_all(out, &bytes[..end]);
    push_cut_mark(out, lost + bytes.len() - end);
    true
}

/// Appends `text` as a JSON string with its quotes and returns whether it had to be cut; see [`push_escaped`].
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str, lost: usize, budget: usize) -> bool {
    out.push(b'"');
    let cut = push_escaped(out, text, lost, budget);
    out.push(b'"');
    cut
}

/// Whether one of eight bytes must be escaped in a JSON string.
///
/// The usual arithmetic on the bytes of a word: subtracting `n` from each leaves the top bit of some byte set, which was
/// not set before, exactly when one byte is below `n`.
fn needs_escape(eight: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(eight);
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let control = below(word, 0x20);
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (control | quote | backslash) & HIGH != 0
}

/// Whether a text can stand in a JSON string as it is.
fn is_plain(bytes: &[u8]) -> bool {
    if let (Some(_), Some(last)) = (bytes.get(8), bytes.last_chunk::<8>()) {
        // The last word overlaps the one before it.
        let (words, _) = bytes.as_chunks::<8>();
        return !words.iter().any(|word| needs_escape(*word)) && !needs_escape(*last);
    }
    let mut word = [b' '; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    !needs_escape(word)
}

fn push_all(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !is_special(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escaped_width(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

fn escaped_len(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| escaped_width(*byte)).sum()
}

/// Appends a whole number.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a signed whole number.
pub(crate) fn push_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_u64(out, value.unsigned_abs());
}

/// Appends a floating-point number; JSON has no word for those that are not finite, so they become the
/// strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
pub(crate) fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

/// Appends a whole number of nanoseconds as milliseconds: what [`push_f64`] writes of the number nearest to them.
pub(crate) fn push_milliseconds(out: &mut Vec<u8>, nanoseconds: u64) {
    /// From here on a floating-point number has fewer digits than that.
    const TOO_MANY: u64 = 1_000_000_000_000_000;
    /// Below, it is written with an exponent.
    const TOO_FEW: u64 = 10;
    const MILLISECOND: u64 = 1_000_000;
    if !(TOO_FEW..TOO_MANY).contains(&nanoseconds) {
        return push_f64(out, nanoseconds as f64 / MILLISECOND as f64);
    }
    push_u64(out, nanoseconds / MILLISECOND);
    let mut rest = (nanoseconds % MILLISECOND) as u32;
    let mut digits = *b".000000";
    for digit in digits.iter_mut().skip(1).rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    // One digit stands behind the point, whatever it is.
    let last = digits.iter().rposition(|digit| *digit != b'0').unwrap_or_default().max(1);
    out.extend_from_slice(&digits[..=last]);
}

/// The hexadecimal digits of `value`, in lower case.
///
/// Each digit is moved into a byte of its own, and all eight become characters at once: adding 6 to a digit carries into the
/// upper half of its byte where it is one of the letters.
fn hex_digits(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut spread = u64::from(value);
    for (shift, mask) in
        [(16, 0x0000_ffff_0000_ffff), (8, 0x00ff_00ff_00ff_00ff), (4, 0x0f0f_0f0f_0f0f_0f0f)]
    {
        spread = (spread | spread << shift) & mask;
    }
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The sixteen hexadecimal digits of a number.
pub(crate) fn hex_64(value: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let (first, second) = digits.split_at_mut(8);
    first.copy_from_slice(&hex_digits((value >> 32) as u32));
    second.copy_from_slice(&hex_digits(value as u32));
    digits
}

/// The hexadecimal digits of a number of 128 bits.
pub(crate) fn hex_128(value: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    let (first, second) = digits.split_at_mut(16);
    first.copy_from_slice(&hex_64((value >> 64) as u64));
    second.copy_from_slice(&hex_64(value as u64));
    digits
}

/// Appends formatted text as it is.
pub(crate) fn push_display(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // OK because writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

/// Writes times in RFC 3339 and keeps the last one, of which most lines share all or all but the milliseconds.
#[derive(Default)]
pub(crate) struct TimeWriter {
    at: Option<Timestamp>,
    text: Vec<u8>,
}

impl TimeWriter {
    /// Appends a time in UTC with milliseconds.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, at: Timestamp) {
        if self.at != Some(at) {
            self.change(at);
        }
        out.extend_from_slice(&self.text);
    }

    fn change(&mut self, at: Timestamp) {
        let second = |at: Timestamp| at.as_millis().div_euclid(1_000);
        let is_near = self.at.is_some_and(|kept| second(kept) == second(at));
        match self.text.last_chunk_mut::<4>() {
            // OK because the text always ends with three digits and `Z`.
            Some([hundreds, tens, ones, _]) if is_near => {
                let millis = at.as_millis().rem_euclid(1_000) as u16;
                for (digit, value) in
                    [(hundreds, millis / 100), (tens, millis / 10 % 10), (ones, millis % 10)]
                {
                    *digit = b'0' + value as u8;
                }
            }
            _ => {
                self.text.clear();
                push_display(&mut self.text, format_args!("{at}"));
            }
        }
        self.at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn numbers_are_written_as_json_reads_them() {
        for value in [0, 7, -1, i64::MAX, i64::MIN] {
            assert_eq!(written(|out| push_i64(out, value)), value.to_string());
        }
        assert_eq!(written(|out| push_u64(out, u64::MAX)), u64::MAX.to_string());
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (1e300, "1e+300"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(written(|out| push_f64(out, value)), expected);
        }
    }

    #[test]
    fn times_that_share_a_second_are_written_like_all_others() {
        let mut writer = TimeWriter::default();
        for millis in [0, 1, 999, 1_000, 1_700_000_000_123, 1_700_000_000_456, -1, -1_001] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(written(|out| writer.push(out, at)), at.to_string());
        }
    }

    #[test]
    fn a_text_over_its_budget_is_cut_and_marked() {
        let text = written(|out| assert!(push_string(out, &"é\n".repeat(100), 0, 60)));
        assert_eq!(text, format!("\"é{}…[truncated 286 bytes]\"", r"\né".repeat(4)));
        assert!(text.len() <= 62);
        serde_json::from_str::<String>(&text).expect("a cut text is still JSON");
    }

    proptest! {
        #[test]
        fn hexadecimal_digits_are_those_of_the_standard_library(high: u64, low: u64) {
            let value = u128::from(high) << 64 | u128::from(low);
            prop_assert_eq!(hex_128(value).to_vec(), format!("{value:032x}").into_bytes());
        }

        #[test]
        fn milliseconds_are_written_as_the_number_nearest_to_them_is(
            digits in 0_u32..19,
            number: u64,
        ) {
            for number in [number % 10_u64.pow(digits), number % 1_000 * 10_u64.pow(digits % 16)] {
                let expected = written(|out| push_f64(out, number as f64 / 1e6));
                prop_assert_eq!(written(|out| push_milliseconds(out, number)), expected, "{}", number);
            }
        }

        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let json = written(|out| { push_string(out, &text, 0, usize::MAX); });
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn no_text_exceeds_its_budget(text in any::<String>(), budget in 50_usize..200, lost in 0_usize..9) {
            let json = written(|out| { push_string(out, &text, lost, budget); });
            prop_assert!(json.len() <= budget + 2);
            prop_assert!(serde_json::from_str::<String>(&json).is_ok());
            prop_assert!(!json.contains('\n'));
        }
    }
}
