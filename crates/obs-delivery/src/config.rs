//! What a destination may hold, and how long it keeps trying.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, SystemClock};

use crate::Error;
use crate::error::Kind;

/// How a destination queues and sends. Start from [`named`](Self::named).
#[derive(Clone)]
pub struct DeliveryConfig {
    /// The value of the `destination` label; not empty.
    pub name: String,
    /// How many messages are held at most, with the one in flight; at least 1. Default 1,024.
    pub capacity: usize,
    /// How many bytes the messages held count for at most, see [`Message::size`](crate::Message::size);
    /// at least 1. Default 16 MiB.
    pub max_bytes: usize,
    /// How large one message may be; at least 1, at most `max_bytes`. Default 4 MiB.
    pub max_message_bytes: usize,
    /// How long one attempt may take; more than zero. Default 10 s.
    pub timeout: Duration,
    /// When and for how long to try again.
    pub retry: RetryPolicy,
    /// Where the times in [`DeliveryStatus`](crate::DeliveryStatus) come from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
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
        check(!self.timeout.is_zero(), "timeout is 0: more than zero".to_owned());
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
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            clock: Arc::new(SystemClock::new()),
        }
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
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
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
            timeout: Duration::ZERO,
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
            "timeout",
            "base_backoff",
            "max_attempts",
            "max_age",
        ] {
            assert!(text.contains(&format!("{setting} is ")), "{setting} is missing in {text}");
        }
    }

    #[test]
    fn a_backoff_cap_below_its_base_names_both() {
        let mut config = DeliveryConfig::named("x");
        config.retry.max_backoff = Duration::from_millis(1);
        let text = config.validate().expect_err("not valid").to_string();
        assert!(text.contains("max_backoff is 1ms: at least retry.base_backoff, 500ms"), "{text}");
    }
}
