//! RE2's regular expressions in the syntax of the `regex` crate, where the two differ.
//!
//! Both have the same core. They part where RE2's classes `\d \s \w` and boundary `\b` are about ASCII, where it reads
//! `[`, `&&`, `--` and `~~` in a bracketed class, a `{` that begins no repetition, and `\<` as themselves, and where
//! it has `\Q…\E`.

/// Rewrites a pattern. One that is not valid stays so, and is refused when it is compiled.
pub(super) fn from_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => rest = escape(rest, &mut out),
            '[' => rest = class(rest, &mut out),
            '{' if !begins_repetition(rest) => out.push_str("\\{"),
            other => out.push(other),
        }
    }
    out
}

/// Rewrites what follows a backslash outside a class.
fn escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some(character) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    let after = &rest[character.len_utf8()..];
    match character {
        'd' | 's' | 'w' => {
            out.push('[');
            out.push_str(ascii_class(character));
            out.push(']');
        }
        'D' | 'S' | 'W' => negated(character, out),
        'b' => out.push_str("(?-u:\\b)"),
        'B' => out.push_str("(?-u:\\B)"),
        '<' | '>' => out.push(character),
        'Q' => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return after;
        }
        _ => {
            let (kept, after) = rest.split_at(escape_bytes(rest));
            out.push('\\');
            out.push_str(kept);
            return after;
        }
    }
    after
}

/// Rewrites a bracketed class, whose opening bracket has been read.
fn class<'a>(mut rest: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    while !rest.is_empty() {
        if !first && let Some(after) = rest.strip_prefix(']') {
            out.push(']');
            return after;
        }
        first = false;
        if let Some(length) = posix_class(rest) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        rest = &rest[class_atom(rest, out)..];
        if rest.len() > 1
            && !rest.starts_with("-]")
            && let Some(after) = rest.strip_prefix('-')
        {
            out.push('-');
            rest = &after[class_atom(after, out)..];
        }
    }
    rest
}

/// Rewrites one member of a class, or one end of a range in it, and says how many bytes it took.
fn class_atom(here: &str, out: &mut String) -> usize {
    let mut characters = here.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some(escaped)) => {
            match escaped {
                'd' | 's' | 'w' => out.push_str(ascii_class(escaped)),
                'D' | 'S' | 'W' => negated(escaped, out),
                '<' | '>' => out.push(escaped),
                _ => {
                    let length = escape_bytes(&here[1..]);
                    out.push_str(&here[..=length]);
                    return 1 + length;
                }
            }
            1 + escaped.len_utf8()
        }
        (Some(character), _) => {
            if matches!(character, '[' | ']' | '&' | '~' | '-' | '^') {
                out.push('\\');
            }
            out.push(character);
            character.len_utf8()
        }
        (None, _) => 0,
    }
}

/// The length of an escape without its backslash: one character, or `p{…}`, `P{…}` or `x{…}`.
fn escape_bytes(rest: &str) -> usize {
    if rest.starts_with(['p', 'P', 'x'])
        && rest[1..].starts_with('{')
        && let Some(end) = rest.find('}')
    {
        return end + 1;
    }
    rest.chars().next().map_or(0, char::len_utf8)
}

/// The length of `[:name:]` at the start of `here`, if it stands there.
fn posix_class(here: &str) -> Option<usize> {
    let name = here.strip_prefix("[:")?;
    let end = name.find(":]")?;
    name[..end]
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b'^')
        .then_some(2 + end + 2)
}

/// The members of one of Perl's classes as RE2 has them.
fn ascii_class(letter: char) -> &'static str {
    match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        _ => "0-9A-Za-z_",
    }
}

fn negated(letter: char, out: &mut String) {
    out.push_str("[^");
    out.push_str(ascii_class(letter));
    out.push(']');
}

/// Whether what follows a `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn begins_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    !least.is_empty() && [least, most].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
}
