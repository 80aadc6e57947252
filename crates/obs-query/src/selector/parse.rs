//! The parser of selectors: it finds everything that is wrong in one go where that makes sense.

use obs_model::METRIC_NAME_LABEL;

use super::{MatchOp, Matcher, NEEDS_ONE_MATCHER, Selector, literal};
use crate::Problem;

/// Words that PromQL reads as something else than a metric name; they can be quoted.
const RESERVED: [&str; 8] =
    ["atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"];

/// Whether PromQL would not read `name` as a metric name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// Reads a selector that takes up the whole of `text`.
///
/// After a mistake in the grammar what follows is guesswork, so that ends the reading; a bad string, a bad regular
/// expression or a second name does not.
pub(super) fn selector(text: &str) -> Result<Selector, Vec<Problem>> {
    let mut parser = Parser { text, at: 0, problems: Vec::new(), matchers: Vec::new() };
    // OK to ignore the outcome: a mistake is among the problems.
    let _ = parser.selector();
    if parser.problems.is_empty() {
        Ok(Selector { matchers: Vec::new() }.with_all(parser.matchers))
    } else {
        parser.problems.sort_by_key(Problem::column);
        Err(parser.problems)
    }
}

/// A mistake after which reading cannot go on; it has been noted.
struct Stop;

struct Parser<'a> {
    text: &'a str,
    /// The byte that is read next.
    at: usize,
    problems: Vec<Problem>,
    matchers: Vec<Matcher>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<(), Stop> {
        self.skip_space();
        let start = self.at;
        let name = self.word(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
        if is_reserved(name) {
            let message = format!("{name} is a reserved word: expected it quoted, {{\"{name}\"}}");
            self.note(start, message);
        }
        if !name.is_empty() {
            self.matchers.push(Matcher::equal(METRIC_NAME_LABEL, name));
        }
        self.skip_space();
        if self.take("{") {
            self.matchers_until_brace(name)?;
            self.skip_space();
        } else if name.is_empty() {
            return Err(self.expected("a metric name or {"));
        }
        if self.at < self.text.len() {
            return Err(self.expected("the end of the selector"));
        }
        // A matcher that could not be read may have been the one that is asked for here.
        if self.problems.is_empty() && self.matchers.iter().all(|matcher| matcher.matches("")) {
            self.note(start, NEEDS_ONE_MATCHER.to_owned());
        }
        Ok(())
    }

    /// Reads matchers and the closing brace; a comma may stand before it if a matcher does.
    fn matchers_until_brace(&mut self, name: &str) -> Result<(), Stop> {
        self.skip_space();
        if self.take("}") {
            return Ok(());
        }
        loop {
            self.matcher(name)?;
            self.skip_space();
            let comma = self.take(",");
            self.skip_space();
            if self.take("}") {
                return Ok(());
            }
            if !comma {
                return Err(self.expected(", or }"));
            }
        }
    }

    /// Reads `label op "value"`, with the label quoted or not, or a quoted metric name.
    fn matcher(&mut self, name: &str) -> Result<(), Stop> {
        let start = self.at;
        let quoted = self.string()?;
        let label = match &quoted {
            Some(label) => label.as_deref(),
            None => Some(self.label()?),
        };
        self.skip_space();
        let Some(op) = self.operator() else {
            if quoted.is_none() {
                return Err(self.expected("one of = != =~ !~"));
            }
            return self.quoted_name(start, name, label);
        };
        if label == Some(METRIC_NAME_LABEL) && !name.is_empty() {
            let message = format!(
                "the metric name is given twice: expected either {name} or a matcher on __name__"
            );
            self.note(start, message);
        }
        self.skip_space();
        let start = self.at;
        let Some(value) = self.string()? else {
            return Err(self.expected("a string in quotes"));
        };
        if let (Some(label), Some(value)) = (label, value) {
            match Matcher::new(label, op, &value) {
                Ok(matcher) => self.matchers.push(matcher),
                Err(error) => self.note(start, error.to_string()),
            }
        }
        Ok(())
    }

    /// Takes a string that stands alone for the metric's name.
    fn quoted_name(&mut self, start: usize, name: &str, quoted: Option<&str>) -> Result<(), Stop> {
        if !matches!(self.text[self.at..].chars().next(), Some(',' | '}')) {
            return Err(self.expected("one of = != =~ !~ , }"));
        }
        if !name.is_empty() {
            let message = format!(
                "the metric name is given twice: expected {name} before the brace or this one"
            );
            self.note(start, message);
        } else if let Some(quoted) = quoted {
            self.matchers.push(Matcher::equal(METRIC_NAME_LABEL, quoted));
        }
        Ok(())
    }

    fn label(&mut self) -> Result<&'a str, Stop> {
        let label = self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if label.is_empty() { Err(self.expected("a label name")) } else { Ok(label) }
    }

    fn operator(&mut self) -> Option<MatchOp> {
        // The longer ones come first, because `=` begins `=~` too.
        [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal]
            .into_iter()
            .find(|op| self.take(op.as_str()))
    }

    /// Reads a string, if one begins here: its value, or `None` if it is a bad one, which is noted.
    fn string(&mut self) -> Result<Option<Option<String>>, Stop> {
        let Some(literal) = literal::read(&self.text[self.at..]) else {
            return Ok(None);
        };
        let start = self.at;
        self.at += literal.bytes;
        match literal.value {
            Ok(value) => Ok(Some(Some(value))),
            Err((offset, message)) => {
                let column = self.column(start) + offset;
                self.problems.push(Problem::new(column, message));
                if self.at == self.text.len() { Err(Stop) } else { Ok(Some(None)) }
            }
        }
    }

    /// Takes the longest run of `part` that does not begin with a digit.
    fn word(&mut self, part: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            return "";
        }
        let length = rest.bytes().take_while(|byte| part(*byte)).count();
        self.at += length;
        &rest[..length]
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Notes what should have stood here.
    fn expected(&mut self, what: &str) -> Stop {
        let found = match self.text[self.at..].chars().next() {
            Some(character) => format!("found {character:?}"),
            None => "found the end".to_owned(),
        };
        self.note(self.at, format!("expected {what}, {found}"));
        Stop
    }

    fn note(&mut self, at: usize, message: String) {
        let column = self.column(at);
        self.problems.push(Problem::new(column, message));
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }
}
