//! The alerts that have ended, newest last in, bounded.

use std::collections::VecDeque;

use obs_model::{AlertEvent, Timestamp};

/// A ring of resolved alerts that had fired.
#[derive(Debug)]
pub(crate) struct History {
    ended: VecDeque<AlertEvent>,
    capacity: usize,
}

impl History {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { ended: VecDeque::new(), capacity }
    }

    /// Keeps a resolved alert; whether another one, or this one itself, had to go for it.
    pub(crate) fn push(&mut self, alert: AlertEvent) -> Evicted {
        self.ended.push_back(alert);
        if self.ended.len() > self.capacity {
            self.ended.pop_front();
            return Evicted::One;
        }
        Evicted::None
    }

    /// The alerts that were still firing after `start`.
    pub(crate) fn since(&self, start: Timestamp) -> impl Iterator<Item = &AlertEvent> {
        self.ended.iter().filter(move |alert| alert.resolved_at.is_some_and(|at| at > start))
    }
}

/// Whether an alert left the history to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    None,
    One,
}

/// Sorts alerts by when they began to fire, the newest first; of one time, by id, so that the order is
/// the same at every call.
pub(crate) fn newest_first(alerts: &mut [AlertEvent]) {
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.fired_at), alert.id));
}
