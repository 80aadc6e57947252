//! The endpoints of a destination, in the order of preference, and which of them may be tried when.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::backoff::{full_jitter, instant_in};
use crate::breaker::{Breaker, Gate, Role};
use crate::config::{DeliveryConfig, RetryPolicy};
use crate::self_metrics::EndpointMetrics;
use crate::status::EndpointStatus;
use crate::{SendError, Transport};

/// The endpoints of a destination.
///
/// What has to be waited for belongs to an endpoint, not to a message: it outlives the message that failed.
pub(crate) struct Endpoints {
    transports: Vec<(String, Box<dyn Transport>)>,
    metrics: Vec<EndpointMetrics>,
    retry: RetryPolicy,
    probe_timeout: Duration,
    state: Mutex<State>,
    /// When shutdown ends, once it has begun.
    deadline: watch::Receiver<Option<Instant>>,
    /// Counts the changes that someone may wait for.
    changed: watch::Sender<u64>,
}

struct State {
    endpoints: Vec<Endpoint>,
    active: Option<usize>,
    rng: fastrand::Rng,
}

struct Endpoint {
    breaker: Breaker,
    failures: u32,
    /// Until when it is left alone, whatever its breaker says.
    rests_until: Option<Instant>,
    /// Whether shutdown cuts short what has to be waited for: not if the endpoint asked for it.
    ends_at_shutdown: bool,
}

/// Leave to make one attempt. To drop it without a verdict gives it back.
pub(crate) struct Permit<'a> {
    endpoints: &'a Endpoints,
    index: usize,
    role: Role,
    is_settled: bool,
}

/// What an endpoint that answered is due.
pub(crate) enum After {
    Nothing,
    /// Time: as much as it asked for, and as much as before this retry of what it is to get again.
    Rest {
        asked: Option<Duration>,
        retries: u32,
    },
}

/// Whether an attempt can be made.
enum Choice {
    Attempt(usize, Role),
    /// None before this instant; before any, if a probe ends earlier.
    NotBefore(Option<Instant>),
}

/// What came of waiting for leave.
pub(crate) enum Leave<'a> {
    Given(Permit<'a>),
    /// The messages have grown too old meanwhile.
    Expired,
    /// No attempt can be made before the deadline of shutdown.
    TooLate,
}

impl Endpoints {
    pub(crate) fn new(
        config: &DeliveryConfig,
        transports: Vec<(String, Box<dyn Transport>)>,
        deadline: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let endpoint = || Endpoint {
            breaker: Breaker::new(config.breaker.clone()),
            failures: 0,
            rests_until: None,
            ends_at_shutdown: false,
        };
        Self {
            metrics: transports
                .iter()
                .map(|(name, _)| EndpointMetrics::bind(&config.name, name))
                .collect(),
            state: Mutex::new(State {
                endpoints: transports.iter().map(|_| endpoint()).collect(),
                active: None,
                rng: fastrand::Rng::new(),
            }),
            transports,
            retry: config.retry.clone(),
            probe_timeout: config.breaker.as_ref().map_or(Duration::MAX, |it| it.probe_timeout),
            deadline,
            changed: watch::Sender::new(0),
        }
    }

    /// Waits until the best endpoint that can be tried may be.
    pub(crate) async fn leave(&self, expiry: Instant, waiting: impl Fn(Instant)) -> Leave<'_> {
        let mut deadline = self.deadline.clone();
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let deadline_at = *deadline.borrow_and_update();
            let now = Instant::now();
            if now >= expiry {
                return Leave::Expired;
            }
            let not_before = match self.choose(now) {
                Choice::Attempt(index, role) => {
                    return Leave::Given(Permit {
                        endpoints: self,
                        index,
                        role,
                        is_settled: false,
                    });
                }
                Choice::NotBefore(until) => until,
            };
            if let (Some(until), Some(deadline)) = (not_before, deadline_at)
                && until >= deadline
            {
                return Leave::TooLate;
            }
            let until = not_before.map_or(expiry, |until| until.min(expiry));
            waiting(until);
            tokio::select! {
                () = sleep_until(until) => {}
                // OK because both senders live as long as the worker: neither is an error in a loop.
                _ = changed.changed() => {}
                _ = deadline.changed() => {}
            }
        }
    }

    fn choose(&self, now: Instant) -> Choice {
        let is_draining = self.is_draining();
        let mut state = self.state.lock();
        let mut earliest: Option<Instant> = None;
        let mut not_before = |until: Instant| {
            earliest = Some(earliest.map_or(until, |earliest| earliest.min(until)));
        };
        for (index, endpoint) in state.endpoints.iter_mut().enumerate() {
            if is_draining && std::mem::take(&mut endpoint.ends_at_shutdown) {
                // Little time is left, so the back-off begins anew with an attempt at once.
                endpoint.failures = 0;
                endpoint.rests_until = None;
                endpoint.breaker.end_wait(now);
            }
            if let Some(until) = endpoint.rests_until {
                if now < until {
                    not_before(until);
                    continue;
                }
                endpoint.rests_until = None;
            }
            match endpoint.breaker.gate(now) {
                Gate::Pass => return Choice::Attempt(index, Role::Ordinary),
                Gate::Probe => {
                    endpoint.breaker.begin_probe();
                    return Choice::Attempt(index, Role::Probe);
                }
                Gate::Probing => {}
                Gate::NotBefore(until) => not_before(until),
            }
        }
        Choice::NotBefore(earliest)
    }

    /// Each endpoint at this moment.
    pub(crate) fn status(&self) -> Vec<EndpointStatus> {
        let now = Instant::now();
        let state = self.state.lock();
        let endpoints = self.transports.iter().zip(&state.endpoints).enumerate();
        endpoints
            .map(|(index, ((name, _), endpoint))| EndpointStatus {
                name: name.clone(),
                breaker: endpoint.breaker.state(now),
                failures_in_a_row: endpoint.failures,
                is_active: state.active == Some(index),
            })
            .collect()
    }

    /// How many attempts in a row failed at the endpoint that is doing best.
    pub(crate) fn failures_in_a_row(&self) -> u32 {
        let state = self.state.lock();
        state.endpoints.iter().map(|endpoint| endpoint.failures).min().unwrap_or(0)
    }

    /// Brings the gauges up to date, which also change as time passes.
    pub(crate) fn publish(&self) {
        for (endpoint, metrics) in self.status().into_iter().zip(&self.metrics) {
            metrics.breaker.set(f64::from(endpoint.breaker.as_number()));
            metrics.active.set(f64::from(u8::from(endpoint.is_active)));
        }
    }

    /// Leaves an endpoint alone for as long as it asked for, and for the jitter on top.
    fn rest(&self, endpoint: &mut Endpoint, asked: Option<Duration>, jitter: Duration) {
        let asked = asked.map(|wait| wait.min(self.retry.max_retry_after));
        endpoint.rests_until = Some(instant_in(asked.unwrap_or_default().saturating_add(jitter)));
        endpoint.ends_at_shutdown = asked.is_none() && !self.is_draining();
    }

    fn is_draining(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Permit<'_> {
    pub(crate) fn transport(&self) -> &dyn Transport {
        self.endpoints.transports[self.index].1.as_ref()
    }

    /// How long the attempt may take.
    pub(crate) fn timeout(&self, usual: Duration) -> Duration {
        match self.role {
            Role::Ordinary => usual,
            Role::Probe => usual.min(self.endpoints.probe_timeout),
        }
    }

    /// The endpoint answered: it took the message, refused it for what it is, or took a part of it.
    pub(crate) fn answered(mut self, after: After) {
        self.is_settled = true;
        let Self { endpoints, index, role, .. } = self;
        endpoints.change(|state| {
            state.active = Some(index);
            let endpoint = &mut state.endpoints[index];
            endpoint.breaker.succeed(role);
            endpoint.failures = 0;
            endpoint.ends_at_shutdown = false;
            // An endpoint that is to get a part again, or that wants time, is left alone though it is well.
            if let After::Rest { asked, retries } = after {
                let jitter = full_jitter(&endpoints.retry, retries, &mut state.rng);
                endpoints.rest(endpoint, asked, jitter);
            }
        });
    }

    /// The attempt failed in a way that may pass.
    pub(crate) fn failed(mut self, error: &SendError) {
        self.is_settled = true;
        let Self { endpoints, index, role, .. } = self;
        endpoints.change(|state| {
            let endpoint = &mut state.endpoints[index];
            let jitter = full_jitter(&endpoints.retry, endpoint.failures, &mut state.rng);
            endpoint.failures = endpoint.failures.saturating_add(1);
            endpoint.breaker.fail(role, Instant::now(), state.rng.f64());
            endpoints.rest(endpoint, error.retry_after(), jitter);
        });
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_settled && self.role == Role::Probe {
            let index = self.index;
            self.endpoints.change(|state| state.endpoints[index].breaker.abandon_probe());
        }
    }
}
