//! What became of lines or spans that were sent once.

use obs_delivery::{Delivery, DeliveryReport};

/// What became of lines or spans that were sent once; see [`LineMemory::send`](crate::memory::LineMemory::send) and
/// `FinishedSpans::send`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "some may not have arrived"]
pub struct Sent {
    /// How many there were to be sent.
    pub found: u64,
    /// How many the destination took.
    pub delivered: u64,
    /// The last thing that went wrong, if anything did.
    pub last_error: Option<String>,
}

impl Sent {
    /// Whether all of them arrived.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.delivered >= self.found
    }

    pub(crate) fn of(found: u64, delivery: &Delivery, report: DeliveryReport) -> Self {
        let last_error = delivery.last_error().map(|error| error.message);
        Self { found, delivered: report.delivered, last_error }
    }
}
