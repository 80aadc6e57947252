//! SQL statements without the values in them.

use std::fmt::Write as _;

/// The longest statement that is shown, in bytes; a longer one is cut.
const MAX_BYTES: usize = 2 * 1024;

/// The longest name in double quotes: what is longer is a value.
const MAX_NAME_BYTES: usize = 128;

/// How much of a statement is looked at, in bytes.
const MAX_READ_BYTES: usize = 64 * 1024;

/// What comes after spaces and opening brackets.
fn after_opening(text: &str) -> &str {
    text.trim_start_matches(|character: char| character.is_whitespace() || character == '(')
}

/// How the texts of a database system are written.
#[derive(Clone, Copy)]
struct Dialect {
    /// Double quotes stand around names.
    quotes_names: bool,
    /// Whether a backslash in a text takes the next character with it, where that is known.
    escapes: Option<bool>,
    /// `#` begins a comment.
    hash_comments: bool,
}

impl Dialect {
    fn of(system: &str) -> Self {
        let (quotes_names, escapes, hash_comments) = match system {
            "postgresql"
            | "oracle"
            | "mssql"
            | "microsoft.sql_server"
            | "duckdb"
            | "cockroachdb"
            | "redshift" => (true, Some(false), false),
            "sqlite" => (false, Some(false), false),
            "mysql" | "mariadb" => (false, Some(true), true),
            _ => (false, None, true),
        };
        Self { quotes_names, escapes, hash_comments }
    }
}

/// A statement with `?` in place of every literal, without comments, on one line, 2 KiB at most.
///
/// Literals are numbers, and texts in single quotes, in dollar quotes, and in double quotes unless `system` is one whose
/// double quotes stand around names (`postgresql`, `oracle`, `mssql`, `duckdb`, `cockroachdb`, `redshift`). Lists of
/// literals become one `?`, and lists of rows one row, so that statements that differ only in how many values they have
/// are the same. Placeholders (`$1`, `:name`, `?`) stay.
///
/// What cannot be read for sure is cut off there: a text that is never closed, and one with a backslash before a quote
/// where it is not known what that means to `system`.
///
/// ```
/// let sql = "SELECT *  FROM t -- mine\n WHERE mail = 'ada@example.org' AND id IN (1, 2, 3) AND k = $1";
/// let shown = obs_tracing::db::sanitized(sql, "sqlite");
/// assert_eq!(shown, "SELECT * FROM t WHERE mail = ? AND id IN (?) AND k = $1");
/// ```
#[must_use]
pub fn sanitized(statement: &str, system: &str) -> String {
    let rest = crate::fields::cut(statement, MAX_READ_BYTES);
    let mut sanitizer = Sanitizer { rest, out: String::new(), dialect: Dialect::of(system) };
    while sanitizer.out.len() < MAX_BYTES && sanitizer.step().is_some() {}
    let mut out = sanitizer.out;
    out.truncate(crate::fields::cut(&out, MAX_BYTES).len());
    out.truncate(out.trim_end().len());
    out
}

/// What tells one statement from another, whatever values it has: 16 hexadecimal digits of FNV-1a (Fowler, Noll, Vo) over
/// its sanitized form, in lower case.
///
/// ```
/// use obs_tracing::db::fingerprint;
///
/// assert_eq!(fingerprint("SELECT 1", "sqlite"), fingerprint("select  42", "sqlite"));
/// assert_ne!(fingerprint("SELECT a", "sqlite"), fingerprint("SELECT b", "sqlite"));
/// ```
#[must_use]
pub fn fingerprint(statement: &str, system: &str) -> String {
    fingerprint_of(&sanitized(statement, system))
}

pub(super) fn fingerprint_of(sanitized: &str) -> String {
    let hash = sanitized.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut text = String::with_capacity(16);
    // OK because writing to a string does not fail.
    let _ = write!(text, "{hash:016x}");
    text
}

/// The first word of a statement in lower case where it is one that begins statements, else `other`.
pub(crate) fn operation_of(statement: &str) -> &'static str {
    const KNOWN: [&str; 24] = [
        "select",
        "insert",
        "update",
        "delete",
        "with",
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "release",
        "create",
        "alter",
        "drop",
        "truncate",
        "merge",
        "replace",
        "pragma",
        "explain",
        "call",
        "copy",
        "set",
        "show",
        "vacuum",
        "analyze",
    ];
    let mut rest = after_opening(statement);
    while let Some(after) = comment(rest, true) {
        rest = after_opening(after);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = &rest[..end];
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(word)).unwrap_or("other")
}

struct Sanitizer<'a> {
    rest: &'a str,
    out: String,
    dialect: Dialect,
}

impl<'a> Sanitizer<'a> {
    /// Takes the next token; `None` at the end.
    fn step(&mut self) -> Option<()> {
        let first = self.rest.chars().next()?;
        let second = self.rest[first.len_utf8()..].chars().next();
        if first.is_whitespace() {
            self.space();
            self.rest = self.rest.trim_start();
        } else if let Some(after) = comment(self.rest, self.dialect.hash_comments) {
            self.space();
            self.rest = after;
        } else if let Some(after) = dollar_quoted(self.rest) {
            self.literal(after);
        } else {
            match first {
                '\'' => self.literal(quoted(self.rest, self.dialect.escapes)),
                '"' => self.double_quoted(),
                '`' => self.name(quoted(self.rest, Some(false))),
                '0'..='9' => self.literal(Some(after_number(self.rest))),
                '.' if second.is_some_and(|c| c.is_ascii_digit()) => {
                    self.literal(Some(after_number(self.rest)));
                }
                '$' | ':' | '@' | '?' => self.placeholder(first),
                _ if is_word(first) => self.word(),
                _ => self.take(first.len_utf8()),
            }
        }
        Some(())
    }

    fn take(&mut self, bytes: usize) {
        self.out.push_str(&self.rest[..bytes]);
        self.rest = &self.rest[bytes..];
        for rows in ["(?), (?)", "(?),(?)"] {
            if self.out.ends_with(rows) {
                self.out.truncate(self.out.len() - rows.len() + "(?)".len());
            }
        }
    }

    fn space(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with([' ', '(']) {
            self.out.push(' ');
        }
    }

    /// Goes on after a literal, of which a list keeps the first only. A literal without an end takes the rest.
    fn literal(&mut self, after: Option<&'a str>) {
        let before = self.out.trim_end().strip_suffix(',').map(str::trim_end);
        match before.filter(|before| before.ends_with('?')) {
            Some(listed) => self.out.truncate(listed.len()),
            None => self.out.push('?'),
        }
        self.rest = after.unwrap_or_default();
    }

    fn name(&mut self, after: Option<&'a str>) {
        match after {
            Some(after) => self.take(self.rest.len() - after.len()),
            None => self.literal(None),
        }
    }

    fn double_quoted(&mut self) {
        if self.dialect.quotes_names {
            let after = quoted(self.rest, Some(false));
            match after {
                Some(end) if self.rest.len() - end.len() <= MAX_NAME_BYTES => self.name(after),
                _ => self.literal(after),
            }
        } else {
            self.literal(quoted(self.rest, self.dialect.escapes));
        }
    }

    /// `$1`, `?1`, `:name`, `@name`, and casts such as `::text`.
    fn placeholder(&mut self, first: char) {
        let marks = self.rest.len() - self.rest.trim_start_matches(first).len();
        let after = &self.rest[marks..];
        let name = after.find(|c: char| !is_word(c)).unwrap_or(after.len());
        self.take(marks + name);
    }

    /// A keyword or a name, or the prefix of a literal such as `X'00'`.
    fn word(&mut self) {
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(end);
        if !after.starts_with('\'') {
            return self.take(end);
        }
        match word {
            "e" | "E" => self.literal(quoted(after, Some(true))),
            "q" | "Q" | "nq" | "nQ" | "Nq" | "NQ" => self.literal(chosen_quotes(after)),
            "x" | "X" | "b" | "B" | "n" | "N" => {
                self.literal(quoted(after, self.dialect.escapes));
            }
            // A type before its value, as in `DATE'2024-01-01'`, or the name of a character set.
            _ => self.take(end),
        }
    }
}

const fn is_word(character: char) -> bool {
    character == '_' || character.is_ascii_alphanumeric() || !character.is_ascii()
}

/// What comes after a text in quotes, or `None` when it is never closed or its end is not known for sure. Doubled quotes
/// go on.
fn quoted(text: &str, escapes: Option<bool>) -> Option<&str> {
    let quote = text.chars().next()?;
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        if character == '\\' {
            match escapes {
                Some(true) => drop(characters.next()),
                None if next == Some(quote) => return None,
                _ => {}
            }
        } else if character == quote {
            if next != Some(quote) {
                return Some(&text[at + 1..]);
            }
            characters.next();
        }
    }
    None
}

/// What comes after a text whose quotes are chosen (Oracle), as in `q'[it's]'`.
fn chosen_quotes(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('\'')?;
    let open = inner.chars().next()?;
    let close = match open {
        '[' => ']',
        '{' => '}',
        '(' => ')',
        '<' => '>',
        other => other,
    };
    let end = format!("{close}'");
    let body = &inner[open.len_utf8()..];
    body.find(&end).map(|at| &body[at + end.len()..])
}

/// What comes after a number, with its digits, fraction, exponent and base.
fn after_number(text: &str) -> &str {
    let mut before = ' ';
    let end = text.find(|character: char| {
        let goes_on = character.is_ascii_alphanumeric()
            || matches!(character, '.' | '_')
            || (matches!(character, '+' | '-') && matches!(before, 'e' | 'E'));
        before = character;
        !goes_on
    });
    &text[end.unwrap_or(text.len())..]
}

/// What comes after a text in dollar quotes (PostgreSQL), if there is one here.
fn dollar_quoted(text: &str) -> Option<Option<&str>> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let tag = &inner[..end];
    let is_tag = tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit());
    let mark = &text[..end + 2];
    is_tag.then(|| {
        let body = &inner[end + 1..];
        body.find(mark).map(|at| &body[at + mark.len()..])
    })
}

/// What comes after a comment, if there is one here. One that is never closed takes the rest.
fn comment(text: &str, hash: bool) -> Option<&str> {
    if text.starts_with("--") || (hash && text.starts_with('#') && !text.starts_with("#>")) {
        return Some(text.find('\n').map_or("", |end| &text[end + 1..]));
    }
    let mut rest = text.strip_prefix("/*")?;
    let mut depth = 1_usize;
    while depth > 0 {
        let next = rest.find(['*', '/']);
        let Some(at) = next else { return Some("") };
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'*', b'/', ..] => (2, -1),
            [b'/', b'*', ..] => (2, 1),
            _ => (1, 0),
        };
        depth = depth.saturating_add_signed(change);
        rest = &rest[at + step..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(system: &str, cases: &[(&str, &str)]) {
        for (given, expected) in cases {
            assert_eq!(sanitized(given, system), *expected, "{system}: {given}");
        }
    }

    #[test]
    fn literals_are_replaced_and_names_and_placeholders_stay() {
        check(
            "sqlite",
            &[
                ("SELECT a1, 2.5e-3, .5, 0xFF FROM t2", "SELECT a1, ? FROM t2"),
                ("INSERT INTO t VALUES (1, 'a'), (2,'b')", "INSERT INTO t VALUES (?)"),
                ("SELECT 'it''s', X'00ff' , \"text\"", "SELECT ?"),
                ("WHERE a = '\\' AND b = 'secret'", "WHERE a = ? AND b = ?"),
                (
                    "UPDATE t SET a=?1,b=:b,c=@c WHERE d=-5",
                    "UPDATE t SET a=?1,b=:b,c=@c WHERE d=-?",
                ),
                ("SELECT /* a 'b */ 1 -- 'c\n + 2", "SELECT ? + ?"),
                ("SELECT 'never closed FROM secret", "SELECT ?"),
                ("  SELECT\t\n1  ", "SELECT ?"),
                (
                    "SELECT [a b], `c d` FROM é WHERE ü = 1",
                    "SELECT [a b], `c d` FROM é WHERE ü = ?",
                ),
                ("", ""),
            ],
        );
    }

    #[test]
    fn each_system_has_its_own_quotes() {
        check(
            "postgresql",
            &[
                (r#"SELECT "users"."id" FROM "users""#, r#"SELECT "users"."id" FROM "users""#),
                (r"SELECT E'it\'s', 'a\', $1::text", "SELECT ?, $1::text"),
                ("SELECT $$it's$$, $f$a $$ b$f$, $2", "SELECT ?, $2"),
                ("SELECT a #>> '{b,c}', a # 2", "SELECT a #>> ?, a # ?"),
                ("/* a /* b */ 'c */ SELECT 1", "SELECT ?"),
            ],
        );
        check("mysql", &[(r#"SELECT 'it\'s', "a b" # c"#, "SELECT ?")]);
        check("oracle", &[("SELECT q'[it's]', nq'!a'b!' FROM dual", "SELECT ? FROM dual")]);
        check(
            "",
            &[(r"SELECT 'it\'s secret', 1", "SELECT ?"), (r"SELECT 'a\b', c", "SELECT ?, c")],
        );
    }

    #[test]
    fn the_operation_is_the_first_word() {
        for (statement, expected) in [
            ("SELECT 1", "select"),
            ("-- why\n /* not */ (select 1)", "select"),
            (" Insert into t", "insert"),
            ("selection", "other"),
            ("", "other"),
            ("drop", "drop"),
        ] {
            assert_eq!(operation_of(statement), expected, "{statement}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_within_the_bound_on_one_line(
            text in prop::collection::vec(prop::sample::select(vec![
                "select ", "'", "\"", "`", "$$", "$a$", "\\", "/*", "*/", "--", "\n", "#", "1", ",", "(", ")", "q'[",
                "é", "E'", "?", ":a", ".", "e+", " ",
            ]), 0..40),
            system in prop::sample::select(vec!["", "mysql", "postgresql", "sqlite", "oracle"]),
        ) {
            let text = text.concat();
            let shown = sanitized(&text, system);
            prop_assert!(shown.len() <= MAX_BYTES && shown.len() <= text.len() + 1);
            prop_assert_eq!(fingerprint(&text, system).len(), 16);
            let _ = operation_of(&text);
        }

        #[test]
        fn what_is_written_as_a_text_is_never_shown(
            value in "[a-z0-9 '\"\\\\$#/*-]{0,20}", system in prop::sample::select(vec!["postgresql", "sqlite", "mysql"]),
        ) {
            let escaped = value.replace('\'', "''");
            let escaped = if system == "mysql" { escaped.replace('\\', r"\\") } else { escaped };
            let statement = format!("SELECT a FROM b WHERE c = '{escaped}' AND d = 7");
            prop_assert_eq!(sanitized(&statement, system), "SELECT a FROM b WHERE c = ? AND d = ?");
        }

        #[test]
        fn how_many_values_there_are_makes_no_difference(count in 1_usize..50) {
            let list = vec!["'x'"; count].join(", ");
            let rows = vec!["(1, 'a')"; count].join(", ");
            let of = |list: &str, rows: &str| fingerprint(&format!("select ({list}) values {rows}"), "sqlite");
            prop_assert_eq!(of(&list, &rows), of("'y'", "(2)"));
        }
    }
}
