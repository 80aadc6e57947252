//! Lines that are taken away together.

use obs_model::{Level, Timestamp};

use crate::line::write::TimeWriter;
use crate::line::{Template, TemplatedLine};
use crate::sink::LineHead;

/// A line that is handed over.
#[derive(Clone, Copy)]
pub(crate) enum NewLine<'a> {
    /// As it will be written, with its end.
    Whole(&'a [u8]),
    /// As the values that its template lacks.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only requests have templates"))]
    Templated(TemplatedLine<'a>),
}

impl NewLine<'_> {
    /// The most bytes that it takes once it is whole.
    pub(super) fn most_bytes(&self) -> usize {
        match self {
            Self::Whole(line) => line.len(),
            Self::Templated(line) => line.most_bytes(),
        }
    }
}

/// Where a line stands in its batch.
#[derive(Clone, Copy)]
struct Mark {
    at: Timestamp,
    /// Where it ends, its line end included.
    end: usize,
    /// What is lacking, where only the values are there.
    template: Option<&'static Template>,
}

/// Lines that are taken away together.
#[derive(Default)]
pub(crate) struct Batch {
    /// Lines with their ends, or their values, one after another.
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// What is known of each, if somebody wants to know.
    heads: Vec<LineHead>,
    by_level: [u64; Level::ALL.len()],
    /// How many of them are not whole.
    templated: usize,
    /// The most bytes that all of them take once they are whole.
    most_bytes: usize,
}

impl Batch {
    pub(super) fn push(
        &mut self,
        line: NewLine<'_>,
        at: Timestamp,
        level: Level,
        head: Option<LineHead>,
    ) {
        let template = match line {
            NewLine::Whole(line) => {
                self.bytes.extend_from_slice(line);
                None
            }
            NewLine::Templated(line) => {
                line.keep(&mut self.bytes);
                self.templated += 1;
                Some(line.template)
            }
        };
        self.marks.push(Mark { at, end: self.bytes.len(), template });
        self.heads.extend(head);
        self.by_level[level as usize] += 1;
        self.most_bytes += line.most_bytes();
    }

    /// Whether every line is as it will be written.
    pub(super) fn is_whole(&self) -> bool {
        self.templated == 0
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.marks.len()
    }

    /// How many lines there are of each level.
    pub(super) fn by_level(&self) -> impl Iterator<Item = (Level, u64)> + use<> {
        Level::ALL.into_iter().zip(self.by_level)
    }

    /// All lines with their ends, of a batch that is whole.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each line without its end, of a batch that is whole and whose queue was given their heads.
    pub(crate) fn lines_with_heads(&self) -> impl Iterator<Item = (LineHead, &[u8])> {
        let line = |(at, head): (usize, &LineHead)| {
            (*head, &self.bytes[self.start(at)..self.marks[at].end - 1])
        };
        self.heads.iter().enumerate().map(line)
    }

    /// How many bytes the lines take once they are whole; the marks are bounded by the number of lines.
    pub(super) fn size(&self) -> usize {
        self.most_bytes + self.heads.len() * size_of::<LineHead>()
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
        (self.templated, self.most_bytes) = (0, 0);
    }

    /// Adds the lines of all parts, the older ones first, and makes them whole. Those of one part stay in their order.
    pub(super) fn merge(&mut self, parts: &[Self], time: &mut TimeWriter) {
        let mut next = vec![0; parts.len()];
        while let Some((part, until)) = oldest(parts, &next) {
            let from = next[part];
            let rest = &parts[part].marks[from..];
            let count =
                rest.iter().take_while(|mark| until.is_none_or(|until| mark.at <= until)).count();
            self.append(&parts[part], from, count, time);
            next[part] += count;
        }
        for part in parts {
            self.by_level.iter_mut().zip(part.by_level).for_each(|(sum, lines)| *sum += lines);
        }
    }

    /// Adds some lines of another batch, whole.
    fn append(&mut self, other: &Self, from: usize, count: usize, time: &mut TimeWriter) {
        let before = self.bytes.len();
        if other.is_whole() {
            let start = other.start(from);
            let moved = |mark: &Mark| Mark { end: mark.end - start + before, ..*mark };
            self.marks.extend(other.marks[from..from + count].iter().map(moved));
            self.bytes.extend_from_slice(&other.bytes[start..other.start(from + count)]);
        } else {
            for at in from..from + count {
                let Mark { at: time_of, end, template } = other.marks[at];
                let kept = &other.bytes[other.start(at)..end];
                match template.and_then(|template| TemplatedLine::kept(template, kept)) {
                    Some(line) => line.render(&mut self.bytes, time, time_of),
                    None => self.bytes.extend_from_slice(kept),
                }
                self.marks.push(Mark { at: time_of, end: self.bytes.len(), template: None });
            }
        }
        self.most_bytes += self.bytes.len() - before;
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

    #[cfg(feature = "http")]
    #[test]
    fn lines_that_were_handed_over_as_values_are_whole_and_in_their_places_when_they_are_taken() {
        use obs_model::{Redactor, SpanId, TraceId};

        use crate::config::LogFormat;
        use crate::fields::FieldRules;
        use crate::line::{LineRules, Outline};

        let fields = FieldRules {
            owner: u32::MAX,
            redactor: Redactor::new(),
            max_fields: 32,
            max_text: 1_000,
            max_bytes: 10_000,
        };
        let rules = LineRules::new(fields.into(), LogFormat::Json, false, "shop".into(), 10_000);
        let (level, target, message) = (Level::Info, "http", "done");
        let outline = |path| Outline { level, target, message, status: 200, method: "GET", path };
        let at = |part: usize, line: usize| Timestamp::from_millis((line * 3 + part) as i64);
        let (mut parts, mut expected, mut most) = (Vec::new(), Vec::new(), 0);
        for part in 0..3 {
            let mut batch = Batch::default();
            for line in 0..40 {
                let at = at(part, line);
                if (line + part) % 3 == 0 {
                    let text = format!("{part} {line}\n");
                    batch.push(NewLine::Whole(text.as_bytes()), at, level, None);
                    expected.push((at, text));
                    continue;
                }
                let path = ["/a", "/b"][line % 2];
                let id = "x".repeat(line);
                batch.push(
                    NewLine::Templated(TemplatedLine {
                        template: Template::of(outline(path), &rules).unwrap(),
                        trace: TraceId::new(line as u128 + 1).unwrap(),
                        span: SpanId::new(part as u64 + 1).unwrap(),
                        took: 1_500_000,
                        correlation: id.as_bytes(),
                    }),
                    at,
                    level,
                    None,
                );
                let (trace, span) = (line + 1, part + 1);
                expected.push((
                    at,
                    format!(
                        "{{\"timestamp\":\"{at}\",\"level\":\"INFO\",\"message\":\"done\",\
                         \"service\":\"shop\",\"target\":\"http\",\"correlationId\":\"{id}\",\
                         \"traceId\":\"{trace:032x}\",\"spanId\":\"{span:016x}\",\
                         \"metadata\":{{\"status\":200,\"duration_ms\":1.5,\
                         \"method\":\"GET\",\"path\":\"{path}\"}}}}\n"
                    ),
                ));
            }
            assert!(!batch.is_whole());
            most += batch.size();
            parts.push(batch);
        }
        expected.sort_by_key(|(at, _)| *at);
        let expected: String = expected.into_iter().map(|(_, text)| text).collect();
        let (mut merged, mut time) = (Batch::default(), TimeWriter::default());
        for _ in 0..2 {
            merged.merge(&parts, &mut time);
            assert_eq!(String::from_utf8_lossy(merged.bytes()), expected);
            assert!(merged.is_whole() && merged.size() == expected.len());
            assert!(merged.size() <= most && most < 2 * merged.size(), "{most}");
            merged.clear(0);
        }
    }

    #[test]
    fn a_batch_keeps_the_memory_of_usual_rounds_and_gives_that_of_a_burst_back() {
        let mut batch = Batch::default();
        let mut kept_after = |lines: usize| {
            for _ in 0..lines {
                batch.push(NewLine::Whole(&[b'x'; 100]), Timestamp::EPOCH, Level::Info, None);
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
                    let line = NewLine::Whole(line.as_bytes());
                    batch.push(line, Timestamp::from_millis(*time), Level::Info, None);
                }
                batch
            }).collect();
            let mut merged = Batch::default();
            merged.merge(&batches, &mut TimeWriter::default());
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
