//! What delivery records about itself.

use metrics::{Counter, Gauge, Histogram, Unit};

use crate::Priority;
use crate::status::{DeliveryStatus, Reason};

const QUEUED: &str = "obskit_delivery_queued";
const QUEUED_BYTES: &str = "obskit_delivery_queued_bytes";
const IN_FLIGHT: &str = "obskit_delivery_in_flight";
const OLDEST_AGE: &str = "obskit_delivery_oldest_age_seconds";
const OFFERED: &str = "obskit_delivery_offered_total";
const DELIVERED: &str = "obskit_delivery_delivered_total";
const DROPPED: &str = "obskit_delivery_dropped_total";
const OVERFLOWED: &str = "obskit_delivery_overflowed_total";
const UNDELIVERED: &str = "obskit_delivery_undelivered_total";
const RETRIES: &str = "obskit_delivery_retries_total";
const PANICS: &str = "obskit_delivery_transport_panics_total";
const ATTEMPT_SECONDS: &str = "obskit_delivery_attempt_duration_seconds";
const LATENCY_SECONDS: &str = "obskit_delivery_latency_seconds";
const BATCH_ITEMS: &str = "obskit_delivery_batch_items";
const BATCH_BYTES: &str = "obskit_delivery_batch_bytes";
const BREAKER: &str = "obskit_delivery_breaker_state";
const ACTIVE: &str = "obskit_delivery_endpoint_active";
const SPOOLED: &str = "obskit_delivery_spool_items";
const SPOOLED_BYTES: &str = "obskit_delivery_spool_bytes";
const SPOOL_ERRORS: &str = "obskit_delivery_spool_errors_total";
const RECOVERED: &str = "obskit_delivery_recovered_total";

/// Registers the help texts and units of the `obskit_delivery_…` metrics with the installed recorder.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    for (name, unit, help) in [
        (QUEUED, Unit::Count, "Messages held in memory only, with those in flight."),
        (QUEUED_BYTES, Unit::Bytes, "Size of the messages held in memory for a destination."),
        (IN_FLIGHT, Unit::Count, "Messages that are being sent."),
        (OLDEST_AGE, Unit::Seconds, "Age of the oldest message held in memory."),
        (BREAKER, Unit::Count, "State of an endpoint's breaker: 0 closed, 1 half open, 2 open."),
        (ACTIVE, Unit::Count, "Whether the endpoint is the one that answered last."),
        (SPOOLED, Unit::Count, "Messages in a destination's spool."),
        (SPOOLED_BYTES, Unit::Bytes, "Size of the messages in a destination's spool."),
    ] {
        describe_gauge!(name, unit, help);
    }
    for (name, help) in [
        (OFFERED, "Messages offered to a destination."),
        (DELIVERED, "Messages delivered to a destination."),
        (DROPPED, "Messages dropped for a destination, by reason."),
        (OVERFLOWED, "Messages dropped for want of room, by their priority."),
        (UNDELIVERED, "Messages held in memory when a destination's shutdown ended."),
        (RETRIES, "Attempts for a request that had failed before."),
        (PANICS, "Attempts in which the transport or the encoder panicked."),
        (SPOOL_ERRORS, "Times that a destination's spool could not be written or read."),
        (RECOVERED, "Messages found in a destination's spool when it started."),
    ] {
        describe_counter!(name, Unit::Count, help);
    }
    for (name, unit, help) in [
        (ATTEMPT_SECONDS, Unit::Seconds, "Time of one attempt, whatever its outcome."),
        (
            LATENCY_SECONDS,
            Unit::Seconds,
            "Time from the offer of a request's oldest message to its delivery.",
        ),
        (BATCH_ITEMS, Unit::Count, "Messages in a request."),
        (BATCH_BYTES, Unit::Bytes, "Size of a request's body as it is sent."),
    ] {
        describe_histogram!(name, unit, help);
    }
}

/// The handles of one destination, bound once to the recorder that is there when it starts.
///
/// Counters and gauges are not moved as messages pass, which would cost every offer more than the queue
/// itself: they are brought up to date from the account now and then.
pub(crate) struct SelfMetrics {
    pub(crate) attempt_seconds: Histogram,
    pub(crate) latency_seconds: Histogram,
    pub(crate) batch_items: Histogram,
    pub(crate) batch_bytes: Histogram,
    queued: Gauge,
    queued_bytes: Gauge,
    in_flight: Gauge,
    oldest_age: Gauge,
    spooled: Gauge,
    spooled_bytes: Gauge,
    counters: Vec<(Counter, Read)>,
    dropped: [Counter; Reason::ALL.len()],
    overflowed: [Counter; Priority::ALL.len()],
}

/// Where the value of a counter comes from.
type Read = fn(&DeliveryStatus) -> u64;

/// What has been counted in the recorder so far.
#[derive(Default)]
pub(crate) struct Published {
    counters: Vec<u64>,
    dropped: [u64; Reason::ALL.len()],
    overflowed: [u64; Priority::ALL.len()],
}

impl SelfMetrics {
    pub(crate) fn bind(destination: &str) -> Self {
        let destination = destination.to_owned();
        let counter = |name| metrics::counter!(name, "destination" => destination.clone());
        let gauge = |name| metrics::gauge!(name, "destination" => destination.clone());
        let histogram = |name| metrics::histogram!(name, "destination" => destination.clone());
        Self {
            attempt_seconds: histogram(ATTEMPT_SECONDS),
            latency_seconds: histogram(LATENCY_SECONDS),
            batch_items: histogram(BATCH_ITEMS),
            batch_bytes: histogram(BATCH_BYTES),
            queued: gauge(QUEUED),
            queued_bytes: gauge(QUEUED_BYTES),
            in_flight: gauge(IN_FLIGHT),
            oldest_age: gauge(OLDEST_AGE),
            spooled: gauge(SPOOLED),
            spooled_bytes: gauge(SPOOLED_BYTES),
            counters: vec![
                (counter(OFFERED), |status| status.offered),
                (counter(DELIVERED), |status| status.delivered),
                (counter(UNDELIVERED), |status| status.undelivered),
                (counter(RETRIES), |status| status.retries),
                (counter(PANICS), |status| status.panics),
                (counter(SPOOL_ERRORS), |status| status.spool_errors),
                (counter(RECOVERED), |status| status.recovered),
            ],
            dropped: Reason::ALL.map(|reason| {
                metrics::counter!(
                    DROPPED, "destination" => destination.clone(), "reason" => reason.as_str()
                )
            }),
            overflowed: Priority::ALL.map(|priority| {
                metrics::counter!(
                    OVERFLOWED,
                    "destination" => destination.clone(), "priority" => priority.as_str()
                )
            }),
        }
    }

    /// Brings the recorder up to date.
    pub(crate) fn publish(&self, status: &DeliveryStatus, published: &mut Published) {
        self.queued.set(status.queued as f64);
        self.queued_bytes.set(status.queued_bytes as f64);
        self.in_flight.set(status.in_flight as f64);
        self.oldest_age.set(status.oldest_age.unwrap_or_default().as_secs_f64());
        self.spooled.set(status.spooled as f64);
        self.spooled_bytes.set(status.spooled_bytes as f64);
        published.counters.resize(self.counters.len(), 0);
        for ((counter, read), before) in self.counters.iter().zip(&mut published.counters) {
            raise(counter, before, read(status));
        }
        let dropped = status.dropped.by_reason().map(|(_, count)| count);
        for ((counter, before), now) in self.dropped.iter().zip(&mut published.dropped).zip(dropped)
        {
            raise(counter, before, now);
        }
        let overflowed = status.dropped_by_priority;
        for ((counter, before), now) in
            self.overflowed.iter().zip(&mut published.overflowed).zip(overflowed)
        {
            raise(counter, before, now);
        }
    }
}

/// Adds what came since, rather than set the counter: another destination may have had the same name.
fn raise(counter: &Counter, before: &mut u64, now: u64) {
    if now > *before {
        counter.increment(now - *before);
        *before = now;
    }
}

/// The handles of one endpoint.
pub(crate) struct EndpointMetrics {
    pub(crate) breaker: Gauge,
    pub(crate) active: Gauge,
}

impl EndpointMetrics {
    pub(crate) fn bind(destination: &str, endpoint: &str) -> Self {
        let gauge = |name| {
            metrics::gauge!(
                name,
                "destination" => destination.to_owned(), "endpoint" => endpoint.to_owned()
            )
        };
        Self { breaker: gauge(BREAKER), active: gauge(ACTIVE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_priorities_are_listed_in_the_order_of_their_discriminants() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, priority) in Priority::ALL.into_iter().enumerate() {
            assert_eq!(priority as usize, index);
        }
    }
}
