//! A transport that does as it is told, and a recorder that can be read.
#![expect(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod bad_server;
pub(crate) mod spools;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use obs_delivery::{DeliveryConfig, ItemOutcome, Message, SendError, SendFuture, Transport};
use tokio::time::Instant;

/// What the transport does with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Deliver,
    DeliverAfter(Duration),
    Fail,
    FailAsking(Duration),
    Refuse,
    PanicAtOnce,
    PanicLater,
    PanicInDrop,
    Hang,
    TooLarge,
    /// Answers for each line of the body, as drawn from this seed.
    Partial(u64),
}

/// An attempt: when it began, for which body, and how it ended if it did.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    pub(crate) body: String,
    pub(crate) ended: Option<Step>,
}

/// Follows a script, then delivers everything.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    steps: Arc<Mutex<VecDeque<Step>>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    lines: Arc<Mutex<Lines>>,
}

/// The lines of the bodies, by what became of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) accepted: Vec<String>,
    pub(crate) refused: Vec<String>,
}

impl Lines {
    /// Notes what became of each line, and answers as the step says.
    fn answer(&mut self, step: Step, body: &str) -> Vec<ItemOutcome> {
        let mut rng = match step {
            Step::Partial(seed) => Some(fastrand::Rng::with_seed(seed)),
            _ => None,
        };
        let mut outcomes = Vec::new();
        for line in body.lines() {
            let outcome = match (step, &mut rng) {
                (_, Some(rng)) => match rng.u32(0..4) {
                    0 => ItemOutcome::Refused,
                    1 => ItemOutcome::Retry,
                    _ => ItemOutcome::Accepted,
                },
                (Step::Deliver | Step::DeliverAfter(_), None) => ItemOutcome::Accepted,
                (Step::Refuse | Step::PanicAtOnce | Step::PanicLater, None) => ItemOutcome::Refused,
                _ => ItemOutcome::Retry,
            };
            match outcome {
                ItemOutcome::Accepted => self.accepted.push(line.to_owned()),
                ItemOutcome::Refused => self.refused.push(line.to_owned()),
                ItemOutcome::Retry => {}
            }
            outcomes.push(outcome);
        }
        if step == Step::TooLarge && outcomes.len() == 1 {
            self.refused.push(body.trim_end().to_owned());
        }
        outcomes
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("scripted panic in drop");
    }
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: Arc::new(Mutex::new(steps.into_iter().collect())), ..Self::default() }
    }

    pub(crate) fn lines(&self) -> Lines {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }

    /// The bodies of the attempts, in order.
    pub(crate) fn tried(&self) -> Vec<String> {
        self.attempts().into_iter().map(|attempt| attempt.body).collect()
    }

    /// The bodies that were delivered, in order.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let delivered = |step| matches!(step, Some(Step::Deliver | Step::DeliverAfter(_)));
        let attempts = self.attempts().into_iter();
        attempts.filter(|it| delivered(it.ended)).map(|it| it.body).collect()
    }

    /// The times between the beginnings of attempts.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        let attempts = self.attempts();
        attempts.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }
}

impl Transport for Scripted {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        let step = self.steps.lock().unwrap().pop_front().unwrap_or(Step::Deliver);
        let index = {
            let mut attempts = self.attempts.lock().unwrap();
            let body = String::from_utf8_lossy(message.body()).into_owned();
            attempts.push(Attempt { at: Instant::now(), body, ended: None });
            attempts.len() - 1
        };
        let end = move || {
            let attempt = &mut self.attempts.lock().unwrap()[index];
            attempt.ended = Some(step);
            self.lines.lock().unwrap().answer(step, &attempt.body)
        };
        if step == Step::PanicAtOnce {
            end();
            panic!("scripted panic in send");
        }
        Box::pin(async move {
            let _bomb = (step == Step::PanicInDrop).then(|| PanicsInDrop);
            match step {
                Step::DeliverAfter(wait) => tokio::time::sleep(wait).await,
                Step::Hang | Step::PanicInDrop => std::future::pending().await,
                _ => {}
            }
            let outcomes = end();
            match step {
                Step::TooLarge => Err(SendError::too_large("scripted want of room")),
                Step::Partial(_) => Err(SendError::partial("scripted outcomes", outcomes)),
                Step::Fail => Err(SendError::passing("scripted failure")),
                Step::FailAsking(wait) => {
                    Err(SendError::passing("scripted request").with_retry_after(wait))
                }
                Step::Refuse => Err(SendError::permanent("scripted refusal")),
                Step::PanicLater => panic!("scripted panic in poll"),
                _ => Ok(()),
            }
        })
    }
}

/// A config for tests: named `test`, otherwise the defaults.
pub(crate) fn config() -> DeliveryConfig {
    DeliveryConfig::named("test")
}

/// Lets the worker do everything that it can do without time passing.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Keeps counters and gauges as text: `name{label=value,…}`.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    values: Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>,
    described: Arc<Mutex<Vec<String>>>,
}

impl Recorded {
    pub(crate) fn counter(&self, key: &str) -> u64 {
        self.cell(key).load(Ordering::SeqCst)
    }

    pub(crate) fn gauge(&self, key: &str) -> f64 {
        f64::from_bits(self.counter(key))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let values = self.values.lock().unwrap();
        values.keys().map(|key| key.split('{').next().unwrap().to_owned()).collect()
    }

    pub(crate) fn described(&self) -> Vec<String> {
        self.described.lock().unwrap().clone()
    }

    fn cell(&self, key: &str) -> Arc<AtomicU64> {
        let values = self.values.lock().unwrap();
        Arc::clone(values.get(key).unwrap_or_else(|| panic!("no {key} in {:?}", values.keys())))
    }

    fn register(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.values.lock().unwrap().entry(name).or_default())
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key);
        Histogram::noop()
    }
}
