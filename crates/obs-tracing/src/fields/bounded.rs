//! Texts that are cut, and know how much they lost.

use std::fmt;

/// The start of a text, with what it lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) kept: &'a str,
    /// How many bytes are missing after it.
    pub(super) lost: usize,
}

impl<'a> Text<'a> {
    /// The start of `text` up to `window` bytes.
    pub(super) fn start_of(text: &'a str, window: usize) -> Self {
        let kept = cut(text, window);
        Self { kept, lost: text.len() - kept.len() }
    }
}

/// How much is formatted beyond the bound only to be counted.
const COUNTED: usize = 16 * 1024 * 1024;

/// Takes text up to a bound and counts the rest, up to another bound, so that no `Debug` form costs without limit.
pub(super) struct Bounded<'a> {
    out: &'a mut String,
    room: usize,
    pub(super) lost: usize,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(out: &'a mut String, room: usize) -> Self {
        Self { out, room, lost: 0 }
    }
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = cut(text, self.room);
        self.out.push_str(taken);
        self.room -= taken.len();
        if taken.len() == text.len() {
            return Ok(());
        }
        self.room = 0;
        self.lost += text.len() - taken.len();
        if self.lost > COUNTED { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The longest start of `text` that has no more than `bytes` bytes and ends at a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes { text } else { &text[..text.floor_char_boundary(bytes)] }
}
