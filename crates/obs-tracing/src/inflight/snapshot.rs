//! A bounded picture of the open spans.

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use obs_model::FieldValue;
use tracing_core::Metadata;

use super::activity::{Activity, Seen};
use super::operation::{Operation, OperationFilter, Operations, Running};
use super::survey::{Survey, duration};
use super::threads::Entered;
use super::watch::Watch;
use crate::fields::keys::{FieldKind, IdField};
use crate::fields::{FieldBuffer, FieldRules, field_value};
use crate::spans::ids::SpanIds;
use crate::spans::{SpanKey, SpanState};

/// How far up a correlation id is looked for.
const MAX_DEPTH: usize = 64;

/// In which order operations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The oldest first.
    Age,
    /// Each before its parts, which come the oldest first.
    Tree,
}

/// An operation that is shown.
struct Chosen {
    key: SpanKey,
    parent: Option<SpanKey>,
    operation: Operation,
}

/// Takes the picture. No more than one span is locked at any time.
pub(super) fn take(watch: &Watch, filter: &OperationFilter, order: Order) -> Operations {
    let survey = Survey::take(watch);
    let view = View::new(watch, &survey, filter);
    let (oldest, open, matched) = view.oldest();
    let chosen: Vec<Chosen> = oldest.into_iter().filter_map(|key| view.show(key)).collect();
    let left_out = matched - chosen.len();
    let operations = match order {
        Order::Age => chosen.into_iter().map(|chosen| chosen.operation).collect(),
        Order::Tree => as_tree(chosen),
    };
    Operations { operations, open, matched, left_out }
}

struct View<'a> {
    watch: &'a Watch,
    survey: &'a Survey,
    filter: &'a OperationFilter,
    running: HashMap<u64, &'a Entered>,
    blocking: HashMap<u64, u64>,
}

impl<'a> View<'a> {
    fn new(watch: &'a Watch, survey: &'a Survey, filter: &'a OperationFilter) -> Self {
        let mut running: HashMap<u64, &Entered> = HashMap::new();
        for one in &survey.entered {
            // Where several threads are in one span, the one that came first is shown.
            let shown = running.entry(one.key.number()).or_insert(one);
            if one.since < shown.since {
                *shown = one;
            }
        }
        let blocking = survey.blocking.iter().map(|one| (one.key.number(), one.time)).collect();
        Self { watch, survey, filter, running, blocking }
    }

    /// The oldest spans that are wanted, the oldest first; how many are open, and how many of them are wanted.
    fn oldest(&self) -> (Vec<SpanKey>, usize, usize) {
        let limit = self.filter.limit.min(OperationFilter::MAX_LIMIT);
        let (mut open, mut matched) = (0, 0);
        let mut oldest: BinaryHeap<(u64, u64)> = BinaryHeap::new();
        for key in self.watch.table.open_spans() {
            let wanted = self.watch.table.watch(key, |state, activity| {
                let (place, seen) = (state.metadata?, activity.read());
                self.is_wanted(key, place, state.ids, seen).then_some(seen.opened)
            });
            open += usize::from(wanted.is_some());
            let Some(Some(opened)) = wanted else { continue };
            matched += 1;
            if oldest.len() < limit {
                oldest.push((opened, key.number()));
            } else if let Some(mut youngest) = oldest.peek_mut()
                && opened < youngest.0
            {
                *youngest = (opened, key.number());
            }
        }
        let keys = oldest.into_sorted_vec();
        let keys = keys.into_iter().map(|(_, number)| SpanKey::from_number(number)).collect();
        (keys, open, matched)
    }

    fn is_wanted(&self, key: SpanKey, place: &Metadata<'static>, ids: SpanIds, seen: Seen) -> bool {
        let filter = self.filter;
        let age = duration(self.survey.now.saturating_sub(seen.opened));
        let is_called =
            |name: &String| place.name().contains(name) || place.target().contains(name);
        age >= filter.min_age
            && filter.trace.is_none_or(|trace| trace == ids.trace)
            && filter.name.as_ref().is_none_or(is_called)
            && (!filter.only_stuck
                || self.blocking.contains_key(&key.number())
                || self.survey.is_stuck(self.watch, key, place.name(), seen))
    }

    /// The span in full, if it is still open.
    fn show(&self, key: SpanKey) -> Option<Chosen> {
        let look = |state: &mut SpanState, activity: &Activity| {
            Some((self.operation(key, state, activity.read())?, state.parent))
        };
        let (mut operation, parent) = self.watch.table.watch(key, look).flatten()?;
        if operation.correlation.is_none() {
            operation.correlation = self.correlation(parent);
        }
        Some(Chosen { key, parent, operation })
    }

    fn operation(&self, key: SpanKey, state: &mut SpanState, seen: Seen) -> Option<Operation> {
        let place = state.metadata?;
        let (ids, fields) = (state.ids, state.fields(&self.watch.rules));
        let running = self.running.get(&key.number());
        let age = self.survey.now.saturating_sub(seen.opened);
        let held = running.map_or(0, |running| self.survey.now.saturating_sub(running.since));
        let busy = (seen.busy + held).min(age);
        let since_poll = match running {
            Some(_) => 0,
            None => self.survey.now.saturating_sub(seen.last),
        };
        let task = running.map_or(seen.task, |running| running.task);
        Some(Operation {
            depth: 0,
            name: place.name(),
            target: place.target(),
            location: place.file().zip(place.line()),
            correlation: id(fields, IdField::Correlation),
            fields: shown(fields),
            trace: ids.trace,
            span: ids.span,
            parent: ids.parent.map(|parent| parent.span),
            task: (task != 0).then_some(task),
            age: duration(age),
            busy: duration(busy),
            idle: duration(age - busy),
            since_poll: duration(since_poll),
            polls: seen.polls + u64::from(running.is_some()),
            running: running.map(|running| Running {
                thread: running.thread.name.clone(),
                os_id: running.thread.os_id,
                time: duration(held),
            }),
            stuck: self.survey.is_stuck(self.watch, key, place.name(), seen),
            blocking: self.blocking.contains_key(&key.number()),
        })
    }

    /// The correlation id of the innermost span that has one.
    fn correlation(&self, mut next: Option<SpanKey>) -> Option<String> {
        let rules: &FieldRules = &self.watch.rules;
        for _ in 0..MAX_DEPTH {
            let (found, parent) = self.watch.table.with(next?, |state| {
                (id(state.fields(rules), IdField::Correlation), state.parent)
            })?;
            if found.is_some() {
                return found;
            }
            next = parent;
        }
        None
    }
}

/// The fields of a span, those with a place of their own in a line first.
fn shown(fields: &FieldBuffer) -> Vec<(String, FieldValue)> {
    let ids = IdField::ALL
        .into_iter()
        .filter_map(|field| Some((field.name().to_owned(), id(fields, field)?.into())));
    let others = fields.pairs().filter_map(|(key, value)| {
        let key: String = serde_json::from_slice(key).ok()?;
        let value: serde_json::Value = serde_json::from_slice(value).ok()?;
        Some((key, field_value(&value).unwrap_or_else(|| value.to_string().into())))
    });
    ids.chain(others).collect()
}

fn id(fields: &FieldBuffer, field: IdField) -> Option<String> {
    serde_json::from_slice(fields.find_value(FieldKind::Id(field))?).ok()
}

/// Puts each operation before its parts; `chosen` has the oldest first.
fn as_tree(chosen: Vec<Chosen>) -> Vec<Operation> {
    let places: HashMap<u64, usize> =
        chosen.iter().enumerate().map(|(at, one)| (one.key.number(), at)).collect();
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); chosen.len()];
    let mut next: Vec<(usize, usize)> = Vec::new();
    // From the youngest to the oldest, because what is put on the stack last is taken first.
    for (at, one) in chosen.iter().enumerate().rev() {
        match one.parent.and_then(|parent| places.get(&parent.number())) {
            // A span that is its own outer one cannot be, but would never be shown.
            Some(parent) if *parent != at => parts[*parent].push(at),
            _ => next.push((at, 0)),
        }
    }
    let mut operations: Vec<Option<Operation>> =
        chosen.into_iter().map(|one| Some(one.operation)).collect();
    let mut tree = Vec::with_capacity(operations.len());
    while let Some((at, depth)) = next.pop() {
        if let Some(operation) = operations[at].take() {
            tree.push(Operation { depth, ..operation });
        }
        next.extend(parts[at].iter().map(|part| (*part, depth + 1)));
    }
    tree
}

/// The handle's side of it.
impl super::InFlight {
    /// The open spans that the filter wants, the oldest first.
    ///
    /// Looking costs some tens of nanoseconds for each open span and some microseconds for each one that is shown; at no
    /// time is more than one span locked.
    #[must_use]
    pub fn operations(&self, filter: &OperationFilter) -> Operations {
        take(&self.0, filter, Order::Age)
    }

    /// The same as a tree: each operation stands before its parts, whose [`Operation::depth`] is one more than its own.
    ///
    /// A part of something that the filter does not want, or that there was no room for, stands at depth 0.
    #[must_use]
    pub fn tree(&self, filter: &OperationFilter) -> Operations {
        take(&self.0, filter, Order::Tree)
    }

    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self(watch)
    }
}
