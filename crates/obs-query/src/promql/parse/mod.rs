//! The parser: from words to a syntax tree.
//!
//! It is a recursive descent with precedence climbing. A mistake in the grammar ends the reading, because what follows
//! is guesswork; mistakes in types are all found.

mod check;
mod duration;
mod expr;
mod number;
mod selector;

use super::ast::{Expr, ExprKind};
use super::error::{ParseProblem, QueryError};
use super::lexer;
use super::span::Span;
use super::text::Text;
use super::token::{Keyword, Kind, Token};
use crate::Error;
use crate::selector::literal;
use obs_model::METRIC_NAME_LABEL;

pub use number::parse_duration;
pub(crate) use number::{DURATION_UNITS, duration_millis, number};

/// The longest text of a query, in bytes.
pub const MAX_QUERY_BYTES: usize = 256 * 1_024;

/// How deep the tree of a query may be.
pub const MAX_QUERY_DEPTH: usize = 256;

/// What the parser accepts beyond the stable language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus calls experimental (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// Arithmetic in durations (`promql-duration-expr`).
    pub duration_expressions: bool,
}

impl ParseOptions {
    /// Everything there is.
    #[must_use]
    pub const fn all() -> Self {
        Self { experimental_functions: true, duration_expressions: true }
    }
}

/// Reads an expression.
///
/// # Errors
///
/// The text is too long or too deeply nested, is not an expression, or puts types together that do not fit. Each
/// problem says at which line and column it is and what was expected.
pub fn parse(text: &str, options: ParseOptions) -> Result<Expr, Error> {
    parse_expr(text, options).map_err(|problems| QueryError::Parse(problems).into())
}

/// As [`parse`], for bytes that may not be text.
///
/// # Errors
///
/// As [`parse`], and the bytes are not UTF-8.
pub fn parse_bytes(bytes: &[u8], options: ParseOptions) -> Result<Expr, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let position = Span::new(valid.len(), valid.len()).position(&valid);
        QueryError::Parse(vec![ParseProblem::new(position, "invalid UTF-8: expected text")])
    })?;
    parse(text, options)
}

/// Reads a metric as a series is written: a name and labels, without any condition but equality.
pub(crate) fn parse_metric(text: &str) -> Result<Vec<(String, String)>, Error> {
    let read = || {
        let tokens = lexer::tokens(text)?;
        let mut parser = Parser { text, tokens, at: 0, options: ParseOptions::default(), depth: 0 };
        let node = parser.selector()?;
        match (node.expr.kind, parser.peek()) {
            (ExprKind::Vector(selector), Kind::End) => Ok(*selector),
            _ => Err(parser.unexpected("metric", "a name and labels")),
        }
    };
    let selector = read().map_err(|problem| Error::from(QueryError::Parse(vec![problem])))?;
    let name = selector.name.map(|name| (METRIC_NAME_LABEL.to_owned(), name));
    let labels = selector
        .matchers
        .iter()
        .map(|matcher| (matcher.label().to_owned(), matcher.value().to_owned()));
    Ok(name.into_iter().chain(labels).collect())
}

fn parse_expr(text: &str, options: ParseOptions) -> Result<Expr, Vec<ParseProblem>> {
    if text.len() > MAX_QUERY_BYTES {
        let message =
            format!("the query has {} bytes: at most {MAX_QUERY_BYTES} are accepted", text.len());
        return Err(vec![ParseProblem::new(Span::default().position(text), message)]);
    }
    let tokens = lexer::tokens(text).map_err(|problem| vec![problem])?;
    let mut parser = Parser { text, tokens, at: 0, options, depth: 0 };
    let expr = parser.whole().map_err(|problem| vec![problem])?;
    let problems = check::check(text, &expr);
    if problems.is_empty() { Ok(expr) } else { Err(problems) }
}

/// An expression and how deep its tree is.
struct Node {
    expr: Expr,
    height: usize,
}

type Parsed<T> = Result<T, ParseProblem>;

struct Parser<'a> {
    text: &'a str,
    /// The last one is of kind [`Kind::End`].
    tokens: Vec<Token>,
    /// The token that is read next.
    at: usize,
    options: ParseOptions,
    /// How many expressions are being read, one within the other.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Parsed<Expr> {
        if self.peek() == Kind::End {
            return Err(self.problem(self.span(), "no expression found in input"));
        }
        let node = self.expression(0)?;
        if self.peek() != Kind::End {
            return Err(self.unexpected("", "an operator or the end of input"));
        }
        Ok(node.expr)
    }

    fn peek(&self) -> Kind {
        self.tokens[self.at].kind
    }

    fn peek_second(&self) -> Kind {
        self.tokens.get(self.at + 1).map_or(Kind::End, |token| token.kind)
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    fn word(&self, token: Token) -> &'a str {
        &self.text[token.span.start..token.span.end]
    }

    /// Takes the next token; the end is never gone past.
    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at];
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn take(&mut self, kind: Kind) -> bool {
        let found = self.peek() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take(Kind::Keyword(keyword))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        if self.peek() == kind {
            Ok(self.advance())
        } else {
            Err(self.unexpected(context, &kind.to_string()))
        }
    }

    /// The value of a string token.
    fn string(&self, token: Token) -> Parsed<Text> {
        let read = literal::read_bytes(&self.text[token.span.start..token.span.end]);
        match read.map(|literal| literal.value) {
            Some(Ok(bytes)) => Ok(Text::from_bytes(bytes)),
            Some(Err((offset, message))) => {
                let before = &self.text[token.span.start..];
                let offset = before.char_indices().nth(offset).map_or(0, |(index, _)| index);
                let at = token.span.start + offset;
                Err(self.problem(Span::new(at, token.span.end), message))
            }
            None => Err(self.problem(token.span, "expected a string")),
        }
    }

    /// The value of a string token that has to be text.
    fn text_of(&self, token: Token) -> Parsed<String> {
        let value = self.string(token)?;
        match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.problem(token.span, "the string's escapes do not make valid UTF-8")),
        }
    }

    fn node(&self, kind: ExprKind, span: Span, height: usize) -> Parsed<Node> {
        if height > MAX_QUERY_DEPTH {
            return Err(self.too_deep(span));
        }
        Ok(Node { expr: Expr::new(kind, span), height })
    }

    /// Runs `read` one level further down.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_QUERY_DEPTH {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&self, span: Span) -> ParseProblem {
        let message = format!(
            "the query is nested too deeply: at most {MAX_QUERY_DEPTH} levels are accepted"
        );
        self.problem(span, message)
    }

    fn problem(&self, span: Span, message: impl Into<String>) -> ParseProblem {
        ParseProblem::new(span.position(self.text), message)
    }

    /// Says that the next token does not belong where it stands.
    fn unexpected(&self, context: &str, expected: &str) -> ParseProblem {
        let token = self.tokens[self.at];
        let mut message = String::from("unexpected ");
        match token.kind {
            Kind::End => message.push_str("end of input"),
            kind => {
                let word: String = self.word(token).chars().take(20).collect();
                message.push_str(&match kind {
                    Kind::Identifier | Kind::MetricIdentifier | Kind::Number | Kind::Duration => {
                        format!("{kind} {word:?}")
                    }
                    Kind::String => format!("string {word}"),
                    Kind::Keyword(_) => format!("<{word}>"),
                    _ => format!("{word:?}"),
                });
            }
        }
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.problem(token.span, message)
    }
}

#[cfg(test)]
mod tests;
