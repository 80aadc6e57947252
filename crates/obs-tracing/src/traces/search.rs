//! Finds finished spans.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "otlp")]
use obs_model::Resource;
use obs_model::{FieldValue, SpanId, Timestamp, TraceId};

use super::batch::{SpanBatch, SpanHead};
use super::memory::SpanMemory;
use super::told::{self, EventInSpan, LinkedSpan};
use crate::fields::keys::{FieldKind, IdField, keys_of};
use crate::fields::{FieldBuffer, FieldRules, field_value};
#[cfg(feature = "otlp")]
use crate::otlp::{OtlpConfig, once};
#[cfg(feature = "otlp")]
use crate::{Error, Sent};

/// The most spans that one trace shows.
const MAX_OF_A_TRACE: usize = 10_000;

/// Which finished spans are looked for: those that meet everything that is set.
///
/// ```
/// use obs_tracing::SpanQuery;
/// use std::time::Duration;
///
/// let mut query = SpanQuery::default();
/// query.name = Some("http.request".to_owned());
/// query.min_duration = Duration::from_millis(250);
/// query.failed = Some(true);
/// assert_eq!(query.limit, 100);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpanQuery {
    /// The whole name.
    pub name: Option<String>,
    /// The least duration.
    pub min_duration: Duration,
    /// Whether it reported an error.
    pub failed: Option<bool>,
    /// The trace that it belongs to.
    pub trace: Option<TraceId>,
    /// The correlation id, of a field or of the context in which the span opened.
    pub correlation: Option<String>,
    /// The user, of a field or of that context.
    pub user: Option<String>,
    /// What its name, target or rendered fields contain, in any ASCII case.
    pub text: Option<String>,
    /// The first time at which it may have ended.
    pub from: Option<Timestamp>,
    /// The last time at which it may have ended.
    pub to: Option<Timestamp>,
    /// How many spans are found at most; 100.
    pub limit: usize,
}

impl Default for SpanQuery {
    fn default() -> Self {
        Self {
            name: None,
            min_duration: Duration::ZERO,
            failed: None,
            trace: None,
            correlation: None,
            user: None,
            text: None,
            from: None,
            to: None,
            limit: 100,
        }
    }
}

/// A span that has closed. Its fields are without secrets and as long as those of a line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FinishedSpan {
    /// Its name.
    pub name: &'static str,
    /// Where in the code it was opened.
    pub target: &'static str,
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// The span that it is a part of, in this process or in a caller's.
    pub parent: Option<SpanId>,
    /// Whether that span is of a context or a caller rather than an open one of this process.
    pub has_remote_parent: bool,
    /// Whether the trace was sampled when it began.
    pub sampled: bool,
    /// When it opened.
    pub start: Timestamp,
    /// How long it was open.
    pub duration: Duration,
    /// Whether it reported an error.
    pub failed: bool,
    /// Its own fields, and the ids of the context in which it opened, under the names that they have in a line.
    pub fields: Vec<(Cow<'static, str>, FieldValue)>,
    /// What happened within it, as far as the export has it: of a span that is sampled every event at a level that is
    /// logged, of one that tail sampling may keep those at its level. What else was logged in it is in the memory of lines,
    /// see [`Trace::add_lines`].
    pub events: Vec<EventInSpan>,
    /// The spans that it is linked to.
    pub links: Vec<LinkedSpan>,
    /// How many more events there were: 128 at most are kept of a span, with 64 KiB of values, and those that do not fit
    /// into a 64th of the memory are left out.
    pub dropped_events: u32,
    /// How many more links there were, within the same bounds.
    pub dropped_links: u32,
}

/// One span of a trace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanInTrace {
    /// The span.
    pub span: FinishedSpan,
    /// Where its parent stands in [`Trace::spans`], if that has finished too.
    pub parent: Option<usize>,
    /// How many of its ancestors are there.
    pub depth: usize,
}

/// The finished spans of one trace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// Its id.
    pub trace: TraceId,
    /// The spans: each after its parent, and those of one parent by their start. There are 10,000 at most, those that
    /// ended last.
    pub spans: Vec<SpanInTrace>,
}

/// The memory of the spans that finished last; cheap to clone.
///
/// Looking copies what is being filled and shares the rest, so that no span waits for a search. Fields are rendered and
/// cleared of secrets when they are looked at. A search takes some milliseconds for each ten megabytes: in
/// asynchronous code, do it where blocking is allowed.
///
/// ```
/// use obs_model::Resource;
/// use obs_tracing::{LogConfig, LogOutput, SpanQuery};
///
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.output = LogOutput::Writer(Box::new(std::io::sink()));
/// config.span_memory = Some(4 * 1024 * 1024);
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// tracing::dispatcher::with_default(&dispatch, || {
///     tracing::info_span!("order", order = 42)
///         .in_scope(|| tracing::info_span!("pay").in_scope(|| tracing::error!("declined")));
/// });
///
/// let finished = handle.finished_spans().expect("spans are kept");
/// let mut query = SpanQuery::default();
/// query.failed = Some(true);
/// let failed = finished.find(&query);
/// assert_eq!(failed[0].name, "pay");
/// let trace = finished.trace(failed[0].trace);
/// assert_eq!((trace.spans[0].span.name, trace.spans[1].depth), ("order", 1));
/// # Ok::<(), obs_tracing::Error>(())
/// ```
#[derive(Clone)]
pub struct FinishedSpans {
    memory: Arc<SpanMemory>,
    rules: Arc<FieldRules>,
}

impl FinishedSpans {
    pub(crate) fn new(memory: Arc<SpanMemory>, rules: Arc<FieldRules>) -> Self {
        Self { memory, rules }
    }

    /// The spans that meet `query`, those that ended last first.
    #[must_use]
    pub fn find(&self, query: &SpanQuery) -> Vec<FinishedSpan> {
        let parts = self.memory.parts();
        let found = self.among(&parts, query);
        let found = found.map(|(part, head, fields)| self.owned(part, head, &fields));
        found.take(query.limit).collect()
    }

    /// Those of `parts` that meet `query`, with their fields, those that ended last first; the limit is the caller's.
    fn among<'a>(
        &'a self,
        parts: &'a [Arc<SpanBatch>],
        query: &'a SpanQuery,
    ) -> impl Iterator<Item = (&'a SpanBatch, &'a SpanHead, FieldBuffer)> {
        // A part that became full while the parts were listed is there twice.
        let mut seen = HashSet::new();
        let mut heads: Vec<(&SpanBatch, &SpanHead)> = parts
            .iter()
            .rev()
            .flat_map(|part| part.heads.iter().rev().map(|head| (&**part, head)))
            .filter(|(_, head)| query.admits(head) && seen.insert(head.ids.span))
            .collect();
        heads.sort_by_key(|(_, head)| Reverse(head.end()));
        let needs_fields =
            query.correlation.is_some() || query.user.is_some() || query.text.is_some();
        heads.into_iter().filter_map(move |(part, head)| {
            let fields = self.render(part, head);
            (!needs_fields || query.admits_fields(head, &fields)).then_some((part, head, fields))
        })
    }

    /// Sends the spans that meet `query` to a collector, once, the oldest first, and waits for `deadline` at most until
    /// they have arrived: on demand, whether their traces are sampled or not. A collector that had them before knows them
    /// by their ids. They are sent as the export sends them, with the events and links that they have; what was logged in
    /// spans that are not exported is in the memory of lines, which is sent apart.
    ///
    /// `service` is the resource of the spans; it needs a current tokio runtime. Of `to` what says where and how counts,
    /// not what says which traces.
    ///
    /// # Errors
    ///
    /// A setting of `to` is wrong ([`Error::is_config`](crate::Error::is_config)).
    #[cfg(feature = "otlp")]
    pub async fn send(
        &self,
        query: &SpanQuery,
        to: OtlpConfig,
        service: &Resource,
        deadline: Duration,
    ) -> Result<Sent, Error> {
        let parts = self.memory.parts();
        let found = self.among(&parts, query).take(query.limit);
        let mut spans: Vec<_> = found.map(|(part, head, _)| (part, head)).collect();
        spans.reverse();
        once::send(&spans, to, service, &self.rules.redactor, deadline).await
    }

    /// The finished spans of a trace, as a tree; none if there are none.
    #[must_use]
    pub fn trace(&self, trace: TraceId) -> Trace {
        let query = SpanQuery { trace: Some(trace), limit: MAX_OF_A_TRACE, ..SpanQuery::default() };
        Trace { trace, spans: tree(self.find(&query)) }
    }

    fn render(&self, part: &SpanBatch, head: &SpanHead) -> FieldBuffer {
        let rules = &*self.rules;
        let mut fields = FieldBuffer::default();
        let keys = keys_of(head.place, rules.owner, &rules.redactor);
        part.values.render_range(head.values(), &mut fields, &keys, rules);
        part.values.render_others(head.values(), &mut fields, rules);
        fields
    }

    fn owned(&self, part: &SpanBatch, head: &SpanHead, fields: &FieldBuffer) -> FinishedSpan {
        FinishedSpan {
            name: head.place.name(),
            target: head.place.target(),
            trace: head.ids.trace,
            span: head.ids.span,
            parent: head.ids.parent.map(|parent| parent.span),
            has_remote_parent: head.ids.parent.is_some_and(|parent| parent.remote),
            sampled: head.ids.sampled,
            start: timestamp(head.start),
            duration: Duration::from_nanos(head.duration),
            failed: head.failed,
            fields: pairs(fields),
            events: told::events(part, head, &self.rules),
            links: told::links(part, head, &self.rules),
            dropped_events: head.story.dropped_events,
            dropped_links: head.story.dropped_links,
        }
    }
}

impl fmt::Debug for FinishedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedSpans").finish_non_exhaustive()
    }
}

impl SpanQuery {
    /// Whether a span is looked for, as far as that can be told without its fields.
    fn admits(&self, head: &SpanHead) -> bool {
        let end = timestamp(head.end());
        self.trace.is_none_or(|trace| trace == head.ids.trace)
            && self.failed.is_none_or(|failed| failed == head.failed)
            && head.duration >= self.min_duration.as_nanos() as u64
            && self.name.as_ref().is_none_or(|name| name == head.place.name())
            && self.from.is_none_or(|from| end >= from)
            && self.to.is_none_or(|to| end <= to)
    }

    /// Whether it is, as far as that depends on its fields.
    fn admits_fields(&self, head: &SpanHead, fields: &FieldBuffer) -> bool {
        let is = |field: IdField, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| {
                let value = fields.find_value(FieldKind::Id(field));
                value.and_then(|value| serde_json::from_slice::<String>(value).ok()).as_ref()
                    == Some(wanted)
            })
        };
        is(IdField::Correlation, &self.correlation)
            && is(IdField::User, &self.user)
            && self.text.as_ref().is_none_or(|text| {
                contains(head.place.name().as_bytes(), text.as_bytes())
                    || contains(head.place.target().as_bytes(), text.as_bytes())
                    || fields.all_members().any(|member| contains(member, text.as_bytes()))
            })
    }
}

/// Whether a text contains another in any ASCII case.
fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
}

pub(super) fn timestamp(nanoseconds: u64) -> Timestamp {
    Timestamp::from_millis((nanoseconds / 1_000_000) as i64)
}

/// Rendered fields by their names.
pub(super) fn pairs(fields: &FieldBuffer) -> Vec<(Cow<'static, str>, FieldValue)> {
    let pairs = fields.all_pairs().filter_map(|(key, value)| {
        let key: String = serde_json::from_slice(key).ok()?;
        let value: serde_json::Value = serde_json::from_slice(value).ok()?;
        Some((Cow::Owned(key), field_value(&value).unwrap_or_else(|| value.to_string().into())))
    });
    pairs.collect()
}

/// Puts every span after its parent, and those of one parent in the order of their starts.
fn tree(mut spans: Vec<FinishedSpan>) -> Vec<SpanInTrace> {
    // The latest first, because what is pushed last is taken first.
    spans.sort_by_key(|span| Reverse((span.start, span.duration)));
    let known: HashSet<SpanId> = spans.iter().map(|span| span.span).collect();
    let mut children: HashMap<Option<SpanId>, Vec<FinishedSpan>> = HashMap::new();
    for span in spans {
        let parent = span.parent.filter(|parent| known.contains(parent) && *parent != span.span);
        children.entry(parent).or_default().push(span);
    }
    let roots = children.remove(&None).unwrap_or_default();
    let mut waiting: Vec<_> = roots.into_iter().map(|span| (span, None, 0)).collect();
    let mut placed = Vec::new();
    while let Some((span, parent, depth)) = waiting.pop() {
        let at = placed.len();
        let inner = children.remove(&Some(span.span)).unwrap_or_default();
        waiting.extend(inner.into_iter().map(|span| (span, Some(at), depth + 1)));
        placed.push(SpanInTrace { span, parent, depth });
    }
    placed
}
