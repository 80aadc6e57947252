//! How long to wait before the next attempt.

use std::time::Duration;

use tokio::time::Instant;

use crate::RetryPolicy;

/// Stands for "never": thirty years, because `Duration::MAX` from now is not an instant.
pub(crate) const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The instant after `wait`, or in the far future if that comes first.
pub(crate) fn instant_in(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR_FUTURE)
}

/// The most that the wait before retry `retry` (from 0) can be: `min(max_backoff, base_backoff * 2^retry)`.
pub(crate) fn ceiling(policy: &RetryPolicy, retry: u32) -> Duration {
    2_u32.checked_pow(retry).map_or(policy.max_backoff, |factor| {
        policy.base_backoff.saturating_mul(factor).min(policy.max_backoff)
    })
}

/// The wait before retry `retry`, by "full jitter": evenly drawn from zero to its ceiling.
///
/// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:
/// `sleep = random_between(0, min(cap, base * 2 ** attempt))`.
pub(crate) fn full_jitter(policy: &RetryPolicy, retry: u32, rng: &mut fastrand::Rng) -> Duration {
    let ceiling = u64::try_from(ceiling(policy, retry).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.u64(0..=ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(base_ms: u64, max_ms: u64) -> RetryPolicy {
        RetryPolicy {
            base_backoff: Duration::from_millis(base_ms),
            max_backoff: Duration::from_millis(max_ms),
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let policy = policy(100, 1_000);
        for (retry, expected_ms) in
            [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (31, 1_000), (u32::MAX, 1_000)]
        {
            assert_eq!(ceiling(&policy, retry), Duration::from_millis(expected_ms), "{retry}");
        }
    }

    #[test]
    fn draws_fill_the_range_from_zero_to_the_ceiling() {
        let policy = policy(100, 60_000);
        let mut rng = fastrand::Rng::with_seed(7);
        for retry in 0..8 {
            let ceiling = ceiling(&policy, retry);
            let draws: Vec<Duration> =
                (0..2_000).map(|_| full_jitter(&policy, retry, &mut rng)).collect();
            assert!(draws.iter().all(|wait| *wait <= ceiling));
            let mean = draws.iter().sum::<Duration>() / 2_000;
            // An even draw has its mean at half the ceiling; the standard error here is 0.65 % of it.
            assert!(mean > ceiling.mul_f64(0.46) && mean < ceiling.mul_f64(0.54), "{mean:?}");
            assert!(draws.iter().any(|wait| *wait < ceiling / 20));
            assert!(draws.iter().any(|wait| *wait > ceiling * 19 / 20));
        }
    }

    #[test]
    fn an_endless_cap_does_not_overflow() {
        let policy = RetryPolicy { max_backoff: Duration::MAX, ..policy(1_000, 0) };
        let mut rng = fastrand::Rng::with_seed(7);
        let _ = full_jitter(&policy, u32::MAX, &mut rng);
    }
}
