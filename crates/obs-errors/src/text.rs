//! Writing what foreign errors say into bounded, redacted texts, without trusting their code.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use obs_model::Redactor;

/// How much more than the bound is read before redaction, so that a secret at the cut is still recognised.
const SLACK_BYTES: usize = 1_024;

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// A text that takes so many bytes and refuses more, which makes most formatters stop early.
struct Bounded {
    text: String,
    limit: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        self.text.push_str(&part[..part.floor_char_boundary(room)]);
        self.limit = self.text.len();
        Err(fmt::Error)
    }
}

/// The text of `arguments`, at most `limit` bytes of it.
///
/// A formatter that fails or panics leaves what it had written; nothing of that reaches the caller.
pub(crate) fn bounded(arguments: fmt::Arguments<'_>, limit: usize) -> String {
    let mut out = Bounded { text: String::new(), limit };
    // OK to assert unwind safety because a half-written text is still a text.
    let finished = catch_unwind(AssertUnwindSafe(|| {
        let _ = out.write_fmt(arguments);
    }));
    if finished.is_err() {
        out.text.push_str("(writing this text panicked)");
    }
    out.text
}

/// The text of `arguments` without secrets, at most `limit` bytes of it and a mark where it was cut.
pub(crate) fn redacted(redactor: &Redactor, arguments: fmt::Arguments<'_>, limit: usize) -> String {
    let text = match arguments.as_str() {
        Some(text) => text[..text.floor_char_boundary(limit + SLACK_BYTES)].to_owned(),
        None => bounded(arguments, limit + SLACK_BYTES),
    };
    let mut text = match redactor.text(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(redacted) => redacted,
    };
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unruly;

    impl fmt::Display for Unruly {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            panic!("on purpose");
        }
    }

    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("é")?;
            }
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_the_cut_is_marked() {
        assert_eq!(bounded(format_args!("{Endless}"), 5), "éé");
        assert_eq!(redacted(&Redactor::new(), format_args!("{Endless}"), 5), "éé…");
        assert_eq!(redacted(&Redactor::new(), format_args!("abc"), 3), "abc");
    }

    #[test]
    fn a_formatter_that_panics_leaves_what_it_had_written() {
        assert_eq!(bounded(format_args!("{Unruly}"), 99), "half(writing this text panicked)");
    }

    #[test]
    fn a_secret_that_crosses_the_cut_does_not_show() {
        let token = "A".repeat(600);
        let text = redacted(&Redactor::new(), format_args!("call with Bearer {token} failed"), 24);
        assert!(!text.contains("AAA"), "{text}");
    }
}
