//! From the text of a template to words.

use super::error::Problem;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What stands between actions.
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    Declare,
    Assign,
    Dot,
    /// `.name`
    Field,
    /// `$name`, or `$` alone.
    Variable,
    /// A name, which may be a keyword.
    Name,
    Number,
    Character,
    /// A text in double quotes.
    Quoted,
    /// A text in backquotes.
    Raw,
    End,
}

/// A word: the bytes `start..end` of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const OPEN_COMMENT: &str = "/*";
const CLOSE_COMMENT: &str = "*/";
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template into words; the last one is of kind [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.template()?;
    lexer.push(Kind::End, lexer.at);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Adds the word from `start` to here.
    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token { kind, start, end: self.at });
    }

    fn template(&mut self) -> Result<(), Problem> {
        // Whether the last delimiter asked for the white space after it to be left out.
        let mut trims = false;
        loop {
            if trims {
                self.at += blank_bytes(self.rest());
            }
            let start = self.at;
            let Some(offset) = self.rest().find(LEFT) else {
                self.at = self.text.len();
                self.push_text(start, self.at);
                return Ok(());
            };
            let open = start + offset;
            let trims_before =
                self.text[open + 2..].starts_with('-') && self.text[open + 3..].starts_with(BLANKS);
            let before = &self.text[start..open];
            let kept = if trims_before { before.trim_end_matches(BLANKS) } else { before };
            self.push_text(start, start + kept.len());
            self.at = open + if trims_before { 3 } else { 2 };
            let inside = self.at + if trims_before { blank_bytes(self.rest()) } else { 0 };
            trims = if self.text[inside..].starts_with(OPEN_COMMENT) {
                self.at = inside;
                self.comment()?
            } else {
                self.tokens.push(Token { kind: Kind::LeftDelim, start: open, end: self.at });
                self.action()?
            };
        }
    }

    fn push_text(&mut self, start: usize, end: usize) {
        if start < end {
            self.tokens.push(Token { kind: Kind::Text, start, end });
        }
    }

    /// Goes over a comment and the delimiter behind it; returns whether that trims.
    fn comment(&mut self) -> Result<bool, Problem> {
        let Some(length) = self.rest().find(CLOSE_COMMENT) else {
            return Err(Problem::at(self.at, "unclosed comment: expected */"));
        };
        self.at += length + CLOSE_COMMENT.len();
        self.right_delim().ok_or_else(|| {
            Problem::at(self.at, "comment ends before closing delimiter: expected }} after */")
        })
    }

    /// Goes over a right delimiter, if there is one here; returns whether it trims.
    fn right_delim(&mut self) -> Option<bool> {
        let rest = self.rest();
        if let Some(after) = rest.strip_prefix(BLANKS)
            && after.starts_with("-}}")
        {
            self.at += rest.len() - after.len() + 3;
            return Some(true);
        }
        rest.starts_with(RIGHT).then(|| {
            self.at += RIGHT.len();
            false
        })
    }

    /// Reads the words of an action, right delimiter included; returns whether that trims.
    fn action(&mut self) -> Result<bool, Problem> {
        let mut depth = 0_usize;
        loop {
            let start = self.at;
            // Parentheses have to be closed first, or it would not be this delimiter that ends the action.
            if let Some(trims) = self.right_delim() {
                if depth > 0 {
                    return Err(Problem::at(start, "unclosed left paren: expected )"));
                }
                self.push(Kind::RightDelim, start);
                return Ok(trims);
            }
            let Some(first) = self.rest().chars().next() else {
                return Err(Problem::at(start, "unclosed action: expected }}"));
            };
            let kind = match first {
                blank if BLANKS.contains(&blank) => {
                    self.blanks();
                    Kind::Space
                }
                '(' => {
                    depth += 1;
                    self.take(1, Kind::LeftParen)
                }
                ')' if depth == 0 => return Err(Problem::at(start, "unexpected right paren")),
                ')' => {
                    depth -= 1;
                    self.take(1, Kind::RightParen)
                }
                '|' => self.take(1, Kind::Pipe),
                ',' => self.take(1, Kind::Comma),
                '=' => self.take(1, Kind::Assign),
                ':' if self.rest().starts_with(":=") => self.take(2, Kind::Declare),
                ':' => return Err(Problem::at(start, "expected :=")),
                '"' => self.quoted('"', Kind::Quoted)?,
                '\'' => self.quoted('\'', Kind::Character)?,
                '`' => self.raw()?,
                '$' => self.named(Kind::Variable)?,
                '.' if !self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                    self.dot()?
                }
                '.' | '+' | '-' | '0'..='9' => self.number(),
                letter if is_name(letter) => self.named(Kind::Name)?,
                other => {
                    return Err(Problem::at(start, format!("unrecognized character {other:?}")));
                }
            };
            self.push(kind, start);
        }
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at += bytes;
        kind
    }

    /// Goes over white space, but not over one that belongs to a trimming delimiter.
    fn blanks(&mut self) {
        while self.rest().starts_with(BLANKS) && !self.rest()[1..].starts_with("-}}") {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind) -> Result<Kind, Problem> {
        let start = self.at;
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' if characters.next().is_some_and(|(_, next)| next != '\n') => {}
                '\\' | '\n' => break,
                end if end == quote => {
                    self.at += index + 1;
                    return Ok(kind);
                }
                _ => {}
            }
        }
        Err(Problem::at(start, format!("unterminated quoted string: expected {quote}")))
    }

    fn raw(&mut self) -> Result<Kind, Problem> {
        match self.rest()[1..].find('`') {
            Some(length) => Ok(self.take(length + 2, Kind::Raw)),
            None => Err(Problem::at(self.at, "unterminated raw quoted string: expected `")),
        }
    }

    fn dot(&mut self) -> Result<Kind, Problem> {
        if self.rest()[1..].starts_with(is_name) {
            self.named(Kind::Field)
        } else {
            let kind = self.take(1, Kind::Dot);
            self.terminated()?;
            Ok(kind)
        }
    }

    /// Reads a name, with the sign before it.
    fn named(&mut self, kind: Kind) -> Result<Kind, Problem> {
        if kind != Kind::Name {
            self.at += 1;
        }
        let rest = self.rest();
        self.at += rest.find(|next| !is_name(next)).unwrap_or(rest.len());
        self.terminated()?;
        Ok(kind)
    }

    /// Checks that something stands here that may follow a name.
    fn terminated(&self) -> Result<(), Problem> {
        let follows = |next: char| BLANKS.contains(&next) || ".,|:()=".contains(next);
        match self.rest().chars().next() {
            Some(next) if !follows(next) && !self.rest().starts_with(RIGHT) => {
                Err(Problem::at(self.at, format!("bad character {next:?}")))
            }
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Kind {
        self.at += usize::from(self.rest().starts_with(['+', '-']));
        let mut last = ' ';
        let length = self.rest().find(|next: char| {
            let is_sign_of_exponent =
                matches!(next, '+' | '-') && matches!(last, 'e' | 'E' | 'p' | 'P');
            last = next;
            !(next.is_alphanumeric() || next == '_' || next == '.' || is_sign_of_exponent)
        });
        self.at += length.unwrap_or(self.rest().len());
        Kind::Number
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn blank_bytes(text: &str) -> usize {
    text.len() - text.trim_start_matches(BLANKS).len()
}
