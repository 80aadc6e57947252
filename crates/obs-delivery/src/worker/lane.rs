//! One batch, from the queue to its fate.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::{Instant, timeout};

use super::attempt::{Caught, panic_text};
use crate::backoff::FAR_FUTURE;
use crate::endpoints::{After, Leave, Permit};
use crate::queue::Held;
use crate::state::{Fate, Shared};
use crate::status::Reason;
use crate::transport::Failure;
use crate::{EncodeError, Encoder, ItemOutcome, Message, SendError};

/// Whether sending goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    GoOn,
    /// No attempt can be made before the deadline of shutdown.
    Stop,
}

/// What sends one batch at a time.
pub(super) struct Lane<'a> {
    shared: &'a Shared,
    encoder: Option<&'a dyn Encoder>,
    batch: u64,
}

/// What came of a part of a batch.
enum Part {
    Settled,
    /// It is too much at once.
    Halved(Vec<Held>, Vec<Held>),
    TooLate,
}

/// What came of one attempt.
enum Attempt {
    Settled,
    /// What is to be tried again; whether that is less than was tried.
    Again(Vec<Held>, Changed),
    Halved(Vec<Held>, Vec<Held>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Yes,
    No,
}

/// Sends a batch until the fate of each of its messages is settled.
///
/// They are in hand from this call on, not only once the future is polled: a flush must not miss them between.
pub(super) fn deliver<'a>(
    shared: &'a Shared,
    encoder: Option<&'a dyn Encoder>,
    items: Vec<Held>,
) -> impl Future<Output = Flow> + Send + 'a {
    let lane = Lane { shared, encoder, batch: shared.take_in_hand(&items) };
    async move {
        let mut parts = vec![items];
        while let Some(part) = parts.pop() {
            match lane.deliver_part(part).await {
                Part::Settled => {}
                Part::Halved(first, second) => parts.extend([second, first]),
                Part::TooLate => return Flow::Stop,
            }
        }
        Flow::GoOn
    }
}

impl Lane<'_> {
    async fn deliver_part(&self, mut items: Vec<Held>) -> Part {
        let max_attempts = self.shared.config.retry.max_attempts;
        let mut attempts = 0;
        let mut request: Option<Message> = None;
        loop {
            let permit = match self.leave(&items).await {
                Leave::Given(permit) => permit,
                Leave::TooLate => return Part::TooLate,
                Leave::Expired => {
                    items = self.drop_expired(items);
                    request = None;
                    if items.is_empty() {
                        return Part::Settled;
                    }
                    continue;
                }
            };
            let message = match request.take() {
                Some(message) => message,
                None => match self.encode(&items).await {
                    Ok(message) => message,
                    Err(error) => {
                        self.shared.failed(error.to_string(), true);
                        return self.halve_or_drop(items);
                    }
                },
            };
            self.shared.sending(attempts > 0);
            attempts += 1;
            match self.attempt(permit, &message, items, attempts - 1).await {
                Attempt::Settled => return Part::Settled,
                Attempt::Halved(first, second) => return Part::Halved(first, second),
                Attempt::Again(rest, changed) => {
                    items = rest;
                    request = (changed == Changed::No).then_some(message);
                }
            }
            if attempts >= max_attempts {
                self.shared.settle(self.batch, items, Fate::Dropped(Reason::Attempts));
                return Part::Settled;
            }
        }
    }

    async fn leave(&self, items: &[Held]) -> Leave<'_> {
        let max_age = self.shared.config.retry.max_age.min(FAR_FUTURE);
        let oldest = items.iter().map(|held| held.offered_at).min().unwrap_or_else(Instant::now);
        let endpoints = &self.shared.endpoints;
        endpoints.leave(oldest + max_age, |until| self.shared.waiting_until(until)).await
    }

    fn drop_expired(&self, items: Vec<Held>) -> Vec<Held> {
        let max_age = self.shared.config.retry.max_age;
        let (expired, rest) =
            items.into_iter().partition(|held: &Held| held.offered_at.elapsed() >= max_age);
        self.shared.settle(self.batch, expired, Fate::Dropped(Reason::Expired));
        rest
    }

    async fn encode(&self, items: &[Held]) -> Result<Message, EncodeError> {
        let message = match (self.encoder, items) {
            (None, [held, ..]) => held.message.clone(),
            (None, []) => return Err(EncodeError::new("no message to encode")),
            (Some(encoder), _) => {
                let messages: Vec<&Message> = items.iter().map(|held| &held.message).collect();
                // OK because nothing of the encoder's is looked at again after a panic but through another call,
                // and whoever writes an encoder is told that panics are caught.
                catch_unwind(AssertUnwindSafe(|| encoder.encode(&messages))).unwrap_or_else(
                    |panic| {
                        self.shared.panicked();
                        let text = panic_text(panic.as_ref());
                        Err(EncodeError::new(format!("the encoder panicked: {text}")))
                    },
                )?
            }
        };
        let message = self.shared.config.compression.apply(message).await?;
        self.shared.metrics.batch_items.record(items.len() as f64);
        self.shared.metrics.batch_bytes.record(message.body().len() as f64);
        Ok(message)
    }

    async fn attempt(
        &self,
        permit: Permit<'_>,
        message: &Message,
        items: Vec<Held>,
        retries: u32,
    ) -> Attempt {
        let limit = permit.timeout(self.shared.config.timeout);
        let begun = Instant::now();
        let outcome = timeout(limit, Caught::new(permit.transport(), message)).await;
        self.shared.metrics.attempt_seconds.record(begun.elapsed().as_secs_f64());
        let error = match outcome {
            Ok(Ok(Ok(()))) => return self.accepted(permit, items),
            Ok(Ok(Err(error))) if accepts_all(&error, items.len()) => {
                return self.accepted(permit, items);
            }
            Ok(Ok(Err(error))) => error,
            Ok(Err(panic)) => {
                self.shared.panicked();
                SendError::permanent(format!("the transport panicked: {panic}"))
            }
            Err(_) => SendError::passing(format!("no answer within {limit:?}")),
        };
        self.shared.sent(Some((error.one_line(), error.is_permanent())));
        let asked = error.retry_after();
        let needs_again = match error.failure() {
            Failure::Passing => {
                permit.failed(&error);
                return self.after(error, items);
            }
            Failure::Permanent | Failure::TooLarge => false,
            Failure::Partial(outcomes) => {
                outcomes.len() < items.len() || outcomes.contains(&ItemOutcome::Retry)
            }
        };
        permit.answered(if needs_again || asked.is_some() {
            After::Rest { asked, retries }
        } else {
            After::Nothing
        });
        self.after(error, items)
    }

    fn accepted(&self, permit: Permit<'_>, items: Vec<Held>) -> Attempt {
        permit.answered(After::Nothing);
        self.shared.sent(None);
        self.delivered(items);
        Attempt::Settled
    }

    fn after(&self, error: SendError, items: Vec<Held>) -> Attempt {
        match error.into_failure() {
            Failure::Passing => Attempt::Again(items, Changed::No),
            Failure::Permanent => {
                self.shared.settle(self.batch, items, Fate::Dropped(Reason::Permanent));
                Attempt::Settled
            }
            Failure::TooLarge => match self.halve_or_drop(items) {
                Part::Halved(first, second) => Attempt::Halved(first, second),
                Part::Settled | Part::TooLate => Attempt::Settled,
            },
            Failure::Partial(outcomes) => {
                let (rest, changed) = self.sort_out(items, &outcomes);
                if rest.is_empty() { Attempt::Settled } else { Attempt::Again(rest, changed) }
            }
        }
    }

    /// Settles what was accepted or refused, and hands back the rest.
    fn sort_out(&self, items: Vec<Held>, outcomes: &[ItemOutcome]) -> (Vec<Held>, Changed) {
        let count = items.len();
        let (mut accepted, mut refused, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (index, held) in items.into_iter().enumerate() {
            match outcomes.get(index) {
                Some(ItemOutcome::Accepted) => accepted.push(held),
                Some(ItemOutcome::Refused) => refused.push(held),
                Some(ItemOutcome::Retry) | None => rest.push(held),
            }
        }
        let changed = if rest.len() < count { Changed::Yes } else { Changed::No };
        self.delivered(accepted);
        self.shared.settle(self.batch, refused, Fate::Dropped(Reason::Permanent));
        (rest, changed)
    }

    fn delivered(&self, items: Vec<Held>) {
        if let Some(oldest) = items.iter().map(|held| held.offered_at).min() {
            self.shared.metrics.latency_seconds.record(oldest.elapsed().as_secs_f64());
        }
        self.shared.settle(self.batch, items, Fate::Delivered);
    }

    fn halve_or_drop(&self, mut items: Vec<Held>) -> Part {
        if items.len() > 1 {
            let second = items.split_off(items.len() / 2);
            return Part::Halved(items, second);
        }
        self.shared.settle(self.batch, items, Fate::Dropped(Reason::Permanent));
        Part::Settled
    }
}

/// Whether it is no failure at all: each of so many messages was accepted.
fn accepts_all(error: &SendError, messages: usize) -> bool {
    error.outcomes().is_some_and(|outcomes| {
        outcomes.len() >= messages
            && outcomes.iter().take(messages).all(|outcome| *outcome == ItemOutcome::Accepted)
    })
}
