//! Selectors: a metric's name and matchers in braces.

use super::{Node, Parsed, Parser};
use crate::promql::ast::{ExprKind, Modifiers, VectorSelector};
use crate::promql::token::Kind;
use crate::{MatchOp, Matcher};
use obs_model::METRIC_NAME_LABEL;

impl Parser<'_> {
    /// Reads a selector, of which a name or a left brace comes next.
    pub(super) fn selector(&mut self) -> Parsed<Node> {
        let mut span = self.span();
        let name = (self.peek() != Kind::LeftBrace).then(|| {
            let token = self.advance();
            self.word(token).to_owned()
        });
        let matchers = if self.peek() == Kind::LeftBrace { self.matchers()? } else { Vec::new() };
        span.end = self.tokens[self.at - 1].span.end;
        let selector = VectorSelector { name, matchers, modifiers: Modifiers::default() };
        self.node(ExprKind::Vector(Box::new(selector)), span, 1)
    }

    /// Reads matchers in braces; a comma may stand after the last one.
    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        self.advance();
        let mut matchers = Vec::new();
        if self.take(Kind::RightBrace) {
            return Ok(matchers);
        }
        loop {
            matchers.push(self.matcher()?);
            if self.take(Kind::RightBrace) {
                return Ok(matchers);
            }
            if !self.take(Kind::Comma) {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
            if self.take(Kind::RightBrace) {
                return Ok(matchers);
            }
        }
    }

    /// Reads `label op "value"`, with the label quoted or not, or a metric's name in quotes.
    fn matcher(&mut self) -> Parsed<Matcher> {
        let token = self.tokens[self.at];
        let label = match token.kind {
            Kind::Identifier => self.word(token).to_owned(),
            Kind::String => self.text_of(token)?,
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        self.advance();
        let op = match self.peek() {
            Kind::Equal => MatchOp::Equal,
            Kind::NotEqual => MatchOp::NotEqual,
            Kind::Match => MatchOp::Regex,
            Kind::NotMatch => MatchOp::NotRegex,
            _ if token.kind == Kind::String => {
                return Ok(Matcher::equal(METRIC_NAME_LABEL, &label));
            }
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.advance();
        if self.peek() != Kind::String {
            return Err(self.unexpected("label matching", "string"));
        }
        let value = self.advance();
        let text = self.text_of(value)?;
        Matcher::new(&label, op, &text).map_err(|error| self.problem(value.span, error.to_string()))
    }
}
