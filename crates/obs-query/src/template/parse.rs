//! From words to a syntax tree.

use std::sync::Arc;

use super::ast::{Branch, Command, Node, NodeKind, Operand, OperandKind, Pipeline, Tree};
use super::builtin;
use super::error::Problem;
use super::lexer::{self, Kind, Token};
use super::literal;

/// How deep actions and parentheses may be nested.
const MAX_DEPTH: usize = 100;

const KEYWORDS: [&str; 11] = [
    "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil",
];

type Parsed<T> = Result<T, Problem>;

/// Reads a template in which the given variables are known.
pub(super) fn parse(text: &str, variables: &[&str]) -> Parsed<Tree> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        variables: variables.iter().map(|it| (*it).to_owned()).collect(),
        tree: Tree::default(),
        depth: 0,
        loops: 0,
    };
    let (main, end) = parser.list(true)?;
    match end {
        Ending::Text => {}
        Ending::End(at) => return Err(Problem::at(at, "unexpected {{end}}")),
        Ending::Else(at) => return Err(Problem::at(at, "unexpected {{else}}")),
    }
    parser.tree.main = main;
    Ok(parser.tree)
}

/// What a list of nodes ends with; the numbers are where that stands.
enum Ending {
    Text,
    End(usize),
    Else(usize),
}

struct Parser<'a> {
    text: &'a str,
    /// The last one is of kind [`Kind::End`].
    tokens: Vec<Token>,
    at: usize,
    /// The variables that are known here.
    variables: Vec<String>,
    tree: Tree,
    depth: usize,
    /// How many ranges are around this place.
    loops: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token {
        self.tokens[self.at]
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn word(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    fn next_but_space(&mut self) -> Token {
        self.skip_space();
        self.next()
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    fn unexpected(&self, token: Token, context: &str) -> Problem {
        if token.kind == Kind::End {
            return Problem::at(token.start, "unexpected EOF");
        }
        let word: String = self.word(token).chars().take(20).collect();
        Problem::at(token.start, format!("unexpected {word:?} in {context}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_but_space();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(token, context)) }
    }

    fn nested<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!("nested too deeply: at most {MAX_DEPTH} levels are accepted");
            return Err(Problem::at(at, message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads nodes up to what ends them, `{{else` or `{{end}}` included.
    fn list(&mut self, is_top: bool) -> Parsed<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                Kind::End => return Ok((nodes, Ending::Text)),
                Kind::Text => {
                    let kind = NodeKind::Text(self.word(token).to_owned());
                    nodes.push(Node { at: token.start, kind });
                    continue;
                }
                _ => {}
            }
            self.skip_space();
            let first = self.peek();
            let keyword = if first.kind == Kind::Name { self.word(first) } else { "" };
            let at = first.start;
            if KEYWORDS.contains(&keyword) && keyword != "nil" {
                self.next();
            }
            match keyword {
                "end" => {
                    self.expect(Kind::RightDelim, "end")?;
                    return Ok((nodes, Ending::End(at)));
                }
                "else" => return Ok((nodes, Ending::Else(at))),
                "define" if is_top => self.define(at)?,
                "define" => return Err(Problem::at(at, "unexpected {{define}}")),
                _ => {
                    let kind = self.nested(at, |parser| parser.action(keyword, at))?;
                    nodes.push(Node { at, kind });
                }
            }
        }
    }

    /// Reads an action behind its keyword.
    fn action(&mut self, keyword: &str, at: usize) -> Parsed<NodeKind> {
        match keyword {
            "if" => self.branch(keyword, at).map(NodeKind::If),
            "with" => self.branch(keyword, at).map(NodeKind::With),
            "range" => self.branch(keyword, at).map(NodeKind::Range),
            "break" | "continue" => {
                self.expect(Kind::RightDelim, keyword)?;
                if self.loops == 0 {
                    let message = format!("{{{{{keyword}}}}} outside {{{{range}}}}");
                    return Err(Problem::at(at, message));
                }
                Ok(if keyword == "break" { NodeKind::Break } else { NodeKind::Continue })
            }
            "template" => {
                let name = self.template_name(keyword)?;
                self.skip_space();
                if self.peek().kind == Kind::RightDelim {
                    self.next();
                    return Ok(NodeKind::Template(name, None));
                }
                let pipeline = self.pipeline("template clause", Kind::RightDelim, false)?;
                Ok(NodeKind::Template(name, Some(pipeline)))
            }
            "block" => {
                let name = self.template_name(keyword)?;
                let pipeline = self.pipeline("block clause", Kind::RightDelim, false)?;
                self.body(name.clone(), at)?;
                Ok(NodeKind::Template(name, Some(pipeline)))
            }
            _ => self.pipeline("command", Kind::RightDelim, false).map(NodeKind::Action),
        }
    }

    fn template_name(&mut self, keyword: &str) -> Parsed<String> {
        let context = format!("{keyword} clause");
        let token = self.next_but_space();
        match token.kind {
            Kind::Quoted | Kind::Raw => self.text_of(token),
            _ => Err(self.unexpected(token, &context)),
        }
    }

    fn define(&mut self, at: usize) -> Parsed<()> {
        let name = self.template_name("define")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.body(name, at)
    }

    /// Reads the body of a template of its own, in which no variable but `$` is known.
    fn body(&mut self, name: String, at: usize) -> Parsed<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, ending) = self.nested(at, |parser| parser.list(false))?;
        match ending {
            Ending::End(_) => {}
            Ending::Else(at) => {
                return Err(Problem::at(at, "unexpected {{else}} in define clause"));
            }
            Ending::Text => return Err(Problem::at(self.text.len(), "unexpected EOF")),
        }
        (self.variables, self.loops) = (variables, loops);
        // An empty template does not replace one that says something, as in Go.
        let is_blank = nodes
            .iter()
            .all(|node| matches!(&node.kind, NodeKind::Text(text) if text.trim().is_empty()));
        if !(is_blank && self.tree.defined.contains_key(&name)) {
            self.tree.defined.insert(name, Arc::new(nodes));
        }
        Ok(())
    }

    /// Reads what is behind `if`, `with` or `range`, up to its end.
    fn branch(&mut self, keyword: &str, at: usize) -> Parsed<Branch> {
        let known = self.variables.len();
        let is_range = keyword == "range";
        let pipeline = self.pipeline(keyword, Kind::RightDelim, is_range)?;
        self.loops += usize::from(is_range);
        let (then, ending) = self.list(false)?;
        self.loops -= usize::from(is_range);
        let otherwise = match ending {
            Ending::End(_) => Vec::new(),
            Ending::Else(_) => self.otherwise(keyword)?,
            Ending::Text => {
                let message = format!("unexpected EOF: expected {{{{end}}}} for {{{{{keyword}}}}}");
                return Err(Problem::at(at, message));
            }
        };
        self.variables.truncate(known);
        Ok(Branch { pipeline, then, otherwise })
    }

    /// Reads what is behind `else`.
    fn otherwise(&mut self, keyword: &str) -> Parsed<Vec<Node>> {
        self.skip_space();
        let token = self.peek();
        // `else if` stands for an `if` within `else`, and shares its end.
        let chained = token.kind == Kind::Name && self.word(token) == keyword && keyword != "range";
        if chained {
            self.next();
            let kind = self.nested(token.start, |parser| parser.action(keyword, token.start))?;
            return Ok(vec![Node { at: token.start, kind }]);
        }
        self.expect(Kind::RightDelim, "else")?;
        match self.list(false)? {
            (nodes, Ending::End(_)) => Ok(nodes),
            (_, Ending::Else(at)) => Err(Problem::at(at, "expected end; found {{else}}")),
            (_, Ending::Text) => Err(Problem::at(self.text.len(), "unexpected EOF")),
        }
    }

    /// Reads a pipeline and the word `end` behind it.
    fn pipeline(&mut self, context: &str, end: Kind, is_range: bool) -> Parsed<Pipeline> {
        self.skip_space();
        let start = self.peek().start;
        let (variables, assigns) = self.declarations(context, is_range)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            let token = self.peek();
            if token.kind == end {
                break;
            }
            let command = self.command(context, end)?;
            if !commands.is_empty() {
                check_stage(&command, commands.len() + 1)?;
            }
            commands.push(command);
            match self.next() {
                token if token.kind == end => {
                    self.at -= 1;
                    break;
                }
                token if token.kind == Kind::Pipe => {
                    self.skip_space();
                    if self.peek().kind == end {
                        return Err(Problem::at(token.start, missing_value(context)));
                    }
                }
                token => return Err(self.unexpected(token, context)),
            }
        }
        self.next();
        if commands.is_empty() {
            return Err(Problem::at(start, missing_value(context)));
        }
        if assigns {
            for name in &variables {
                self.known(name, start)?;
            }
        } else {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, assigns, commands })
    }

    /// Reads `$x :=`, `$x =` or, for a range, `$i, $x :=`, if that comes next.
    fn declarations(&mut self, context: &str, is_range: bool) -> Parsed<(Vec<String>, bool)> {
        let start = self.at;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Variable {
            let token = self.next();
            names.push(self.word(token).to_owned());
            self.skip_space();
            match self.next().kind {
                Kind::Declare => return Ok((names, false)),
                Kind::Assign => return Ok((names, true)),
                Kind::Comma if is_range && names.len() == 1 => self.skip_space(),
                Kind::Comma => {
                    let message = format!("too many declarations in {context}");
                    return Err(Problem::at(token.start, message));
                }
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, context: &str, end: Kind) -> Parsed<Command> {
        let at = self.peek().start;
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.peek();
            if token.kind == Kind::Space {
                continue;
            }
            if token.kind == end || token.kind == Kind::Pipe {
                break;
            }
            return Err(
                self.unexpected(token, if operands.is_empty() { context } else { "operand" })
            );
        }
        let [first, rest @ ..] = operands.as_slice() else {
            return Err(Problem::at(at, "empty command"));
        };
        if !rest.is_empty() && !takes_arguments(first) {
            let message = format!("can't give argument to non-function {}", self.source_of(first));
            return Err(Problem::at(first.at, message));
        }
        Ok(Command { at, operands })
    }

    fn source_of(&self, operand: &Operand) -> String {
        let rest = &self.text[operand.at..];
        rest.chars().take_while(|it| !" \t\r\n|)}".contains(*it)).take(40).collect()
    }

    /// Reads an operand, if one comes next.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek();
        let at = token.start;
        let word = self.word(token);
        let mut fields = Vec::new();
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Field => {
                fields.push(word[1..].to_owned());
                OperandKind::Dot
            }
            Kind::Variable => {
                self.known(word, at)?;
                OperandKind::Variable(word.to_owned())
            }
            Kind::Name => match word {
                "true" | "false" => OperandKind::Bool(word == "true"),
                "nil" => OperandKind::Nil,
                _ if KEYWORDS.contains(&word) => return Ok(None),
                _ => match builtin::by_name(word) {
                    Some(function) => OperandKind::Function(function),
                    None => {
                        let message = format!("function {word:?} not defined");
                        return Err(Problem::at(at, message));
                    }
                },
            },
            Kind::Number => literal::number(word).map_err(|message| Problem::at(at, message))?,
            Kind::Character => match literal::character(word) {
                Some(character) => OperandKind::Integer(i64::from(u32::from(character))),
                None => {
                    return Err(Problem::at(at, format!("malformed character constant: {word}")));
                }
            },
            Kind::Quoted | Kind::Raw => OperandKind::Text(self.text_of(token)?),
            Kind::LeftParen => {
                self.next();
                let inner = |parser: &mut Self| {
                    parser.pipeline("parenthesized pipeline", Kind::RightParen, false)
                };
                let pipeline = self.nested(at, inner)?;
                let kind = OperandKind::Pipeline(Box::new(pipeline));
                return self.chain(at, kind, fields).map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        self.chain(at, kind, fields).map(Some)
    }

    /// Reads the names behind an operand.
    fn chain(&mut self, at: usize, kind: OperandKind, mut fields: Vec<String>) -> Parsed<Operand> {
        while self.peek().kind == Kind::Field {
            let token = self.next();
            fields.push(self.word(token)[1..].to_owned());
        }
        let has_no_fields = matches!(
            kind,
            OperandKind::Nil
                | OperandKind::Bool(_)
                | OperandKind::Integer(_)
                | OperandKind::Float(_)
                | OperandKind::Text(_)
        );
        if has_no_fields && !fields.is_empty() {
            return Err(Problem::at(
                at,
                format!("unexpected . after term at {:?}", fields.join(".")),
            ));
        }
        Ok(Operand { at, kind, fields })
    }

    fn known(&self, name: &str, at: usize) -> Parsed<()> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Problem::at(at, format!("undefined variable {name:?}")))
    }

    fn text_of(&self, token: Token) -> Parsed<String> {
        let word = self.word(token);
        if token.kind == Kind::Raw {
            return Ok(word[1..word.len() - 1].to_owned());
        }
        literal::text(word).map_err(|message| Problem::at(token.start, message))
    }
}

fn missing_value(context: &str) -> String {
    format!("missing value for {context}")
}

/// Whether arguments may stand behind an operand; a field may turn out to be a method.
fn takes_arguments(operand: &Operand) -> bool {
    matches!(operand.kind, OperandKind::Function(_)) || !operand.fields.is_empty()
}

/// Checks that a command can do something with the value of the one before it.
fn check_stage(command: &Command, stage: usize) -> Parsed<()> {
    let first = &command.operands[0];
    let is_constant = matches!(
        first.kind,
        OperandKind::Nil
            | OperandKind::Bool(_)
            | OperandKind::Integer(_)
            | OperandKind::Float(_)
            | OperandKind::Text(_)
    );
    if is_constant || (matches!(first.kind, OperandKind::Dot) && first.fields.is_empty()) {
        let message = format!("non executable command in pipeline stage {stage}");
        return Err(Problem::at(command.at, message));
    }
    Ok(())
}
