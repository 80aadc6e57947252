//! The circuit breaker of one endpoint: a state machine without a clock or I/O of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::FAR_FUTURE;
use crate::config::BreakerConfig;

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One request, on whose outcome the next state depends.
    HalfOpen,
    /// Nothing for a time.
    Open,
}

impl BreakerState {
    /// The value of the `obskit_delivery_breaker_state` gauge: 0, 1 or 2.
    #[must_use]
    pub const fn as_number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// Counts failures in a row, and opens after so many.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: Option<BreakerConfig>,
    failures: u32,
    /// How often in a row it opened.
    opened: u32,
    open_until: Option<Instant>,
    is_probing: bool,
}

/// As what a request was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Ordinary,
    Probe,
}

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Pass,
    /// As the one probe: it counts as under way from [`Breaker::begin_probe`] on.
    Probe,
    /// Not before the probe under way has ended.
    Probing,
    NotBefore(Instant),
}

impl Breaker {
    pub(crate) fn new(config: Option<BreakerConfig>) -> Self {
        Self { config, failures: 0, opened: 0, open_until: None, is_probing: false }
    }

    pub(crate) fn gate(&self, now: Instant) -> Gate {
        match self.open_until {
            None => Gate::Pass,
            Some(_) if self.is_probing => Gate::Probing,
            Some(until) if now < until => Gate::NotBefore(until),
            Some(_) => Gate::Probe,
        }
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.gate(now) {
            Gate::Pass => BreakerState::Closed,
            Gate::Probe | Gate::Probing => BreakerState::HalfOpen,
            Gate::NotBefore(_) => BreakerState::Open,
        }
    }

    pub(crate) fn begin_probe(&mut self) {
        self.is_probing = true;
    }

    /// Ends a probe without an outcome: another may be made at once.
    pub(crate) fn abandon_probe(&mut self) {
        self.is_probing = false;
    }

    /// Lets a probe through at once.
    pub(crate) fn end_wait(&mut self, now: Instant) {
        if self.open_until.is_some() {
            self.open_until = Some(now);
        }
    }

    /// Closes, because the endpoint answered; not for an ordinary request from before it opened.
    pub(crate) fn succeed(&mut self, role: Role) {
        if role == Role::Ordinary && self.open_until.is_some() {
            return;
        }
        self.failures = 0;
        self.opened = 0;
        self.open_until = None;
        self.is_probing = false;
    }

    /// Counts a failure; `fraction`, from 0 to 1, spreads the times at which many processes try again.
    pub(crate) fn fail(&mut self, role: Role, now: Instant, fraction: f64) {
        self.failures = self.failures.saturating_add(1);
        let Some(config) = &self.config else { return };
        let opens = match role {
            Role::Probe => true,
            Role::Ordinary => self.open_until.is_none() && self.failures >= config.failures,
        };
        if opens {
            self.is_probing = false;
            self.open_until = Some(now + open_time(config, self.opened, fraction).min(FAR_FUTURE));
            self.opened = self.opened.saturating_add(1);
        }
    }
}

/// `min(max_open_for, open_for * 2^opened)`, and up to half as much again.
fn open_time(config: &BreakerConfig, opened: u32, fraction: f64) -> Duration {
    let time = 2_u32.checked_pow(opened).map_or(config.max_open_for, |factor| {
        config.open_for.saturating_mul(factor).min(config.max_open_for)
    });
    let time = time.min(FAR_FUTURE);
    time + time.mul_f64(fraction.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> BreakerConfig {
        BreakerConfig {
            failures: 3,
            open_for: 10 * SECOND,
            max_open_for: 35 * SECOND,
            ..BreakerConfig::default()
        }
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row_and_closes_on_success() {
        let now = Instant::now();
        let mut breaker = Breaker::new(Some(config()));
        for _ in 0..2 {
            breaker.fail(Role::Ordinary, now, 0.0);
            breaker.fail(Role::Ordinary, now, 0.0);
            assert_eq!(breaker.gate(now), Gate::Pass);
            breaker.succeed(Role::Ordinary);
        }
        for _ in 0..3 {
            breaker.fail(Role::Ordinary, now, 0.0);
        }
        assert_eq!(breaker.gate(now), Gate::NotBefore(now + 10 * SECOND));
        assert_eq!(breaker.state(now), BreakerState::Open);
        let later = now + 10 * SECOND;
        assert_eq!(breaker.gate(later), Gate::Probe);
        breaker.begin_probe();
        assert_eq!(breaker.gate(later), Gate::Probing);
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        breaker.succeed(Role::Ordinary);
        assert_eq!(breaker.gate(later), Gate::Probing, "a late answer is not the probe's");
        breaker.succeed(Role::Probe);
        assert_eq!(breaker.gate(later), Gate::Pass);
    }

    #[test]
    fn every_failed_probe_doubles_the_time_up_to_the_limit() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(Some(config()));
        for _ in 0..3 {
            breaker.fail(Role::Ordinary, now, 0.0);
        }
        for seconds in [10, 20, 35, 35] {
            assert_eq!(breaker.gate(now), Gate::NotBefore(now + seconds * SECOND));
            now += seconds * SECOND;
            assert_eq!(breaker.gate(now), Gate::Probe);
            breaker.begin_probe();
            breaker.fail(Role::Ordinary, now, 0.0);
            assert_eq!(breaker.gate(now), Gate::Probing, "a late failure is not the probe's");
            breaker.fail(Role::Probe, now, 0.0);
        }
        breaker.end_wait(now);
        breaker.begin_probe();
        breaker.succeed(Role::Probe);
        for _ in 0..3 {
            breaker.fail(Role::Ordinary, now, 1.0);
        }
        assert_eq!(breaker.gate(now), Gate::NotBefore(now + 15 * SECOND), "half as much again");
    }

    #[test]
    fn without_a_config_it_never_opens() {
        let now = Instant::now();
        let mut breaker = Breaker::new(None);
        for _ in 0..1_000 {
            breaker.fail(Role::Ordinary, now, 1.0);
        }
        assert_eq!(breaker.gate(now), Gate::Pass);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Request { succeeds: Option<bool> },
        Pass(u64),
        EndWait,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => prop_oneof![Just(Some(true)), Just(Some(false)), Just(None)]
                .prop_map(|succeeds| Event::Request { succeeds }),
            2 => (0_u64..40).prop_map(Event::Pass),
            1 => Just(Event::EndWait),
        ]
    }

    proptest! {
        /// Requests without an outcome stay under way: then no second probe may begin.
        #[test]
        fn there_is_never_more_than_one_probe(events in proptest::collection::vec(event(), 0..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(Some(config()));
            let mut is_probing = false;
            let mut in_a_row = 0;
            for event in events {
                match event {
                    Event::Pass(seconds) => now += Duration::from_secs(seconds),
                    Event::EndWait => breaker.end_wait(now),
                    Event::Request { succeeds } => {
                        let gate = breaker.gate(now);
                        match gate {
                            Gate::NotBefore(_) | Gate::Probing => {
                                prop_assert_eq!(gate == Gate::Probing, is_probing);
                                if is_probing && succeeds.is_some() {
                                    breaker.abandon_probe();
                                    is_probing = false;
                                }
                                continue;
                            }
                            Gate::Probe => {
                                prop_assert!(!is_probing);
                                breaker.begin_probe();
                                is_probing = succeeds.is_none();
                            }
                            Gate::Pass => prop_assert!(in_a_row < 3),
                        }
                        let role =
                            if gate == Gate::Probe { Role::Probe } else { Role::Ordinary };
                        match succeeds {
                            Some(true) => { breaker.succeed(role); in_a_row = 0; }
                            Some(false) => { breaker.fail(role, now, 0.5); in_a_row += 1; }
                            None => {}
                        }
                        if gate == Gate::Probe && succeeds == Some(false) {
                            prop_assert!(matches!(breaker.gate(now), Gate::NotBefore(_)));
                        }
                    }
                }
            }
        }
    }
}
