//! What delivery records about itself.

use metrics::{Counter, Gauge, Histogram, Unit};

use crate::status::Reason;

const QUEUED: &str = "obskit_delivery_queued";
const QUEUED_BYTES: &str = "obskit_delivery_queued_bytes";
const OFFERED: &str = "obskit_delivery_offered_total";
const DELIVERED: &str = "obskit_delivery_delivered_total";
const DROPPED: &str = "obskit_delivery_dropped_total";
const UNDELIVERED: &str = "obskit_delivery_undelivered_total";
const RETRIES: &str = "obskit_delivery_retries_total";
const PANICS: &str = "obskit_delivery_transport_panics_total";
const ATTEMPT_SECONDS: &str = "obskit_delivery_attempt_duration_seconds";

/// Registers the help texts and units of the `obskit_delivery_…` metrics with the installed recorder.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(
        QUEUED,
        Unit::Count,
        "Messages held for a destination, with the one in flight."
    );
    describe_gauge!(QUEUED_BYTES, Unit::Bytes, "Size of the messages held for a destination.");
    describe_counter!(OFFERED, Unit::Count, "Messages offered to a destination.");
    describe_counter!(DELIVERED, Unit::Count, "Messages delivered to a destination.");
    describe_counter!(DROPPED, Unit::Count, "Messages dropped for a destination, by reason.");
    describe_counter!(
        UNDELIVERED,
        Unit::Count,
        "Messages held when a destination's shutdown ended."
    );
    describe_counter!(RETRIES, Unit::Count, "Attempts for a message that had failed before.");
    describe_counter!(PANICS, Unit::Count, "Attempts in which the transport panicked.");
    describe_histogram!(
        ATTEMPT_SECONDS,
        Unit::Seconds,
        "Time of one attempt, whatever its outcome."
    );
}

/// The handles of one destination.
///
/// They are bound once, so that the gauges, which go up and down by steps, cannot go down in a recorder that
/// has not seen them go up.
pub(crate) struct SelfMetrics {
    pub(crate) queued: Gauge,
    pub(crate) queued_bytes: Gauge,
    pub(crate) offered: Counter,
    pub(crate) delivered: Counter,
    pub(crate) undelivered: Counter,
    pub(crate) retries: Counter,
    pub(crate) panics: Counter,
    pub(crate) attempt_seconds: Histogram,
    dropped: [Counter; Reason::ALL.len()],
}

impl SelfMetrics {
    pub(crate) fn bind(destination: &str) -> Self {
        let destination = destination.to_owned();
        let counter = |name| metrics::counter!(name, "destination" => destination.clone());
        let gauge = |name| metrics::gauge!(name, "destination" => destination.clone());
        Self {
            queued: gauge(QUEUED),
            queued_bytes: gauge(QUEUED_BYTES),
            offered: counter(OFFERED),
            delivered: counter(DELIVERED),
            undelivered: counter(UNDELIVERED),
            retries: counter(RETRIES),
            panics: counter(PANICS),
            attempt_seconds: metrics::histogram!(ATTEMPT_SECONDS, "destination" => destination.clone()),
            dropped: Reason::ALL.map(|reason| {
                metrics::counter!(
                    DROPPED, "destination" => destination.clone(), "reason" => reason.as_str()
                )
            }),
        }
    }

    pub(crate) fn dropped(&self, reason: Reason) -> &Counter {
        // OK because `ALL` lists the reasons in the order in which they are declared.
        &self.dropped[reason as usize]
    }

    pub(crate) fn held(&self, bytes: usize) {
        self.queued.increment(1.0);
        self.queued_bytes.increment(bytes as f64);
    }

    pub(crate) fn released(&self, messages: usize, bytes: usize) {
        self.queued.decrement(messages as f64);
        self.queued_bytes.decrement(bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_of_their_discriminants() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
