//! What can be asked of the lines that are kept.

use std::collections::HashMap;
use std::sync::Arc;

use obs_model::{Level, SpanId, Timestamp, TraceId};
use serde_json::Value;

use super::segment::Segment;
use crate::line::write;
use crate::sink::Line;

/// The most distinct values that are counted; further ones count as [`FieldCount::value`] `None` does.
const MAX_VALUES: usize = 10_000;

/// Which lines are wanted: those to which every part applies.
#[derive(Clone, Debug, PartialEq)]
pub struct LineQuery {
    /// At this level or a more important one.
    pub level: Level,
    /// Of this target or of a module in it.
    pub target: Option<String>,
    /// With this text anywhere in the line; ASCII letters in either case.
    pub text: Option<String>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// With these values of these fields, written as text. A field is a member of the line, such as `correlationId` or
    /// `userId`, or one of its `metadata`.
    pub fields: Vec<(String, String)>,
    /// With a number in this field that is not below this one, such as `duration_ms`.
    pub at_least: Vec<(String, f64)>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Not after this time.
    pub until: Option<Timestamp>,
    /// With a number above this one: what came after a line that is known.
    pub after: Option<u64>,
    /// With a number below this one: what came before a line that is known.
    pub before: Option<u64>,
    /// How many lines at most.
    pub limit: usize,
}

impl Default for LineQuery {
    /// The newest hundred lines.
    fn default() -> Self {
        Self {
            level: Level::Trace,
            target: None,
            text: None,
            trace: None,
            fields: Vec::new(),
            at_least: Vec::new(),
            since: None,
            until: None,
            after: None,
            before: None,
            limit: 100,
        }
    }
}

/// What a query found.
#[derive(Clone, Debug, PartialEq)]
pub struct LineSearch {
    /// The lines, the newest first.
    pub lines: Vec<KeptLine>,
    /// Whether there are older ones to which the query applies.
    pub more: bool,
}

/// A line that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLine {
    /// Its number: each line has the next one.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// How important it is.
    pub level: Level,
    /// The module or name that it was written under.
    pub target: &'static str,
    /// The trace that it belongs to.
    pub trace: Option<TraceId>,
    /// The span that it was written in.
    pub span: Option<SpanId>,
    /// The line as one JSON object.
    pub json: String,
}

/// How many lines have one value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCount {
    /// The value as text; `None` stands for lines without the field, and for values beyond the first ten thousand.
    pub value: Option<String>,
    /// How many lines have it.
    pub lines: u64,
}

/// A query made ready.
struct Prepared<'a> {
    query: &'a LineQuery,
    /// The text as it stands in JSON, in lower case.
    text: Option<Vec<u8>>,
}

impl<'a> Prepared<'a> {
    fn new(query: &'a LineQuery) -> Self {
        let text = query.text.as_deref().filter(|text| !text.is_empty()).map(|text| {
            let mut escaped = Vec::new();
            write::push_escaped(&mut escaped, text, 0, usize::MAX);
            escaped.make_ascii_lowercase();
            escaped
        });
        Self { query, text }
    }

    /// Whether a line is wanted. What can be said without reading it is asked first.
    fn wants(&self, number: u64, line: &Line<'_>) -> bool {
        let LineQuery {
            level, target, trace, fields, at_least, since, until, after, before, ..
        } = self.query;
        line.level() >= *level
            && after.is_none_or(|after| number > after)
            && before.is_none_or(|before| number < before)
            && since.is_none_or(|since| line.at() >= since)
            && until.is_none_or(|until| line.at() <= until)
            && trace.is_none_or(|trace| line.trace() == Some(trace))
            && target.as_deref().is_none_or(|target| is_within(line.target(), target))
            && self.text.as_deref().is_none_or(|text| contains(line.json(), text))
            && fields
                .iter()
                .all(|(name, value)| line.text_of(name).is_some_and(|is| is == value.as_str()))
            && at_least.iter().all(|(name, least)| {
                line.field(name).and_then(Value::as_f64).is_some_and(|is| is >= *least)
            })
    }

    /// The lines that are wanted, the newest first.
    fn of<'s>(
        &'s self,
        segments: &'s [Arc<Segment>],
    ) -> impl Iterator<Item = (u64, Line<'s>)> + use<'s, 'a> {
        let lines = segments.iter().rev().flat_map(|segment| segment.newest_first());
        lines.filter(|(number, line)| self.wants(*number, line))
    }
}

pub(super) fn search(segments: &[Arc<Segment>], query: &LineQuery) -> LineSearch {
    let prepared = Prepared::new(query);
    let mut found = prepared.of(segments);
    let lines = found.by_ref().take(query.limit).map(|(number, line)| KeptLine {
        number,
        at: line.at(),
        level: line.level(),
        target: line.target(),
        trace: line.trace(),
        span: line.span(),
        // OK because the pipeline writes nothing but UTF-8.
        json: String::from_utf8_lossy(line.json()).into_owned(),
    });
    let lines = lines.collect();
    LineSearch { lines, more: found.next().is_some() }
}

/// The numbers of the lines that are wanted, the oldest first.
pub(super) fn numbers(segments: &[Arc<Segment>], query: &LineQuery) -> Vec<u64> {
    let prepared = Prepared::new(query);
    let found = prepared.of(segments).take(query.limit);
    let mut numbers: Vec<u64> = found.map(|(number, _)| number).collect();
    numbers.reverse();
    numbers
}

pub(super) fn count_by(
    segments: &[Arc<Segment>],
    field: &str,
    query: &LineQuery,
) -> Vec<FieldCount> {
    let mut counts: HashMap<Option<String>, u64> = HashMap::new();
    for (_, line) in Prepared::new(query).of(segments) {
        let value = line.text_of(field);
        match value.as_deref() {
            Some(value) if counts.len() >= MAX_VALUES => {
                let known = counts.contains_key(&Some(value.to_owned()));
                *counts.entry(known.then(|| value.to_owned())).or_default() += 1;
            }
            value => *counts.entry(value.map(str::to_owned)).or_default() += 1,
        }
    }
    let mut counts: Vec<FieldCount> =
        counts.into_iter().map(|(value, lines)| FieldCount { value, lines }).collect();
    counts.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.value.cmp(&b.value)));
    counts.truncate(query.limit);
    counts
}

/// Whether a target is the one named, or a module in it.
fn is_within(target: &str, named: &str) -> bool {
    target.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether the line has the text, which is in lower case; ASCII letters of the line may be in either.
fn contains(line: &[u8], text: &[u8]) -> bool {
    let Some((&first, rest)) = text.split_first() else { return true };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), line).any(|at| {
        line.get(at + 1..at + 1 + rest.len()).is_some_and(|here| here.eq_ignore_ascii_case(rest))
    })
}
