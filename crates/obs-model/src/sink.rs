//! Where records go.

/// Something that takes records: a tracker, a delivery queue, a test.
///
/// A sink never blocks its caller and never fails it: a record that it cannot take is dropped and counted,
/// and the answer says so.
pub trait Sink<R>: Send + Sync {
    /// Offers a record.
    fn accept(&self, record: R) -> Accepted;
}

/// What became of a record that was offered to a [`Sink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a dropped record should at least be known to the caller"]
pub enum Accepted {
    /// The sink has it.
    Taken,
    /// The sink dropped it and counted it.
    Dropped(DropReason),
}

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue is full.
    QueueFull,
    /// The record is larger than the sink takes.
    TooLarge,
    /// The sink is shut down or switched off.
    Closed,
}

impl DropReason {
    /// The value of the `reason` label of drop counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Closed => "closed",
        }
    }
}

impl<R, S: Sink<R> + ?Sized> Sink<R> for std::sync::Arc<S> {
    fn accept(&self, record: R) -> Accepted {
        (**self).accept(record)
    }
}
