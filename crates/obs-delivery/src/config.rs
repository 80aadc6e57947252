//! What a destination may hold, and how long it keeps trying.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, SystemClock};

use crate::error::Kind;
use crate::queue::{MAX_BYTES, MAX_ITEMS};
use crate::{Compression, Error};

/// How a destination queues and sends. Start from [`named`](Self::named).
#[derive(Clone)]
pub struct DeliveryConfig {
    /// The value of the `destination` label; not empty.
    pub name: String,
    /// How many messages are held in memory at most, with those in flight; from 1 to 16,777,215. Default 1,024.
    pub capacity: usize,
    /// How many bytes the messages held in memory count for at most, see
    /// [`Message::size`](crate::Message::size); from 1 to a tebibyte. Default 16 MiB.
    pub max_bytes: usize,
    /// How large one message may be; at least 1, at most `max_bytes`. Default 4 MiB.
    pub max_message_bytes: usize,
    /// Which message goes when the queue is full. Default the one that is offered.
    pub overflow: Overflow,
    /// How many messages are put together; without an [`Encoder`](crate::Encoder) each is sent alone.
    pub batch: BatchConfig,
    /// What is done to the body of each request; its `Content-Encoding` header says so. Default nothing.
    pub compression: Compression,
    /// How many requests are in flight at most; at least 1. Default 1, which keeps the order.
    pub concurrency: usize,
    /// How long one attempt may take; more than zero. Default 10 s.
    pub timeout: Duration,
    /// When and for how long to try again.
    pub retry: RetryPolicy,
    /// When an endpoint that keeps failing is left alone altogether; `None` is never.
    pub breaker: Option<BreakerConfig>,
    /// How the spool is used, if the destination has one.
    pub spool: SpoolConfig,
    /// Where the times in [`DeliveryStatus`](crate::DeliveryStatus) come from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// Which message goes when there is no room for the one that is offered.
///
/// A message in flight, or one that is in the spool, never goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The one that is offered.
    #[default]
    DropNewest,
    /// The oldest, and as many more as it takes.
    DropOldest,
    /// The oldest of the lowest [`Priority`](crate::Priority) below that of the one offered, and as many more as
    /// it takes. If that does not suffice, the one that is offered.
    ByPriority,
}

/// How many messages an [`Encoder`](crate::Encoder) puts together: until one of the limits is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// The most messages; at least 1. Default 1,000.
    pub max_items: usize,
    /// The most bytes of messages, before they are encoded; at least 1. A message that is larger goes alone.
    /// Default 1 MiB.
    pub max_bytes: usize,
    /// How long the oldest message waits for company. Default 1 s.
    pub max_age: Duration,
}

/// When an endpoint that keeps failing is left alone altogether, and for how long.
///
/// After so many failures in a row its breaker opens. When the time is over exactly one request is let through as
/// a probe: if that succeeds the breaker closes, if it fails it opens again for twice as long. To each time
/// up to half as much is added, drawn evenly, so that many processes do not come back at the same instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// How many failures in a row that may pass open it; at least 1. Default 5.
    pub failures: u32,
    /// For how long it opens at first; more than zero. Default 15 s.
    pub open_for: Duration,
    /// For how long it opens at most; at least `open_for`. Default 2 minutes.
    pub max_open_for: Duration,
    /// How long a probe may take, if that is less than the timeout of an attempt; more than zero. While other
    /// endpoints serve, this is for how long a preferred one that hangs holds up delivery. Default 5 s.
    pub probe_timeout: Duration,
}

/// How a spool is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// How many bytes are spooled at most; at least 1. Beyond that messages stay in memory, and the overflow rule
    /// applies there. Default 256 MiB.
    pub max_bytes: u64,
    /// How many messages are spooled at most; at least 1. Default 10 million.
    pub max_items: u64,
    /// How many spooled bytes are held in memory as well, to be sent next; at least 1. Default 4 MiB.
    pub window_bytes: usize,
}

/// When and for how long a destination tries again after a failure that may pass.
///
/// The wait before retry *n* (from 0) is drawn by "full jitter": `random_between(0, min(max_backoff,
/// base_backoff * 2^n))`. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015. Where the destination named a time ("Retry-After"), the drawn wait comes after it, so that
/// many processes do not come back at the same instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait before the first retry; more than zero. Default 500 ms.
    pub base_backoff: Duration,
    /// The longest wait before any retry; at least `base_backoff`. Default 30 s.
    pub max_backoff: Duration,
    /// The longest time to leave the destination alone on its own request; a request for longer is cut
    /// to this. Default 10 minutes.
    pub max_retry_after: Duration,
    /// How many attempts one message gets; at least 1. Default 15, which outlasts about five minutes.
    pub max_attempts: u32,
    /// The age at which a message is given up rather than tried again; more than zero. Default 1 h.
    pub max_age: Duration,
}

impl DeliveryConfig {
    /// The defaults, for a destination of this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// One error with all problems, of which `is_config` is true.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        let (bytes, message) = (self.max_bytes, self.max_message_bytes);
        check(!self.name.is_empty(), "name is empty: give the destination a name".to_owned());
        check(self.capacity >= 1, "capacity is 0: at least 1".to_owned());
        check(bytes >= 1, "max_bytes is 0: at least 1".to_owned());
        check(
            (1..=bytes.max(1)).contains(&message),
            format!("max_message_bytes is {message}: from 1 to max_bytes, {bytes}"),
        );
        let most =
            |what: &str, value: usize, most: usize| format!("{what} is {value}: at most {most}");
        check(self.capacity <= MAX_ITEMS, most("capacity", self.capacity, MAX_ITEMS));
        check(bytes <= MAX_BYTES, most("max_bytes", bytes, MAX_BYTES));
        check(self.batch.max_items >= 1, "batch.max_items is 0: at least 1".to_owned());
        check(self.batch.max_bytes >= 1, "batch.max_bytes is 0: at least 1".to_owned());
        check(self.concurrency >= 1, "concurrency is 0: at least 1".to_owned());
        check(!self.timeout.is_zero(), "timeout is 0: more than zero".to_owned());
        if let Some(breaker) = &self.breaker {
            let BreakerConfig { failures, open_for, max_open_for, probe_timeout } = *breaker;
            check(failures >= 1, "breaker.failures is 0: at least 1".to_owned());
            check(!open_for.is_zero(), "breaker.open_for is 0: more than zero".to_owned());
            check(
                max_open_for >= open_for,
                format!(
                    "breaker.max_open_for is {max_open_for:?}: at least breaker.open_for, {open_for:?}"
                ),
            );
            check(
                !probe_timeout.is_zero(),
                "breaker.probe_timeout is 0: more than zero".to_owned(),
            );
        }
        check(self.spool.max_bytes >= 1, "spool.max_bytes is 0: at least 1".to_owned());
        check(self.spool.max_items >= 1, "spool.max_items is 0: at least 1".to_owned());
        check(self.spool.window_bytes >= 1, "spool.window_bytes is 0: at least 1".to_owned());
        let RetryPolicy { base_backoff, max_backoff, max_attempts, max_age, .. } = self.retry;
        check(!base_backoff.is_zero(), "retry.base_backoff is 0: more than zero".to_owned());
        check(
            max_backoff >= base_backoff,
            format!(
                "retry.max_backoff is {max_backoff:?}: at least retry.base_backoff, {base_backoff:?}"
            ),
        );
        check(max_attempts >= 1, "retry.max_attempts is 0: at least 1".to_owned());
        check(!max_age.is_zero(), "retry.max_age is 0: more than zero".to_owned());
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Kind::Config { name: self.name.clone(), problems }.into())
        }
    }
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            capacity: 1_024,
            max_bytes: 16 << 20,
            max_message_bytes: 4 << 20,
            overflow: Overflow::default(),
            batch: BatchConfig::default(),
            compression: Compression::default(),
            concurrency: 1,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            breaker: Some(BreakerConfig::default()),
            spool: SpoolConfig::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl RetryPolicy {
    /// A policy that never gives a message up for its number of attempts, and for its age after `max_age` only: for
    /// destinations that have to outlast an outage.
    #[must_use]
    pub fn patient(max_age: Duration) -> Self {
        Self { max_attempts: u32::MAX, max_age, ..Self::default() }
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_items: 1_000, max_bytes: 1 << 20, max_age: Duration::from_secs(1) }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(15),
            max_open_for: Duration::from_secs(120),
            probe_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_items: 10_000_000, window_bytes: 4 << 20 }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(600),
            max_attempts: 15,
            max_age: Duration::from_secs(3_600),
        }
    }
}

impl fmt::Debug for DeliveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryConfig")
            .field("name", &self.name)
            .field("capacity", &self.capacity)
            .field("max_bytes", &self.max_bytes)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("overflow", &self.overflow)
            .field("batch", &self.batch)
            .field("compression", &self.compression)
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("breaker", &self.breaker)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        DeliveryConfig::named("webhook").validate().expect("valid");
    }

    #[test]
    fn every_bad_setting_is_reported_at_once() {
        let config = DeliveryConfig {
            name: String::new(),
            capacity: 0,
            max_bytes: 0,
            max_message_bytes: 7,
            batch: BatchConfig { max_items: 0, max_bytes: 0, max_age: Duration::ZERO },
            concurrency: 0,
            timeout: Duration::ZERO,
            breaker: Some(BreakerConfig {
                failures: 0,
                open_for: Duration::ZERO,
                max_open_for: Duration::ZERO,
                probe_timeout: Duration::ZERO,
            }),
            spool: SpoolConfig { max_bytes: 0, max_items: 0, window_bytes: 0 },
            retry: RetryPolicy {
                base_backoff: Duration::ZERO,
                max_attempts: 0,
                max_age: Duration::ZERO,
                ..RetryPolicy::default()
            },
            ..DeliveryConfig::default()
        };
        let error = config.validate().expect_err("not valid");
        assert!(error.is_config());
        let text = error.to_string();
        for setting in [
            "name",
            "capacity",
            "max_bytes",
            "max_message_bytes",
            "batch.max_items",
            "batch.max_bytes",
            "concurrency",
            "timeout",
            "breaker.failures",
            "breaker.open_for",
            "breaker.probe_timeout",
            "spool.max_bytes",
            "spool.max_items",
            "spool.window_bytes",
            "base_backoff",
            "max_attempts",
            "max_age",
        ] {
            assert!(text.contains(&format!("{setting} is ")), "{setting} is missing in {text}");
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let config = DeliveryConfig {
            capacity: MAX_ITEMS + 1,
            max_bytes: MAX_BYTES + 1,
            ..DeliveryConfig::named("x")
        };
        let text = config.validate().expect_err("not valid").to_string();
        assert!(text.contains("capacity is 16777216: at most 16777215"), "{text}");
        assert!(text.contains("max_bytes is 1099511627776: at most 1099511627775"), "{text}");
    }

    #[test]
    fn a_backoff_cap_below_its_base_names_both() {
        let mut config = DeliveryConfig::named("x");
        config.retry.max_backoff = Duration::from_millis(1);
        let text = config.validate().expect_err("not valid").to_string();
        assert!(text.contains("max_backoff is 1ms: at least retry.base_backoff, 500ms"), "{text}");
    }
}
