//! What a destination shows of itself.

use std::time::Duration;

use obs_model::{DropReason, Timestamp};

use crate::{BreakerState, Priority};

/// How far a destination is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes messages.
    Running,
    /// It takes no more, and sends what it holds.
    Draining,
    /// It has ended: nothing is held or sent any more.
    Closed,
}

/// How many messages were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// The queue was full, in messages or in bytes.
    pub queue_full: u64,
    /// The message was larger than the destination takes.
    pub too_large: u64,
    /// The destination was shutting down or had ended.
    pub closed: u64,
    /// The transport refused the message for good, or panicked.
    pub permanent: u64,
    /// The message failed as often as is allowed.
    pub attempts: u64,
    /// The message grew too old.
    pub expired: u64,
    /// The message was held, and had to make room for another.
    pub evicted: u64,
}

impl DropCounts {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    /// Each count with the value of its `reason` label.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            (Reason::QueueFull.as_str(), self.queue_full),
            (Reason::TooLarge.as_str(), self.too_large),
            (Reason::Closed.as_str(), self.closed),
            (Reason::Permanent.as_str(), self.permanent),
            (Reason::Attempts.as_str(), self.attempts),
            (Reason::Expired.as_str(), self.expired),
            (Reason::Evicted.as_str(), self.evicted),
        ]
    }

    /// How many of them were not taken when they were offered.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.queue_full + self.too_large + self.closed
    }

    /// The counts in the order of [`Reason::ALL`].
    pub(crate) fn of(counts: [u64; Reason::ALL.len()]) -> Self {
        let [queue_full, too_large, closed, permanent, attempts, expired, evicted] = counts;
        Self { queue_full, too_large, closed, permanent, attempts, expired, evicted }
    }
}

/// Why a message was dropped, in offering or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    QueueFull,
    TooLarge,
    Closed,
    Permanent,
    Attempts,
    Expired,
    Evicted,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::Closed,
        Self::Permanent,
        Self::Attempts,
        Self::Expired,
        Self::Evicted,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => DropReason::QueueFull.as_str(),
            Self::TooLarge => DropReason::TooLarge.as_str(),
            Self::Closed => DropReason::Closed.as_str(),
            Self::Permanent => "permanent",
            Self::Attempts => "attempts",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
        }
    }
}

/// The most recent failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When it happened.
    pub at: Timestamp,
    /// What the transport said, with its causes, in one line.
    pub message: String,
    /// Whether trying again could not have helped.
    pub is_permanent: bool,
}

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// What its breaker lets through.
    pub breaker: BreakerState,
    /// How many attempts in a row failed in a way that may pass.
    pub failures_in_a_row: u32,
    /// Whether it is the one that answered last.
    pub is_active: bool,
}

/// A destination at one moment. All counts are since the start.
///
/// `offered + recovered == delivered + dropped.total() + undelivered + queued + spooled` at any moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeliveryStatus {
    /// The destination's name.
    pub name: String,
    /// How far it is in its life.
    pub phase: Phase,
    /// How many messages are held in memory only, with those in flight.
    pub queued: usize,
    /// What the messages held in memory count for in bytes.
    pub queued_bytes: usize,
    /// How many messages are in flight.
    pub in_flight: usize,
    /// How long the oldest message that is in memory has been held.
    pub oldest_age: Option<Duration>,
    /// Whether an attempt is under way.
    pub is_sending: bool,
    /// How long until the next attempt, if the destination is being left alone.
    pub next_attempt_in: Option<Duration>,
    /// How many attempts in a row failed in a way that may pass, at the endpoint that is doing best; 0 when its
    /// last one did not.
    pub failures_in_a_row: u32,
    /// The endpoints, in the order of preference.
    pub endpoints: Vec<EndpointStatus>,
    /// How many messages were offered.
    pub offered: u64,
    /// How many messages the spool held when the destination started.
    pub recovered: u64,
    /// How many were delivered.
    pub delivered: u64,
    /// How many were dropped.
    pub dropped: DropCounts,
    /// How many were dropped for want of room, by their [priority](crate::Priority), the lowest first.
    pub dropped_by_priority: [u64; Priority::ALL.len()],
    /// How many were held in memory when the destination ended.
    pub undelivered: u64,
    /// How many are in the spool.
    pub spooled: u64,
    /// What the spool holds, in bytes.
    pub spooled_bytes: u64,
    /// How many times the spool could not be written or read.
    pub spool_errors: u64,
    /// How many attempts were made for a request that had failed before.
    pub retries: u64,
    /// How many attempts panicked.
    pub panics: u64,
    /// When a message was last delivered.
    pub last_delivered_at: Option<Timestamp>,
    /// The most recent failure, also if later attempts went well.
    pub last_error: Option<LastError>,
}

/// What became of everything that was offered to a destination, as of the end of its shutdown.
///
/// `offered + recovered == delivered + dropped.total() + undelivered + spooled`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "messages may be undelivered"]
pub struct DeliveryReport {
    /// How many messages were offered.
    pub offered: u64,
    /// How many messages the spool held when the destination started.
    pub recovered: u64,
    /// How many were delivered.
    pub delivered: u64,
    /// How many were dropped.
    pub dropped: DropCounts,
    /// How many were still held in memory at the deadline. Those in flight may have arrived.
    pub undelivered: u64,
    /// How many are left in the spool, for the next start.
    pub spooled: u64,
}

/// What a flush left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "messages may be left"]
pub struct FlushReport {
    /// Whether everything that was offered before the flush has been delivered or dropped.
    pub is_complete: bool,
    /// How many messages are held in memory now, with those that were offered since.
    pub queued: usize,
    /// How many messages are in the spool now.
    pub spooled: u64,
}
