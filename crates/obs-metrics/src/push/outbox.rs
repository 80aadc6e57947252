//! Where a round's requests go, and the count of what became of their samples.

use metrics::{Counter, Label, Unit, counter, describe_counter};
use obs_delivery::{Delivery, Message};
use obs_model::Accepted;

const SAMPLES: &str = "obskit_push_samples_total";
const DROPPED: &str = "obskit_push_dropped_samples_total";
const REJECTED: &str = "obskit_push_rejected_samples_total";
const REPEATED: &str = "obskit_push_already_stored_total";
const ROUNDS: &str = "obskit_push_rounds_total";
const MISSED: &str = "obskit_push_missed_rounds_total";

/// Says what the metrics of pushing mean, to the recorder that is installed.
pub fn describe() {
    describe_counter!(SAMPLES, Unit::Count, "Samples that were handed over for delivery.");
    describe_counter!(
        DROPPED,
        Unit::Count,
        "Samples that the queue of their destination refused, by reason."
    );
    describe_counter!(
        REJECTED,
        Unit::Count,
        "Samples that the destination did not store though it took their request."
    );
    describe_counter!(
        REPEATED,
        Unit::Count,
        "Requests that were tried again though the destination had stored them."
    );
    describe_counter!(ROUNDS, Unit::Count, "Times that all metrics were read to be pushed.");
    describe_counter!(
        MISSED,
        Unit::Count,
        "Times that metrics should have been pushed and were not, because the process was busy."
    );
}

/// The metrics of one destination.
#[derive(Clone)]
pub(super) struct SelfMetrics {
    destination: String,
    pub(super) rounds: Counter,
    pub(super) missed: Counter,
    samples: Counter,
}

impl SelfMetrics {
    /// Bound to the recorder that is installed now; the counters are there from the start.
    pub(super) fn bind(destination: &str) -> Self {
        let bound = |name: &'static str| counter!(name, "destination" => destination.to_owned());
        Self {
            destination: destination.to_owned(),
            rounds: bound(ROUNDS),
            missed: bound(MISSED),
            samples: bound(SAMPLES),
        }
    }

    fn dropped(&self, reason: &'static str) -> Counter {
        let labels =
            vec![Label::new("destination", self.destination.clone()), Label::new("reason", reason)];
        counter!(DROPPED, labels)
    }
}

/// The counter of samples that a destination says it did not store.
#[cfg(feature = "otlp")]
pub(super) fn rejected(destination: &str) -> Counter {
    counter!(REJECTED, "destination" => destination.to_owned())
}

/// The counter of requests that a destination had stored before.
pub(super) fn already_stored(destination: &str) -> Counter {
    counter!(REPEATED, "destination" => destination.to_owned())
}

/// Takes the requests of one round.
pub(super) trait Outbox {
    /// Takes a request with this many samples in it.
    fn put(&mut self, message: Message, samples: u64);
}

/// An outbox in front of a destination's queue.
pub(super) struct ToDelivery<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) metrics: &'a SelfMetrics,
}

impl Outbox for ToDelivery<'_> {
    fn put(&mut self, message: Message, samples: u64) {
        match self.delivery.offer(message) {
            Accepted::Taken => self.metrics.samples.increment(samples),
            Accepted::Dropped(reason) => self.metrics.dropped(reason.as_str()).increment(samples),
        }
    }
}
