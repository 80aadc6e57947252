//! The groups of errors and their latest events, within bounds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use obs_model::{ErrorEvent, Fingerprint, Mechanism, StackFrame, Timestamp};
use uuid::Uuid;

/// All occurrences of one error, as they stand at the time of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorGroup {
    /// The identity of the group.
    pub fingerprint: Fingerprint,
    /// The name of the error's type.
    pub error_type: Arc<str>,
    /// What its first occurrence said, redacted.
    pub message: Arc<str>,
    /// How its first occurrence was caught.
    pub mechanism: Mechanism,
    /// How often it occurred, also when fewer events are kept.
    pub count: u64,
    /// When it first occurred.
    pub first_seen: Timestamp,
    /// When it last occurred.
    pub last_seen: Timestamp,
    /// How many events of it are kept.
    pub kept_events: usize,
}

/// The bounds of a [`GroupStore`]; none is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) groups: usize,
    pub(crate) events_per_group: usize,
    pub(crate) bytes: usize,
}

/// Groups by fingerprint, with two orders: which group was seen last, and which event is oldest.
#[derive(Debug)]
pub(crate) struct GroupStore {
    limits: Limits,
    groups: HashMap<Fingerprint, Group>,
    /// The number of a group's latest occurrence, to the group.
    by_recency: BTreeMap<u64, Fingerprint>,
    /// The number of every kept event, to its group.
    by_age: BTreeMap<u64, Fingerprint>,
    /// The number of the next occurrence.
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Group {
    error_type: Arc<str>,
    message: Arc<str>,
    mechanism: Mechanism,
    count: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    latest: u64,
    /// Oldest first.
    events: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    bytes: usize,
    event: Arc<ErrorEvent>,
}

/// What storing an event displaced. It is dropped by the caller, once the store's lock is released.
#[derive(Debug, Default)]
pub(crate) struct Displaced {
    /// Events of the same group beyond its bound.
    pub(crate) by_group_bound: Vec<Arc<ErrorEvent>>,
    /// Events beyond the bound on memory.
    pub(crate) by_memory_bound: Vec<Arc<ErrorEvent>>,
    /// How many groups were evicted.
    pub(crate) groups: usize,
    /// The events of those groups.
    pub(crate) with_groups: Vec<Arc<ErrorEvent>>,
}

impl GroupStore {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: HashMap::new(),
            by_recency: BTreeMap::new(),
            by_age: BTreeMap::new(),
            next: 0,
            bytes: 0,
        }
    }

    /// Counts an event to its group and keeps it.
    pub(crate) fn record(&mut self, event: Arc<ErrorEvent>) -> Displaced {
        let mut displaced = Displaced::default();
        let number = self.next;
        self.next += 1;
        let fingerprint = event.fingerprint;
        if !self.groups.contains_key(&fingerprint) {
            self.make_room_for_a_group(&mut displaced);
        }
        let group = self.groups.entry(fingerprint).or_insert_with(|| Group::new(&event));
        self.by_recency.remove(&group.latest);
        self.by_recency.insert(number, fingerprint);
        group.latest = number;
        group.count += 1;
        group.first_seen = group.first_seen.min(event.timestamp);
        group.last_seen = group.last_seen.max(event.timestamp);
        if group.events.len() >= self.limits.events_per_group
            && let Some(oldest) = group.events.pop_front()
        {
            self.by_age.remove(&oldest.number);
            self.bytes -= oldest.bytes;
            displaced.by_group_bound.push(oldest.event);
        }
        let bytes = bytes_of(&event);
        group.events.push_back(Kept { number, bytes, event });
        self.by_age.insert(number, fingerprint);
        self.bytes += bytes;
        self.free_memory(&mut displaced);
        displaced
    }

    fn make_room_for_a_group(&mut self, displaced: &mut Displaced) {
        while self.groups.len() >= self.limits.groups {
            let Some((_, fingerprint)) = self.by_recency.pop_first() else { break };
            let Some(group) = self.groups.remove(&fingerprint) else { continue };
            displaced.groups += 1;
            for kept in group.events {
                self.by_age.remove(&kept.number);
                self.bytes -= kept.bytes;
                displaced.with_groups.push(kept.event);
            }
        }
    }

    fn free_memory(&mut self, displaced: &mut Displaced) {
        while self.bytes > self.limits.bytes && self.by_age.len() > 1 {
            let Some((_, fingerprint)) = self.by_age.pop_first() else { break };
            // OK because the oldest of all events is also the oldest of its group.
            let oldest =
                self.groups.get_mut(&fingerprint).and_then(|group| group.events.pop_front());
            let Some(oldest) = oldest else { continue };
            self.bytes -= oldest.bytes;
            displaced.by_memory_bound.push(oldest.event);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// All groups, the last seen first.
    pub(crate) fn all(&self) -> Vec<ErrorGroup> {
        self.by_recency.values().rev().filter_map(|fingerprint| self.get(*fingerprint)).collect()
    }

    /// The `limit` groups that occurred most often, of equals the last seen first.
    pub(crate) fn top(&self, limit: usize) -> Vec<ErrorGroup> {
        let mut ranked: Vec<_> = self
            .groups
            .iter()
            .map(|(fingerprint, group)| (group.count, group.latest, *fingerprint))
            .collect();
        ranked.sort_unstable_by(|left, right| right.cmp(left));
        ranked.truncate(limit);
        ranked.into_iter().filter_map(|(_, _, fingerprint)| self.get(fingerprint)).collect()
    }

    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<ErrorGroup> {
        let group = self.groups.get(&fingerprint)?;
        Some(ErrorGroup {
            fingerprint,
            error_type: Arc::clone(&group.error_type),
            message: Arc::clone(&group.message),
            mechanism: group.mechanism,
            count: group.count,
            first_seen: group.first_seen,
            last_seen: group.last_seen,
            kept_events: group.events.len(),
        })
    }

    /// The kept events of a group, newest first.
    pub(crate) fn events(&self, fingerprint: Fingerprint) -> Vec<Arc<ErrorEvent>> {
        let events = self.groups.get(&fingerprint).map(|group| &group.events);
        events.into_iter().flatten().rev().map(|kept| Arc::clone(&kept.event)).collect()
    }

    /// The kept event with this id.
    pub(crate) fn event(&self, id: Uuid) -> Option<Arc<ErrorEvent>> {
        self.groups
            .values()
            .flat_map(|group| &group.events)
            .find(|kept| kept.event.id == id)
            .map(|kept| Arc::clone(&kept.event))
    }
}

impl Group {
    fn new(event: &ErrorEvent) -> Self {
        Self {
            error_type: event.error_type.as_str().into(),
            message: event.message.as_str().into(),
            mechanism: event.mechanism,
            count: 0,
            first_seen: event.timestamp,
            last_seen: event.timestamp,
            // OK because no occurrence has this number, so nothing is removed under it.
            latest: u64::MAX,
            events: VecDeque::new(),
        }
    }
}

/// About how much memory an event takes.
fn bytes_of(event: &ErrorEvent) -> usize {
    let frames: usize = event
        .stack
        .iter()
        .map(|frame| {
            size_of::<StackFrame>()
                + frame.function.len()
                + frame.file.as_ref().map_or(0, String::len)
        })
        .sum();
    let chain: usize = event.chain.iter().map(|message| size_of::<String>() + message.len()).sum();
    size_of::<ErrorEvent>()
        + event.error_type.len()
        + event.message.len()
        + event.input.as_ref().map_or(0, String::len)
        + frames
        + chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use obs_model::Context;
    use proptest::prelude::*;

    fn event(fingerprint: u8, at: i64, message_bytes: usize) -> Arc<ErrorEvent> {
        Arc::new(ErrorEvent {
            id: Uuid::new_v4(),
            timestamp: Timestamp::from_millis(at),
            fingerprint: Fingerprint::from_u128(fingerprint.into()),
            mechanism: Mechanism::Captured,
            error_type: "t".to_owned(),
            message: "m".repeat(message_bytes),
            chain: Vec::new(),
            stack: Vec::new(),
            thread: None,
            context: Context::new(),
            input: None,
            environment: None,
            version: None,
        })
    }

    /// The same rules on a plain list of everything that happened.
    #[derive(Default)]
    struct Naive {
        /// Fingerprint, count, first and last seen; the last seen group at the end.
        groups: Vec<(Fingerprint, u64, Timestamp, Timestamp)>,
        /// Oldest first.
        events: Vec<Arc<ErrorEvent>>,
    }

    impl Naive {
        fn record(&mut self, limits: Limits, event: &Arc<ErrorEvent>) {
            let (fingerprint, at) = (event.fingerprint, event.timestamp);
            let known = self.groups.iter().position(|group| group.0 == fingerprint);
            let mut group = match known {
                Some(index) => self.groups.remove(index),
                None => (fingerprint, 0, at, at),
            };
            if known.is_none() && self.groups.len() == limits.groups {
                let (gone, ..) = self.groups.remove(0);
                self.events.retain(|kept| kept.fingerprint != gone);
            }
            group = (fingerprint, group.1 + 1, group.2.min(at), group.3.max(at));
            self.groups.push(group);
            self.events.push(Arc::clone(event));
            let of_group = self.events.iter().filter(|kept| kept.fingerprint == fingerprint);
            if of_group.count() > limits.events_per_group {
                let oldest = self.events.iter().position(|kept| kept.fingerprint == fingerprint);
                self.events.remove(oldest.expect("the group has events"));
            }
            while self.events.len() > 1
                && self.events.iter().map(|kept| bytes_of(kept)).sum::<usize>() > limits.bytes
            {
                self.events.remove(0);
            }
        }
    }

    proptest! {
        #[test]
        fn the_store_does_what_a_plain_list_does(
            steps in prop::collection::vec((0_u8..6, -5_i64..50, 0_usize..400), 1..120)
        ) {
            let limits =
                Limits { groups: 4, events_per_group: 3, bytes: 7 * size_of::<ErrorEvent>() };
            let (mut store, mut naive) = (GroupStore::new(limits), Naive::default());
            let (mut at, mut given, mut displaced) = (0, 0, 0);
            for (fingerprint, passed, message_bytes) in steps {
                at += passed;
                let event = event(fingerprint, at, message_bytes);
                naive.record(limits, &event);
                let gone = store.record(event);
                given += 1;
                displaced += gone.by_group_bound.len()
                    + gone.by_memory_bound.len()
                    + gone.with_groups.len();

                let groups: Vec<_> = store
                    .all()
                    .into_iter()
                    .rev()
                    .map(|group| (group.fingerprint, group.count, group.first_seen, group.last_seen))
                    .collect();
                prop_assert_eq!(&groups, &naive.groups);
                for (fingerprint, ..) in groups {
                    let expected: Vec<_> = naive
                        .events
                        .iter()
                        .rev()
                        .filter(|kept| kept.fingerprint == fingerprint)
                        .cloned()
                        .collect();
                    prop_assert_eq!(store.get(fingerprint).unwrap().kept_events, expected.len());
                    prop_assert_eq!(store.events(fingerprint), expected);
                }
                prop_assert_eq!(given, naive.events.len() + displaced);
                let bytes: usize = naive.events.iter().map(|kept| bytes_of(kept)).sum();
                prop_assert_eq!((store.bytes, store.by_age.len()), (bytes, naive.events.len()));
                prop_assert_eq!(store.by_recency.len(), store.len());
            }
        }
    }

    #[test]
    fn the_top_groups_are_those_that_occurred_most_often() {
        let mut store = GroupStore::new(Limits { groups: 9, events_per_group: 1, bytes: 99_999 });
        for fingerprint in [1, 2, 3, 2, 3, 3, 4] {
            let _ = store.record(event(fingerprint, 0, 0));
        }
        let top: Vec<_> = store
            .top(3)
            .into_iter()
            .map(|group| (group.fingerprint.as_u128(), group.count))
            .collect();
        assert_eq!(top, [(3, 3), (2, 2), (4, 1)]);
    }

    #[test]
    fn a_kept_event_is_found_by_its_id() {
        let mut store = GroupStore::new(Limits { groups: 9, events_per_group: 1, bytes: 99_999 });
        let (first, second) = (event(1, 0, 0), event(1, 1, 0));
        let _ = store.record(Arc::clone(&first));
        assert_eq!(store.event(first.id), Some(Arc::clone(&first)));
        let _ = store.record(second);
        assert_eq!(store.event(first.id), None);
    }
}
