//! From a place in the value of a YAML scalar to the place in the file that it comes from.

use saphyr_parser::ScalarStyle;

use crate::promql::Position;

/// The text of a file, with where its lines begin.
pub(super) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let breaks = bytes.iter().enumerate().filter(|(index, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            _ => false,
        });
        let line_starts = std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect();
        Self { text, line_starts }
    }

    /// Where the place `target` of `value` stands, which is a scalar of this `style` that begins at `start`.
    ///
    /// The text is gone through beside the value: what YAML folds or indents is white space in both, and quotes and
    /// escapes are known by the style. `None` if the two do not agree, such as for an exotic escape.
    pub(super) fn locate(
        &self,
        start: Position,
        style: ScalarStyle,
        value: &str,
        target: Position,
    ) -> Option<Position> {
        let line_start = *self.line_starts.get(start.line - 1)?;
        let line = &self.text[line_start..];
        let begin = line.char_indices().nth(start.column - 1).map_or(line.len(), |(at, _)| at);
        let mut cursor = Cursor { rest: &line[begin..], at: start };
        if let ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted = style {
            cursor.skip();
        }
        let mut here = Position { line: 1, column: 1 };
        for character in value.chars() {
            cursor.align(style, character);
            if here == target {
                return Some(cursor.at);
            }
            cursor.take(style, character)?;
            here = if character == '\n' {
                Position { line: here.line + 1, column: 1 }
            } else {
                Position { column: here.column + 1, ..here }
            };
        }
        (here == target).then_some(cursor.at)
    }
}

struct Cursor<'a> {
    rest: &'a str,
    at: Position,
}

impl Cursor<'_> {
    /// Goes to where `character` of the value stands, over white space that the value does not have.
    fn align(&mut self, style: ScalarStyle, character: char) {
        loop {
            match self.peek() {
                Some(found) if found.is_ascii_whitespace() && found != character => self.skip(),
                // A line that ends in a backslash goes on without a space.
                Some('\\')
                    if style == ScalarStyle::DoubleQuoted
                        && self.rest[1..].starts_with(['\n', '\r']) =>
                {
                    self.skip();
                }
                _ => return,
            }
        }
    }

    /// Goes past what `character` of the value was written as.
    fn take(&mut self, style: ScalarStyle, character: char) -> Option<()> {
        let length = match (style, self.peek()) {
            (ScalarStyle::SingleQuoted, Some('\'')) => 2,
            (ScalarStyle::DoubleQuoted, Some('\\')) => match self.rest.chars().nth(1)? {
                'x' => 4,
                'u' => 6,
                'U' => 10,
                _ => 2,
            },
            (_, Some(found)) if found == character => 1,
            // Of several line breaks one was already gone past, with the white space around it.
            _ if character.is_ascii_whitespace() => 0,
            _ => return None,
        };
        for _ in 0..length {
            self.skip();
        }
        Some(())
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let Some(character) = self.peek() else { return };
        self.rest = &self.rest[character.len_utf8()..];
        let breaks = character == '\n' || (character == '\r' && !self.rest.starts_with('\n'));
        self.at = if breaks {
            Position { line: self.at.line + 1, column: 1 }
        } else {
            Position { column: self.at.column + 1, ..self.at }
        };
    }
}
