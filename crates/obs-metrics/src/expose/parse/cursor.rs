//! One line of a document, read from left to right.

use super::{Names, ParseError};

/// A label name and its unescaped value.
pub(super) type Label = (String, String);

/// What a backslash may stand before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// OpenMetrics: `\n`, `\"` and `\\`; before any other character a backslash stands for itself.
    Lenient,
    /// Label values of the text format 0.0.4: `\n`, `\"` and `\\` only.
    Strict,
}

/// A place in a line.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    number: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str, number: usize) -> Self {
        Self { line, number, at: 0 }
    }

    /// An error at this place.
    pub(super) fn error(&self, reason: impl Into<String>) -> ParseError {
        ParseError::new(self.number, self.line[..self.at].chars().count() + 1, reason)
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.line.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// Steps over `text` if it stands here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str, where_: &str) -> Result<(), ParseError> {
        if self.take(text) {
            Ok(())
        } else {
            Err(self.error(format!("expected {} {where_}, found {}", shown(text), self.found())))
        }
    }

    /// What stands here, for messages.
    pub(super) fn found(&self) -> String {
        match self.rest().chars().next() {
            None => String::from("the end of the line"),
            Some(character) => format!("{character:?}"),
        }
    }

    /// Steps over blanks and tabs, and says whether there were any.
    pub(super) fn skip_blanks(&mut self) -> bool {
        let trimmed = self.rest().trim_start_matches([' ', '\t']);
        let skipped = self.rest().len() - trimmed.len();
        self.at += skipped;
        skipped > 0
    }

    /// Everything up to the next character that `ends` says ends it, or the end of the line.
    pub(super) fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// A metric's name without quotes.
    pub(super) fn metric_name(&mut self) -> Result<&'a str, ParseError> {
        self.word("a metric name, [a-zA-Z_:][a-zA-Z0-9_:]*,", |byte| byte == b':')
    }

    /// The name in a metadata line, in quotes if the names allow it.
    pub(super) fn family_name(&mut self, names: Names) -> Result<String, ParseError> {
        if names == Names::Utf8 && self.peek() == Some(b'"') {
            self.quoted_name()
        } else {
            self.metric_name().map(str::to_owned)
        }
    }

    fn word(&mut self, what: &str, also: impl Fn(u8) -> bool) -> Result<&'a str, ParseError> {
        let rest = self.rest();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte);
        let length = rest.bytes().position(|byte| !fits(byte)).unwrap_or(rest.len());
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return Err(self.error(format!("expected {what} found {}", self.found())));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn quoted_name(&mut self) -> Result<String, ParseError> {
        let start = self.clone();
        let name = self.quoted(Escapes::Strict)?;
        if name.is_empty() {
            return Err(start.error("a name is empty"));
        }
        Ok(name)
    }

    /// A text in double quotes, unescaped.
    pub(super) fn quoted(&mut self, escapes: Escapes) -> Result<String, ParseError> {
        self.expect("\"", "at the start of a quoted text")?;
        let mut text = String::new();
        loop {
            text.push_str(self.take_until(|character| character == '"' || character == '\\'));
            if self.take("\"") {
                return Ok(text);
            }
            if !self.take("\\") {
                return Err(self.error("a quoted text does not end: expected '\"'"));
            }
            self.escaped(escapes, &mut text)?;
        }
    }

    /// What stands after a backslash.
    pub(super) fn escaped(
        &mut self,
        escapes: Escapes,
        text: &mut String,
    ) -> Result<(), ParseError> {
        let Some(character) = self.rest().chars().next() else {
            return Err(self.error("a line ends in a backslash"));
        };
        match character {
            'n' => text.push('\n'),
            '"' | '\\' => text.push(character),
            other if escapes == Escapes::Lenient => text.extend(['\\', other]),
            other => {
                return Err(self.error(format!(
                    "\\{other} is no escape sequence: \\\\, \\\" and \\n are accepted"
                )));
            }
        }
        self.at += character.len_utf8();
        Ok(())
    }

    /// One `name="value"`; `blanks` says whether there may be blanks around the parts.
    pub(super) fn label(
        &mut self,
        names: Names,
        escapes: Escapes,
        blanks: bool,
    ) -> Result<Label, ParseError> {
        let start = self.clone();
        let name = if names == Names::Utf8 && self.peek() == Some(b'"') {
            self.quoted_name()?
        } else {
            self.word("a label name, [a-zA-Z_][a-zA-Z0-9_]*,", |_| false)?.to_owned()
        };
        if name == "__name__" {
            return Err(start.error("the label __name__ is reserved for the metric's name"));
        }
        if blanks {
            self.skip_blanks();
        }
        self.expect("=", "after a label name")?;
        if blanks {
            self.skip_blanks();
        }
        Ok((name, self.quoted(escapes)?))
    }

    /// A quoted metric name as the first thing between braces, if it is one and not a label's name.
    pub(super) fn name_in_braces(&mut self) -> Result<Option<String>, ParseError> {
        if self.peek() != Some(b'"') {
            return Ok(None);
        }
        let mut ahead = self.clone();
        let name = ahead.quoted_name()?;
        let mut after = ahead.clone();
        after.skip_blanks();
        if after.peek() == Some(b'=') {
            return Ok(None);
        }
        *self = ahead;
        Ok(Some(name))
    }

    /// Refuses a label name that stands twice.
    pub(super) fn push_label(
        &self,
        labels: &mut Vec<Label>,
        label: Label,
    ) -> Result<(), ParseError> {
        if labels.iter().any(|(name, _)| *name == label.0) {
            return Err(self.error(format!("the label {:?} stands twice", label.0)));
        }
        labels.push(label);
        Ok(())
    }
}

fn shown(text: &str) -> String {
    if text == " " { String::from("one space") } else { format!("{text:?}") }
}

/// A number by the grammar of OpenMetrics: a [`real_number`], `inf`, `infinity` or `nan` in any case.
pub(super) fn number(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    real_number(text)
}

/// Digits with an optional sign, point and exponent; nothing hexadecimal, no separators.
pub(super) fn real_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && are_digits(digits)
    });
    let fits = are_digits(whole)
        && are_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_fits;
    // OK because what fits is a number for Rust too, which accepts a point without digits on one of its sides.
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_grammar() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("0042", Some(42.0)),
            ("+1", Some(1.0)),
            ("-1.", Some(-1.0)),
            (".5", Some(0.5)),
            ("1.89e-7", Some(1.89e-7)),
            ("1E+3", Some(1_000.0)),
            ("1e999", Some(f64::INFINITY)),
            ("inf", Some(f64::INFINITY)),
            ("+INF", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1e+", None),
            ("1_0", None),
            ("0x1p-3", None),
            ("0b1", None),
            ("1 ", None),
            ("+nan", None),
            ("--1", None),
            ("1.2.3", None),
            ("１", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
        assert!(number("NaN").is_some_and(f64::is_nan));
        assert_eq!(real_number("Inf"), None);
    }
}
