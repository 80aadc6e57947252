//! Some of the lines that are kept, one after another.

use crate::sink::{Line, LineHead};

/// Lines that were logged one after another.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The number of the first line.
    start: u64,
    heads: Vec<(LineHead, u32)>,
    text: Vec<u8>,
}

impl Segment {
    pub(super) const fn starting_at(start: u64) -> Self {
        Self { start, heads: Vec::new(), text: Vec::new() }
    }

    /// The number after that of the last line.
    pub(super) fn end(&self) -> u64 {
        self.start + self.heads.len() as u64
    }

    /// What it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        self.text.len() + self.heads.len() * size_of::<(LineHead, u32)>()
    }

    pub(super) fn push(&mut self, line: &Line<'_>) {
        self.text.extend_from_slice(line.json());
        // OK because a segment is sealed long before it has four gigabytes.
        self.heads.push((line.head(), self.text.len() as u32));
    }

    /// The lines with their numbers, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, Line<'_>)> {
        (0..self.heads.len()).rev().map(|at| (self.start + at as u64, self.at(at)))
    }

    /// The line of this number, if it is one of these.
    pub(super) fn line(&self, number: u64) -> Option<Line<'_>> {
        let at = usize::try_from(number.checked_sub(self.start)?).ok()?;
        (at < self.heads.len()).then(|| self.at(at))
    }

    fn at(&self, at: usize) -> Line<'_> {
        let (head, end) = self.heads[at];
        let begin = at.checked_sub(1).map_or(0, |before| self.heads[before].1);
        Line::new(head, &self.text[begin as usize..end as usize])
    }
}
