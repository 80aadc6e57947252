//! PromQL's string literals: double-quoted, single-quoted and backquoted.

use std::fmt::{self, Write as _};

/// Writes a text as a double-quoted string literal.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        f.write_str("\"")
    }
}

/// What a string literal came to.
#[derive(Debug)]
pub(crate) struct Literal<V = String> {
    /// Its value, or what is wrong with it and at which character of the literal, the first being 0.
    pub(crate) value: Result<V, (usize, String)>,
    /// How many bytes of the text it takes, closing quote included.
    pub(super) bytes: usize,
}

/// Reads the string literal at the start of `text`; `None` if there is none. Its value has to be UTF-8.
pub(crate) fn read(text: &str) -> Option<Literal> {
    let Literal { value, bytes } = read_bytes(text)?;
    let value = value.and_then(|value| {
        String::from_utf8(value)
            .map_err(|_| (0, "the string's escapes do not make valid UTF-8".to_owned()))
    });
    Some(Literal { value, bytes })
}

/// Reads the string literal at the start of `text`; `None` if there is none.
///
/// The escapes are Go's (<https://go.dev/ref/spec#String_literals>), of which PromQL allows all but line breaks. In a
/// literal with a bad escape reading goes on to its end, so that more problems can be found after it.
pub(crate) fn read_bytes(text: &str) -> Option<Literal<Vec<u8>>> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\'' | '`'))?;
    let body = &text[1..];
    let Some(length) = closing(body, quote) else {
        let bytes = text.len();
        let message = format!("the string is not closed: expected {quote}");
        return Some(Literal { value: Err((0, message)), bytes });
    };
    let value = if quote == '`' {
        Ok(body.as_bytes()[..length].to_vec())
    } else {
        unescape(&body[..length], quote)
    };
    Some(Literal { value, bytes: length + 2 })
}

/// Where the closing quote of a literal's body is.
fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in body.char_indices() {
        match character {
            '\n' if quote != '`' => return None,
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            other if other == quote => return Some(index),
            _ => {}
        }
    }
    None
}

fn unescape(body: &str, quote: char) -> Result<Vec<u8>, (usize, String)> {
    let mut value = Vec::with_capacity(body.len());
    let mut characters = body.chars();
    let mut buffer = [0; 4];
    // The opening quote is character 0.
    let position = |rest: &str| 1 + body.chars().count() - rest.chars().count();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let at = position(characters.as_str()) - 1;
        match escape(&mut characters, quote) {
            Some(Escape::Character(character)) => {
                value.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
            Some(Escape::Byte(byte)) => value.push(byte),
            None => {
                let expected = format!(
                    "unknown escape: expected one of \\a \\b \\f \\n \\r \\t \\v \\\\ \\{quote} \\NNN \\xNN \\uNNNN \\UNNNNNNNN"
                );
                return Err((at, expected));
            }
        }
    }
    Ok(value)
}

enum Escape {
    Character(char),
    Byte(u8),
}

/// Reads what follows a backslash.
fn escape(characters: &mut std::str::Chars<'_>, quote: char) -> Option<Escape> {
    let first = characters.next()?;
    let character = match first {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        _ if first == quote => quote,
        'x' => return Some(Escape::Byte(u8::try_from(digits(characters, 2, 16)?).ok()?)),
        'u' => char::from_u32(digits(characters, 4, 16)?)?,
        'U' => char::from_u32(digits(characters, 8, 16)?)?,
        '0'..='7' => {
            let high = first.to_digit(8)? * 64;
            let byte = high + digits(characters, 2, 8)?;
            return Some(Escape::Byte(u8::try_from(byte).ok()?));
        }
        _ => return None,
    };
    Some(Escape::Character(character))
}

fn digits(characters: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let text = characters.as_str().get(..count)?;
    // OK because a sign, which `from_str_radix` would accept, is not a digit.
    if !text.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = u32::from_str_radix(text, radix).ok()?;
    *characters = characters.as_str()[count..].chars();
    Some(number)
}
