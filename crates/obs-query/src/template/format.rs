//! Writing values as Go's `fmt` does.

use std::fmt::Write as _;

use obs_model::write_float;

use super::time;
use super::value::{Pairs, Value};
use crate::promql::Text;

/// The longest text that a template may make, in bytes.
pub(super) const MAX_OUTPUT_BYTES: usize = 256 * 1_024;

/// The largest width or precision: what Rust's formatting can do.
const MAX_WIDTH: usize = u16::MAX as usize;

/// A text that grows up to a limit; what comes after that is left out, and noted.
#[derive(Debug, Default)]
pub(super) struct Output {
    text: String,
    is_full: bool,
}

impl Output {
    pub(super) fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_OUTPUT_BYTES {
            self.is_full = true;
        }
        if !self.is_full {
            self.text.push_str(text);
        }
    }

    /// The text, if it was not longer than it may be.
    pub(super) fn finish(self) -> Result<String, String> {
        if self.is_full {
            return Err(format!(
                "the text is too long: at most {MAX_OUTPUT_BYTES} bytes are accepted"
            ));
        }
        Ok(self.text)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }
}

/// How a value is to be written: what stands between `%` and the end of the verb.
#[derive(Clone, Copy, Debug)]
struct Verb {
    verb: char,
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

impl Verb {
    const fn plain(verb: char) -> Self {
        Self {
            verb,
            plus: false,
            minus: false,
            space: false,
            zero: false,
            sharp: false,
            width: 0,
            precision: None,
        }
    }
}

/// Writes a value as `%v`.
pub(super) fn value(out: &mut Output, value: &Value) {
    write(out, value, Verb::plain('v'));
}

/// Writes values as `fmt.Sprint` does: with spaces between those that are no texts.
pub(super) fn print(values: &[Value], line: bool) -> Result<String, String> {
    let mut out = Output::default();
    for (index, it) in values.iter().enumerate() {
        let is_text = |it: &Value| matches!(it, Value::Text(_));
        if index > 0 && (line || !(is_text(it) || is_text(&values[index - 1]))) {
            out.push(" ");
        }
        value(&mut out, it);
    }
    if line {
        out.push("\n");
    }
    out.finish()
}

/// Writes values as `fmt.Sprintf` does.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = Output::default();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push(before);
        rest = after;
        let mut verb = Verb::plain('\0');
        rest = flags(rest, &mut verb);
        let mut bad = None;
        (verb.width, rest) = match size(rest, &mut values) {
            Ok((width, rest)) => (width.unwrap_or_default(), rest),
            Err(rest) => {
                bad = Some("%!(BADWIDTH)");
                (0, rest)
            }
        };
        if let Some(after) = rest.strip_prefix('.') {
            (verb.precision, rest) = match size(after, &mut values) {
                Ok((precision, rest)) => (Some(precision.unwrap_or_default()), rest),
                Err(rest) => {
                    bad = Some("%!(BADPREC)");
                    (None, rest)
                }
            };
        }
        out.push(bad.unwrap_or_default());
        let Some(letter) = rest.chars().next() else {
            out.push("%!(NOVERB)");
            break;
        };
        rest = &rest[letter.len_utf8()..];
        verb.verb = letter;
        if letter == '%' {
            out.push("%");
        } else if let Some(value) = values.next() {
            write(&mut out, value, verb);
        } else {
            out.push(&format!("%!{letter}(MISSING)"));
        }
    }
    out.push(rest_after_verbs(rest));
    extra(&mut out, values.as_slice());
    out.finish()
}

/// What is left of a format when there is no verb any more.
fn rest_after_verbs(rest: &str) -> &str {
    if rest.contains('%') { "" } else { rest }
}

fn extra(out: &mut Output, values: &[Value]) {
    if values.is_empty() {
        return;
    }
    out.push("%!(EXTRA ");
    for (index, it) in values.iter().enumerate() {
        out.push(if index == 0 { "" } else { ", " });
        if matches!(it, Value::None) {
            out.push("<nil>");
        } else {
            out.push(it.type_name());
            out.push("=");
            value(out, it);
        }
    }
    out.push(")");
}

fn flags<'a>(text: &'a str, verb: &mut Verb) -> &'a str {
    for (index, flag) in text.char_indices() {
        match flag {
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            ' ' => verb.space = true,
            '#' => verb.sharp = true,
            '0' => verb.zero = true,
            _ => return &text[index..],
        }
    }
    ""
}

/// Reads a width or precision, which may be `*` for the next value; the error is the text behind a bad one.
fn size<'a>(
    text: &'a str,
    values: &mut std::slice::Iter<'_, Value>,
) -> Result<(Option<usize>, &'a str), &'a str> {
    if let Some(rest) = text.strip_prefix('*') {
        return match values.next() {
            Some(Value::Integer(size)) => match usize::try_from(*size) {
                Ok(size) if size <= MAX_WIDTH => Ok((Some(size), rest)),
                _ => Err(rest),
            },
            _ => Err(rest),
        };
    }
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (size, rest) = text.split_at(digits);
    if size.is_empty() {
        return Ok((None, rest));
    }
    match size.parse() {
        Ok(size) if size <= MAX_WIDTH => Ok((Some(size), rest)),
        _ => Err(rest),
    }
}

fn write(out: &mut Output, value: &Value, verb: Verb) {
    if out.is_full() {
        return;
    }
    let letter = verb.verb;
    if letter == 'T' {
        return pad(out, value.type_name(), verb);
    }
    match value {
        Value::None if letter == 'v' => pad(out, "<nil>", verb),
        Value::None => out.push(&format!("%!{letter}(<nil>)")),
        Value::Bool(it) if matches!(letter, 't' | 'v') => {
            pad(out, if *it { "true" } else { "false" }, verb);
        }
        Value::Integer(it) => integer(out, *it, verb),
        Value::Float(it) => float(out, *it, verb),
        Value::Text(text) => string(out, text, verb, "string"),
        Value::Time(millis) => string(out, &time::text(*millis), verb, "time.Time"),
        Value::Histogram(histogram) => string(out, &histogram.to_string(), verb, "histogram"),
        Value::Pairs(pairs) => write_pairs(out, pairs, verb),
        Value::Mapping(mapping) => {
            out.push("map[");
            for (index, (name, it)) in mapping.iter().enumerate() {
                out.push(if index == 0 { "" } else { " " });
                string(out, name, verb, "string");
                out.push(":");
                write(out, it, verb);
            }
            out.push("]");
        }
        Value::Vector(points) => {
            out.push("[");
            for (index, point) in points.iter().enumerate() {
                out.push(if index == 0 { "" } else { " " });
                write(out, &Value::Point(point.clone()), verb);
            }
            out.push("]");
        }
        Value::Point(point) => {
            out.push("{");
            write_pairs(out, &point.labels, verb);
            out.push(" ");
            float(out, point.value, verb);
            out.push("}");
        }
        Value::Data(data) => {
            out.push("{");
            write_pairs(out, &data.labels, verb);
            out.push(" ");
            write_pairs(out, &data.external_labels, verb);
            out.push(" ");
            string(out, &data.external_url, verb, "string");
            out.push(" ");
            write(out, &data.value, verb);
            out.push("}");
        }
        Value::Bool(_) => bad(out, value, letter),
    }
}

fn write_pairs(out: &mut Output, pairs: &Pairs, verb: Verb) {
    out.push("map[");
    for (index, (name, value)) in pairs.iter().enumerate() {
        out.push(if index == 0 { "" } else { " " });
        string(out, name, verb, "string");
        out.push(":");
        string(out, value, verb, "string");
    }
    out.push("]");
}

/// Says that a verb does not fit a value.
fn bad(out: &mut Output, it: &Value, letter: char) {
    out.push(&format!("%!{letter}({}=", it.type_name()));
    value(out, it);
    out.push(")");
}

fn string(out: &mut Output, text: &str, verb: Verb, type_name: &str) {
    let shortened: String;
    let text = match verb.precision {
        Some(precision) => {
            shortened = text.chars().take(precision).collect();
            &shortened
        }
        None => text,
    };
    match verb.verb {
        's' | 'v' => pad(out, text, verb),
        'q' if verb.sharp && !text.contains('`') => pad(out, &format!("`{text}`"), verb),
        'q' => pad(out, &Text::from(text).to_string(), verb),
        'x' | 'X' => {
            let mut hex = String::new();
            for byte in text.bytes().take(MAX_OUTPUT_BYTES) {
                // OK because writing to a string does not fail.
                let _ = if verb.verb == 'x' {
                    write!(hex, "{byte:02x}")
                } else {
                    write!(hex, "{byte:02X}")
                };
            }
            pad(out, &hex, verb);
        }
        other => out.push(&format!("%!{other}({type_name}={text})")),
    }
}

fn integer(out: &mut Output, value: i64, verb: Verb) {
    let magnitude = value.unsigned_abs();
    let (prefix, digits) = match verb.verb {
        'd' | 'v' => ("", magnitude.to_string()),
        'b' => (if verb.sharp { "0b" } else { "" }, format!("{magnitude:b}")),
        'o' => (if verb.sharp { "0" } else { "" }, format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => (if verb.sharp { "0x" } else { "" }, format!("{magnitude:x}")),
        'X' => (if verb.sharp { "0X" } else { "" }, format!("{magnitude:X}")),
        'c' | 'q' => {
            let character = u32::try_from(value).ok().and_then(char::from_u32);
            let text = character.unwrap_or(char::REPLACEMENT_CHARACTER).to_string();
            if verb.verb == 'c' {
                return pad(out, &text, verb);
            }
            let text = text.replace('\\', "\\\\").replace('\'', "\\'");
            return pad(out, &format!("'{text}'"), verb);
        }
        'U' => return pad(out, &format!("U+{magnitude:04X}"), verb),
        other => return bad(out, &Value::Integer(value), other),
    };
    let digits = match verb.precision {
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits,
    };
    // A precision says how many digits there are, so nothing is filled up with zeros.
    let zero = verb.zero && verb.precision.is_none();
    number(out, value < 0, prefix, &digits, Verb { zero, ..verb });
}

fn float(out: &mut Output, value: f64, verb: Verb) {
    let magnitude = value.abs();
    let digits = match verb.verb {
        _ if !value.is_finite() => {
            let text = if value.is_nan() { "NaN" } else { "Inf" };
            let sign = match (value.is_nan(), value < 0.0) {
                (false, true) => "-",
                (false, false) => "+",
                (true, _) if verb.plus => "+",
                (true, _) => "",
            };
            return pad(out, &format!("{sign}{text}"), Verb { zero: false, ..verb });
        }
        'v' | 'g' | 'G' => general(magnitude, verb.precision),
        'f' | 'F' => format!("{magnitude:.*}", verb.precision.unwrap_or(6)),
        'e' | 'E' => scientific(magnitude, verb.precision.unwrap_or(6)),
        other => return bad(out, &Value::Float(value), other),
    };
    let digits = if matches!(verb.verb, 'E' | 'G') { digits.to_ascii_uppercase() } else { digits };
    number(out, value.is_sign_negative(), "", &digits, verb);
}

/// Writes the digits of a number with its sign, filled up to the width.
fn number(out: &mut Output, is_negative: bool, prefix: &str, digits: &str, verb: Verb) {
    let sign = match (is_negative, verb.plus, verb.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    if verb.zero && !verb.minus {
        let width = verb.width.saturating_sub(sign.len() + prefix.len());
        out.push(&format!("{sign}{prefix}{digits:0>width$}"));
    } else {
        pad(out, &format!("{sign}{prefix}{digits}"), verb);
    }
}

fn pad(out: &mut Output, text: &str, verb: Verb) {
    let width = verb.width;
    if width == 0 {
        out.push(text);
    } else if verb.minus {
        out.push(&format!("{text:<width$}"));
    } else if verb.zero {
        out.push(&format!("{text:0>width$}"));
    } else {
        out.push(&format!("{text:>width$}"));
    }
}

/// Writes a number that is not negative as `%e`: with at least two digits of the exponent.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Writes a finite number as `%g`: the shortest way without a precision, otherwise so many digits, without zeros at the
/// end, and with an exponent below 1e-04 and from that many digits up.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        let mut text = Vec::new();
        write_float(&mut text, value);
        return String::from_utf8(text).unwrap_or_default();
    };
    let precision = precision.max(1);
    let text = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.trim_end_matches('0').trim_end_matches('.');
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    // All digits before the point count, even if fewer were asked for than there are places.
    let highest = if precision > significant && significant as i32 > exponent {
        significant as i32
    } else {
        i32::try_from(precision).unwrap_or(i32::MAX)
    };
    if (-4..highest).contains(&exponent) {
        let places = i32::try_from(significant).unwrap_or(i32::MAX) - 1 - exponent;
        let rounded: f64 = text.parse().unwrap_or(value);
        return format!("{rounded:.*}", usize::try_from(places).unwrap_or(0));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
