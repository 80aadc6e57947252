//! Reducing a message to what is the same each time the same thing goes wrong.
//!
//! The rule, in the order in which it is tried at every place of the message:
//!
//! 1. Everything from a line `Stack backtrace:` on is cut off, and white space becomes one space.
//! 2. A text in double or single quotes becomes `<str>`. An apostrophe inside a word is not a quote. Backticks
//!    are not quotes either: Rust messages put identifiers into them.
//! 3. But where `Debug` quotes the text of an inner error, the quotes stay and the rule is applied inside them:
//!    in double quotes directly after `Name(`, or after a field `message: `, `msg: `, `error: `, `reason: `,
//!    `description: ` or `detail: `.
//! 4. A URL becomes `<url>`; an absolute path, one that begins with `./`, `../`, `~/` or `C:\`, and a relative
//!    one with two slashes or with a file extension become `<path>`.
//! 5. UUIDs, IPv6 addresses, words that begin with a digit (numbers, durations, dates, addresses with a port,
//!    `0x…`), hexadecimal words of 8 digits (or of 6 when two are 0–9), and words of 16 letters and more with
//!    four digits in them (opaque ids) become `<n>`; a sign before a number goes with it.
//! 6. All other words stay, so identifiers tell errors apart: `no such table: users` is not
//!    `no such table: orders`.

use std::net::Ipv6Addr;

/// Field names of `Debug` output after which a quoted text is what an inner error says.
const TEXT_FIELDS: [&str; 6] =
    ["message: ", "msg: ", "error: ", "reason: ", "description: ", "detail: "];

/// The message reduced as the module says. Reducing a reduced message changes nothing.
pub(crate) fn normalised(message: &str) -> String {
    let end = message.find("\nStack backtrace:").unwrap_or(message.len());
    let mut out = reduced(&message[..end]);
    out.truncate(out.trim_end().len());
    out
}

fn reduced(text: &str) -> String {
    let mut reducer = Reducer {
        rest: text,
        out: String::with_capacity(text.len()),
        more_double: true,
        more_single: true,
    };
    while let Some(next) = reducer.rest.chars().next() {
        reducer.step(next);
    }
    reducer.out
}

struct Reducer<'a> {
    rest: &'a str,
    out: String,
    /// Whether a closing quote may still follow; keeps a text full of lone quotes from costing its square.
    more_double: bool,
    more_single: bool,
}

impl Reducer<'_> {
    fn step(&mut self, next: char) {
        // Every decision looks back at what was written, not at what was read: a second pass then decides alike.
        let before = self.out.chars().next_back();
        match next {
            _ if next.is_whitespace() => {
                if before.is_some_and(|c| c != ' ') {
                    self.out.push(' ');
                }
                self.rest = &self.rest[next.len_utf8()..];
            }
            '"' if before != Some('\\') && self.double_quoted() => {}
            '\'' if before != Some('\\') && self.single_quoted(before) => {}
            '/' | '.' | '~' if may_start_path(before) && self.rooted_path() => {}
            '-' | '+' if may_sign(before) && self.rest[1..].starts_with(is_digit) => {
                self.rest = &self.rest[1..];
            }
            ':' if !before.is_some_and(is_word) && self.ipv6() => {}
            _ if is_word(next) => self.word(),
            _ => self.keep(next.len_utf8()),
        }
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes);
        self.out.push_str(kept);
        self.rest = rest;
    }

    fn replace(&mut self, bytes: usize, with: &str) {
        self.out.push_str(with);
        self.rest = &self.rest[bytes..];
    }

    fn double_quoted(&mut self) -> bool {
        let Some(close) = self.more_double.then(|| closing(self.rest, '"', |_| true)).flatten()
        else {
            self.more_double = false;
            return false;
        };
        if self.quotes_an_inner_error() {
            let inner = reduced(&self.rest[1..close]);
            self.out.push('"');
            self.replace(close + 1, &inner);
            self.out.push('"');
        } else {
            self.replace_quoted(close + 1);
        }
        true
    }

    /// Quotes that touch are one text whose own quotes were doubled, as SQL does.
    fn replace_quoted(&mut self, bytes: usize) {
        let again = self.out.ends_with("<str>");
        self.replace(bytes, if again { "" } else { "<str>" });
    }

    fn single_quoted(&mut self, before: Option<char>) -> bool {
        if !self.more_single || before.is_some_and(char::is_alphanumeric) {
            return false;
        }
        // OK to refuse `<` because a value that follows the quote becomes one.
        let ends = |after: Option<char>| !after.is_some_and(|c| c.is_alphanumeric() || c == '<');
        match closing(self.rest, '\'', ends) {
            Some(close) => {
                self.replace_quoted(close + 1);
                true
            }
            None => {
                self.more_single = false;
                false
            }
        }
    }

    fn quotes_an_inner_error(&self) -> bool {
        let after_name = self.out.strip_suffix('(').is_some_and(|head| head.ends_with(is_word));
        after_name
            || TEXT_FIELDS.iter().any(|field| {
                self.out.strip_suffix(field).is_some_and(|head| !head.ends_with(is_word))
            })
    }

    /// A path that shows by its first characters that it is one.
    fn rooted_path(&mut self) -> bool {
        let rooted = ["/", "./", "../", "~/"].iter().any(|root| self.rest.starts_with(root));
        let end = path_end(self.rest);
        let named = self.rest[..end].contains(is_word);
        if rooted && named {
            self.replace(end, "<path>");
        }
        rooted && named
    }

    fn ipv6(&mut self) -> bool {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.'))
            .unwrap_or(self.rest.len());
        let run = self.rest[..end].trim_end_matches('.');
        // OK to try twice: an address at the end of a clause has the clause's colon behind it.
        let address = [run, run.trim_end_matches(':')].into_iter().find(|run| {
            run.contains(is_digit)
                && run.matches(':').count() >= 2
                && run.parse::<Ipv6Addr>().is_ok()
        });
        let Some(length) = address.map(str::len) else { return false };
        // OK to refuse `<` because a value that follows the address becomes one.
        if self.rest[length..].starts_with(|c| is_word(c) || c == '<') {
            return false;
        }
        self.replace(length, "<n>");
        true
    }

    fn word(&mut self) {
        let end = word_end(self.rest);
        let word = &self.rest[..end];
        if self.rest.get(..36).is_some_and(is_uuid) && !self.rest[36..].starts_with(is_word) {
            return self.replace(36, "<n>");
        }
        if self.rest[end..].starts_with("://")
            && word.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            let stop = |c: char| c.is_whitespace() || "\"'`<>(){}|,;\\".contains(c);
            let end = self.rest.find(stop).unwrap_or(self.rest.len());
            return self.replace(end, "<url>");
        }
        if self.ipv6() {
            return;
        }
        if let Some(end) = relative_path(self.rest) {
            return self.replace(end, "<path>");
        }
        if word.starts_with(is_digit) {
            return self.replace(number_end(self.rest), "<n>");
        }
        if is_value(word) {
            return self.replace(end, "<n>");
        }
        self.keep(end);
    }
}

const fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_end(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

fn may_start_path(before: Option<char>) -> bool {
    before.is_none_or(|c| c == ' ' || "\"'`([{=:,;|<".contains(c))
}

fn may_sign(before: Option<char>) -> bool {
    before.is_none_or(|c| " ([=:,".contains(c))
}

/// Where the text in quotes that `text` begins with is closed.
fn closing(text: &str, quote: char, ends: impl Fn(Option<char>) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped && ends(text[at + 1..].chars().next()) {
            return Some(at);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Where a run of characters that paths are made of ends. A backslash counts only inside the run.
fn path_end(text: &str) -> usize {
    let in_path = |c: char| is_word(c) || "/.-+@%~#$".contains(c);
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let inner = c == '\\' && text[at + 1..].starts_with(is_word);
        if !in_path(c) && !inner {
            break;
        }
        end = at + c.len_utf8();
    }
    text[..end].trim_end_matches(['.', '-', '+']).len()
}

/// Where the relative or Windows path that `text` begins with ends, if it begins with one.
fn relative_path(text: &str) -> Option<usize> {
    let drive = text.get(1..3) == Some(":\\")
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text[3..].starts_with(is_word);
    if drive {
        return Some(3 + path_end(&text[3..]));
    }
    let end = path_end(text);
    let run = &text[..end];
    let (_, name) = run.rsplit_once('/')?;
    let extension = name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && extension.len() <= 5
            && extension.starts_with(|c: char| c.is_ascii_alphabetic())
            && extension.chars().all(|c| c.is_ascii_alphanumeric())
    });
    (extension || run.matches('/').count() >= 2).then_some(end)
}

/// Where the number, date, time or address that `text` begins with ends.
fn number_end(text: &str) -> usize {
    let mut end = word_end(text);
    while text[end..].starts_with(['.', ',', ':', '-', '+'])
        && text[end + 1..].starts_with(is_digit)
    {
        end += 1 + word_end(&text[end + 1..]);
    }
    end
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Whether a word that begins with a letter is a value all the same.
fn is_value(word: &str) -> bool {
    let digits = word.chars().filter(|c| is_digit(*c)).count();
    let hexadecimal = word.chars().all(|c| c.is_ascii_hexdigit());
    (hexadecimal && (word.len() >= 8 || (word.len() >= 6 && digits >= 2)))
        || (word.len() >= 16 && digits >= 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        assert_eq!(normalised(given), expected, "{given:?}");
        assert_eq!(normalised(expected), expected, "a second pass over {given:?}");
    }

    #[test]
    fn values_are_replaced_and_words_are_kept() {
        check("no such table: users", "no such table: users");
        check(r#"near "SELEC": syntax error"#, "near <str>: syntax error");
        check("key 'it''s' isn't in Bob's 'map'", "key <str> isn't in Bob's <str>");
        check(
            "missing field `name` at line 3 column 14",
            "missing field `name` at line <n> column <n>",
        );
        check("table_1 and utf8 and sha256", "table_1 and utf8 and sha256");
        check("took 1.5s, not 900ms or 12µs", "took <n>, not <n> or <n>");
        check("at 2026-11-22T04:35:39.007+01:00 (was -5)", "at <n> (was <n>)");
        check("id 67e55044-10b5-426f-9247-bb680e5fe0c8 gone", "id <n> gone");
        check("id e7e55044-10b5-426f-9247-bb680e5fe0c8 gone", "id <n> gone");
        check("commit deadbeef, a1b2c3, 0x7ffe_0001", "commit <n>, <n>, <n>");
        check("request req_01ARZ3NDEKTSV4RRFFQ69G5FAV", "request <n>");
        check("  a \n\t b  ", "a b");
        check("", "");
    }

    #[test]
    fn addresses_urls_and_paths_are_replaced() {
        check("connect 127.0.0.1:8080 refused", "connect <n> refused");
        check("connect [2001:db8::1]:8080 or fe80::1: no", "connect [<n>]:<n> or <n>: no");
        check("::1 is std::io and abc::def", "<n> is std::io and abc::def");
        check("GET https://u:[redacted]@h/p?a=b: refused", "GET <url> refused");
        check("open /home/me/x.csv: no such file", "open <path>: no such file");
        check("open ~/x, ./y and ../z.", "open <path>, <path> and <path>.");
        check(r"open C:\Users\me\x.csv failed", "open <path> failed");
        check("at crates/app/src/db.rs:10:5", "at <path>:<n>");
        check(r#"at "http://C:\" end"#, r#"at "<url>\" end"#);
        check("expected text/html and/or N/A", "expected text/html and/or N/A");
    }

    #[test]
    fn what_debug_quotes_of_an_inner_error_is_looked_into() {
        check(
            r#"SqliteFailure(Error { code: Unknown, extended_code: 1 }, Some("no such table: t"))"#,
            r#"SqliteFailure(Error { code: Unknown, extended_code: <n> }, Some("no such table: t"))"#,
        );
        check(
            r#"Os { code: 2, kind: NotFound, message: "No such file 7" }"#,
            r#"Os { code: <n>, kind: NotFound, message: "No such file <n>" }"#,
        );
        check(r#"Row { name: "Ann Lee" }"#, "Row { name: <str> }");
        check(r#"Syntax("near \"SELEC\" 3")"#, r#"Syntax("near \"SELEC\" <n>")"#);
    }

    #[test]
    fn a_backtrace_in_the_message_is_cut_off() {
        check(
            "it failed\n\nCaused by:\n    x\n\nStack backtrace:\n   0: f",
            "it failed Caused by: x",
        );
    }

    #[test]
    fn a_text_full_of_lone_quotes_is_reduced_in_one_pass() {
        let text = "('a".repeat(200_000);
        assert_eq!(normalised(&text), text);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn reducing_a_reduced_message_changes_nothing(
            text in r#"([a-f0-9xé_ \n]|["'`\\/.:,;()<>{}~+-]|message: |Some\(|http://|C:\\|\.\./|::){0,24}"#
        ) {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }

        #[test]
        fn any_text_is_reduced_without_panicking(text in "\\PC{0,60}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
