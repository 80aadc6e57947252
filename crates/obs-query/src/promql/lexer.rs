//! The lexer: from text to words, each with its place.
//!
//! The language depends on where one is: inside braces every word is a label name, inside brackets there are only
//! durations and arithmetic, elsewhere a name may have colons and may be a keyword.

use super::error::ParseProblem;
use super::span::Span;
use super::token::{Keyword, Kind, Token};

/// All words of `text`, the last of kind [`Kind::End`]; or the first thing that is no word.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseProblem> {
    let mut lexer = Lexer { text, at: 0, start: 0, parens: 0, braces: false, brackets: false };
    let mut tokens = Vec::new();
    loop {
        let kind = lexer.next()?;
        tokens.push(Token { kind, span: Span::new(lexer.start, lexer.at) });
        if kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// The byte that is read next.
    at: usize,
    /// Where the word at hand begins.
    start: usize,
    /// How many parentheses are open.
    parens: usize,
    braces: bool,
    brackets: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Kind, ParseProblem> {
        self.skip_blank();
        self.start = self.at;
        let Some(first) = self.peek() else {
            return self.end();
        };
        if matches!(first, '"' | '\'' | '`') {
            return self.string(first);
        }
        if self.braces {
            return self.inside_braces(first);
        }
        if first.is_ascii_digit() || (first == '.' && self.second_is_digit()) {
            return self.number_or_duration();
        }
        if first == '_' || first == ':' || first.is_ascii_alphabetic() {
            return self.word(first);
        }
        self.symbol(first)
    }

    fn end(&self) -> Result<Kind, ParseProblem> {
        if self.braces {
            Err(self.problem("unexpected end of input inside braces: expected \"}\""))
        } else if self.brackets {
            Err(self.problem("unclosed left bracket: expected \"]\""))
        } else if self.parens > 0 {
            Err(self.problem("unclosed left parenthesis: expected \")\""))
        } else {
            Ok(Kind::End)
        }
    }

    fn symbol(&mut self, first: char) -> Result<Kind, ParseProblem> {
        self.at += first.len_utf8();
        Ok(match first {
            ',' => Kind::Comma,
            '*' => Kind::Mul,
            '/' => Kind::Div,
            '%' => Kind::Mod,
            '+' => Kind::Add,
            '-' => Kind::Sub,
            '^' => Kind::Pow,
            '@' => Kind::At,
            '=' if self.take('=') => Kind::Equals,
            '=' if self.peek() == Some('~') => {
                return Err(self.problem("unexpected character after '=': '~', expected \"==\""));
            }
            '=' => Kind::Equal,
            '!' if self.take('=') => Kind::NotEqual,
            '!' => {
                let message =
                    format!("unexpected character after '!': {}, expected \"!=\"", self.found());
                return Err(self.problem(message));
            }
            '<' if self.take('=') => Kind::LessEqual,
            '<' => Kind::Less,
            '>' if self.take('=') => Kind::GreaterEqual,
            '>' => Kind::Greater,
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' => {
                let Some(left) = self.parens.checked_sub(1) else {
                    return Err(self.problem("unexpected right parenthesis ')'"));
                };
                self.parens = left;
                Kind::RightParen
            }
            '{' => {
                self.braces = true;
                Kind::LeftBrace
            }
            '[' if self.brackets => return Err(self.problem("unexpected left bracket '['")),
            '[' => {
                self.brackets = true;
                Kind::LeftBracket
            }
            ']' if !self.brackets => return Err(self.problem("unexpected right bracket ']'")),
            ']' => {
                self.brackets = false;
                Kind::RightBracket
            }
            other => return Err(self.problem(format!("unexpected character: {other:?}"))),
        })
    }

    fn inside_braces(&mut self, first: char) -> Result<Kind, ParseProblem> {
        if first == '_' || first.is_ascii_alphabetic() {
            self.take_while(is_alphanumeric);
            return Ok(Kind::Identifier);
        }
        self.at += first.len_utf8();
        Ok(match first {
            ',' => Kind::Comma,
            '=' if self.take('~') => Kind::Match,
            '=' => Kind::Equal,
            '!' if self.take('~') => Kind::NotMatch,
            '!' if self.take('=') => Kind::NotEqual,
            '!' => {
                let message = format!(
                    "unexpected character after '!' inside braces: {}, expected \"!=\" or \"!~\"",
                    self.found()
                );
                return Err(self.problem(message));
            }
            '}' => {
                self.braces = false;
                Kind::RightBrace
            }
            '{' => return Err(self.problem("unexpected left brace '{'")),
            other => {
                return Err(self.problem(format!("unexpected character inside braces: {other:?}")));
            }
        })
    }

    fn word(&mut self, first: char) -> Result<Kind, ParseProblem> {
        if self.brackets {
            if first == ':' {
                self.at += 1;
                return Ok(Kind::Colon);
            }
            return Err(self.problem(format!(
                "unexpected character in duration expression: {first:?}, expected a duration, ':' or ']'"
            )));
        }
        self.take_while(|c| is_alphanumeric(c) || c == ':');
        let word = &self.text[self.start..self.at];
        if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
            return Ok(Kind::Number);
        }
        Ok(match Keyword::of(word) {
            Some(keyword) => Kind::Keyword(keyword),
            None if word.contains(':') => Kind::MetricIdentifier,
            None => Kind::Identifier,
        })
    }

    /// Reads a string up to its closing quote; what its escapes mean is the parser's business.
    fn string(&mut self, quote: char) -> Result<Kind, ParseProblem> {
        self.at += 1;
        let mut escaped = false;
        while let Some(character) = self.peek() {
            self.at += character.len_utf8();
            match character {
                '\n' if quote != '`' => break,
                _ if escaped => escaped = false,
                '\\' if quote != '`' => escaped = true,
                other if other == quote => return Ok(Kind::String),
                _ => {}
            }
        }
        Err(self.problem(format!("unterminated quoted string: expected a closing {quote}")))
    }

    fn number_or_duration(&mut self) -> Result<Kind, ParseProblem> {
        if self.number() {
            return Ok(Kind::Number);
        }
        if self.rest_of_duration() {
            return Ok(Kind::Duration);
        }
        let read = &self.text[self.start..self.at];
        Err(self.problem(format!("bad number or duration syntax: {read:?}")))
    }

    /// Reads a number in any of its forms; `false` where something follows that does not belong to one.
    fn number(&mut self) -> bool {
        let mut hexadecimal = false;
        if self.take('0') && (self.take('x') || self.take('X')) {
            self.take('_');
            hexadecimal = true;
        }
        let is_digit =
            |c: char| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let (mut dots, mut exponents) = (0, 0);
        while let Some(character) = self.peek() {
            if is_digit(character) {
                self.at += 1;
                continue;
            }
            let forbidden: &[char] = match character {
                '.' if dots > 0 || hexadecimal => return false,
                '.' => {
                    dots += 1;
                    &['_', '.']
                }
                'e' | 'E' if exponents > 0 => return false,
                'e' | 'E' => {
                    exponents += 1;
                    &['.', '_', 'e', 'E']
                }
                '_' => &['.', '_', 'e', 'E'],
                _ => break,
            };
            self.at += 1;
            if matches!(character, 'e' | 'E') && !self.take('+') {
                self.take('-');
            }
            match self.peek() {
                Some(next) if forbidden.contains(&next) => return false,
                None if character != '.' => return false,
                _ => {}
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Reads the units of a duration and the numbers between them, after its first number.
    fn rest_of_duration(&mut self) -> bool {
        if !self.take_any("smhdwy") {
            return false;
        }
        self.take('s');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.take_while(|c| c.is_ascii_digit());
            if !self.take_any("smhdw") {
                return false;
            }
            self.take('s');
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n' && c != '\r');
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn second_is_digit(&self) -> bool {
        self.text[self.at..].chars().nth(1).is_some_and(|c| c.is_ascii_digit())
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn take_any(&mut self, wanted: &str) -> bool {
        wanted.chars().any(|c| self.take(c))
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !accept(c)).unwrap_or(rest.len());
    }

    fn found(&self) -> String {
        self.peek().map_or_else(|| "end of input".to_owned(), |c| format!("{c:?}"))
    }

    fn problem(&self, message: impl Into<String>) -> ParseProblem {
        ParseProblem::new(Span::new(self.start, self.at).position(self.text), message)
    }
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn words_depend_on_the_place_they_stand_in() {
        use Kind::{
            Colon, Comma, Duration, End, Equal, Identifier, LeftBrace, LeftBracket, Match,
            MetricIdentifier, Number, RightBrace, RightBracket, String,
        };
        for (text, expected) in [
            ("a:b", vec![MetricIdentifier, End]),
            ("SUM", vec![Kind::Keyword(Keyword::Sum), End]),
            (
                "x{sum='a',y=~`b`}",
                vec![
                    Identifier, LeftBrace, Identifier, Equal, String, Comma, Identifier, Match,
                    String, RightBrace, End,
                ],
            ),
            (
                "x[1h30m:5]",
                vec![Identifier, LeftBracket, Duration, Colon, Number, RightBracket, End],
            ),
            ("# only a comment\n 1", vec![Number, End]),
            (
                "0x_1F 1_000 .5 5. 1e+3 NaN inF",
                vec![Number, Number, Number, Number, Number, Number, Number, End],
            ),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_word_is_named_with_its_place() {
        for (text, expected) in [
            ("a\n  + $", "2:5: parse error: unexpected character: '$'"),
            ("x{a!'b'}", "inside braces"),
            ("\"open", "unterminated quoted string"),
            ("(1", "unclosed left parenthesis"),
            ("1)", "unexpected right parenthesis"),
            ("x{", "expected \"}\""),
            ("x[5m", "expected \"]\""),
            ("0deadbeef", "bad number or duration syntax"),
            ("1__0", "bad number or duration syntax"),
            ("x[5mm]", "bad number or duration syntax"),
        ] {
            let error = tokens(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
