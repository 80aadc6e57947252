//! What a destination shows of itself.

use std::time::Duration;

use obs_model::{DropReason, Timestamp};

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
}

impl DropCounts {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    /// Each count with the value of its `reason` label.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            (Reason::QueueFull.as_str(), self.queue_full),
            (Reason::TooLarge.as_str(), self.too_large),
            (Reason::Closed.as_str(), self.closed),
            (Reason::Permanent.as_str(), self.permanent),
            (Reason::Attempts.as_str(), self.attempts),
            (Reason::Expired.as_str(), self.expired),
        ]
    }

    pub(crate) fn add(&mut self, reason: Reason) {
        *match reason {
            Reason::QueueFull => &mut self.queue_full,
            Reason::TooLarge => &mut self.too_large,
            Reason::Closed => &mut self.closed,
            Reason::Permanent => &mut self.permanent,
            Reason::Attempts => &mut self.attempts,
            Reason::Expired => &mut self.expired,
        } += 1;
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
}

impl Reason {
    pub(crate) const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::Closed,
        Self::Permanent,
        Self::Attempts,
        Self::Expired,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => DropReason::QueueFull.as_str(),
            Self::TooLarge => DropReason::TooLarge.as_str(),
            Self::Closed => DropReason::Closed.as_str(),
            Self::Permanent => "permanent",
            Self::Attempts => "attempts",
            Self::Expired => "expired",
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

/// A destination at one moment. All counts are since the start.
///
/// `offered == delivered + dropped.total() + undelivered + queued` at any moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeliveryStatus {
    /// The destination's name.
    pub name: String,
    /// How far it is in its life.
    pub phase: Phase,
    /// How many messages it holds, with the one that is being sent.
    pub queued: usize,
    /// What they count for in bytes.
    pub queued_bytes: usize,
    /// How long the oldest of them has been held.
    pub oldest_age: Option<Duration>,
    /// Whether an attempt is under way.
    pub is_sending: bool,
    /// How long until the next attempt, if the destination is being left alone.
    pub next_attempt_in: Option<Duration>,
    /// How many attempts in a row failed in a way that may pass; 0 when the last one did not.
    pub failures_in_a_row: u32,
    /// How many messages were offered.
    pub offered: u64,
    /// How many were delivered.
    pub delivered: u64,
    /// How many were dropped.
    pub dropped: DropCounts,
    /// How many were held when the destination ended.
    pub undelivered: u64,
    /// How many attempts were made for a message that had failed before.
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
/// `offered == delivered + dropped.total() + undelivered`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "messages may be undelivered"]
pub struct DeliveryReport {
    /// How many messages were offered.
    pub offered: u64,
    /// How many were delivered.
    pub delivered: u64,
    /// How many were dropped.
    pub dropped: DropCounts,
    /// How many were still held at the deadline. One of them may have been on its way and may have arrived.
    pub undelivered: u64,
}
