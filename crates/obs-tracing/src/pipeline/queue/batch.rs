//! Lines that are taken away together.

use obs_model::{Level, Timestamp};

use crate::sink::LineHead;

/// Where a line stands in its batch.
#[derive(Clone, Copy)]
struct Mark {
    at: Timestamp,
    /// Where it ends, its line end included.
    end: usize,
}

/// Lines that are taken away together.
#[derive(Default)]
pub(crate) struct Batch {
    /// Whole lines with their ends, one after another.
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// What is known of each, if somebody wants to know.
    heads: Vec<LineHead>,
    by_level: [u64; Level::ALL.len()],
}

impl Batch {
    pub(super) fn push(
        &mut self,
        line: &[u8],
        at: Timestamp,
        level: Level,
        head: Option<LineHead>,
    ) {
        self.bytes.extend_from_slice(line);
        self.marks.push(Mark { at, end: self.bytes.len() });
        self.heads.extend(head);
        self.by_level[level as usize] += 1;
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.marks.len()
    }

    /// How many lines there are of each level.
    pub(super) fn by_level(&self) -> impl Iterator<Item = (Level, u64)> + use<> {
        Level::ALL.into_iter().zip(self.by_level)
    }

    /// All lines with their ends.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each line without its end, if the queue was given its head.
    pub(crate) fn lines_with_heads(&self) -> impl Iterator<Item = (LineHead, &[u8])> {
        let line = |(at, head): (usize, &LineHead)| {
            (*head, &self.bytes[self.start(at)..self.marks[at].end - 1])
        };
        self.heads.iter().enumerate().map(line)
    }

    /// How many bytes the lines take; the marks are bounded by the number of lines.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.heads.len() * size_of::<LineHead>()
    }

    /// Forgets the lines and keeps room for about so many bytes, or for twice as much as there was: the next ones are
    /// likely to be as many, and memory that is given back and asked for again costs more than the lines. What a burst
    /// took beyond eight times as much is given back.
    pub(super) fn clear(&mut self, kept: usize) {
        fn clear<T>(values: &mut Vec<T>, kept: usize) {
            let twice = values.len() * 2;
            values.clear();
            let kept = kept / size_of::<T>();
            values.shrink_to(twice.clamp(kept, kept * 8));
        }
        clear(&mut self.bytes, kept);
        clear(&mut self.marks, kept);
        clear(&mut self.heads, kept);
        self.by_level = Default::default();
    }

    /// Adds the lines of all parts, the older ones first. Those of one part stay in their order.
    pub(super) fn merge(&mut self, parts: &[Self]) {
        let mut next = vec![0; parts.len()];
        while let Some((part, until)) = oldest(parts, &next) {
            let from = next[part];
            let rest = &parts[part].marks[from..];
            let count =
                rest.iter().take_while(|mark| until.is_none_or(|until| mark.at <= until)).count();
            self.append(&parts[part], from, count);
            next[part] += count;
        }
        for part in parts {
            self.by_level.iter_mut().zip(part.by_level).for_each(|(sum, lines)| *sum += lines);
        }
    }

    /// Adds some lines of another batch.
    fn append(&mut self, other: &Self, from: usize, count: usize) {
        let start = other.start(from);
        let moved = |mark: &Mark| Mark { end: mark.end - start + self.bytes.len(), ..*mark };
        self.marks.extend(other.marks[from..from + count].iter().map(moved));
        self.bytes.extend_from_slice(&other.bytes[start..other.start(from + count)]);
        if !other.heads.is_empty() {
            self.heads.extend_from_slice(&other.heads[from..from + count]);
        }
    }

    /// Where a line begins.
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.marks[before].end)
    }
}

/// The part whose next line is the oldest, and up to which time its lines come before those of the others, if those have any.
fn oldest(parts: &[Batch], next: &[usize]) -> Option<(usize, Option<Timestamp>)> {
    let times = parts.iter().zip(next).enumerate();
    let times = times.filter_map(|(part, (batch, at))| Some((batch.marks.get(*at)?.at, part)));
    let (_, part) = times.clone().min()?;
    let until = times.filter(|(_, other)| *other != part).map(|(at, _)| at).min();
    Some((part, until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_batch_keeps_the_memory_of_usual_rounds_and_gives_that_of_a_burst_back() {
        let mut batch = Batch::default();
        let mut kept_after = |lines: usize| {
            for _ in 0..lines {
                batch.push(&[b'x'; 100], Timestamp::EPOCH, Level::Info, None);
            }
            batch.clear(1_000);
            batch.bytes.capacity()
        };
        assert!(kept_after(30) >= 3_000);
        assert_eq!(kept_after(10_000), 8_000);
        assert_eq!(kept_after(1), 1_000);
    }

    proptest! {
        #[test]
        fn lines_are_merged_by_time_and_those_of_one_part_stay_in_order(
            parts in prop::collection::vec(prop::collection::vec(0_i64..20, 0..12), 0..5),
        ) {
            let batches: Vec<Batch> = parts.iter().enumerate().map(|(part, times)| {
                let mut batch = Batch::default();
                for (at, time) in times.iter().enumerate() {
                    let line = format!("{part} {at} {time}\n");
                    batch.push(line.as_bytes(), Timestamp::from_millis(*time), Level::Info, None);
                }
                batch
            }).collect();
            let mut merged = Batch::default();
            merged.merge(&batches);
            let text = String::from_utf8(merged.bytes().to_vec()).unwrap();
            let lines: Vec<Vec<usize>> = text.lines()
                .map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect())
                .collect();
            prop_assert_eq!(lines.len(), parts.iter().map(Vec::len).sum::<usize>());
            prop_assert_eq!(merged.lines(), lines.len());
            prop_assert_eq!(merged.by_level().map(|(_, lines)| lines).sum::<u64>(), lines.len() as u64);
            for (part, times) in parts.iter().enumerate() {
                let of_part: Vec<usize> = lines.iter().filter(|line| line[0] == part).map(|line| line[1]).collect();
                prop_assert_eq!(of_part, (0..times.len()).collect::<Vec<_>>());
            }
            if parts.iter().all(|times| times.is_sorted()) {
                prop_assert!(lines.is_sorted_by_key(|line| line[2]));
            }
        }
    }
}
