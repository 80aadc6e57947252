//! When a batch is due, and what goes into it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::Instant;

use super::Encoder;
use crate::Message;
use crate::backoff::FAR_FUTURE;
use crate::config::BatchConfig;
use crate::queue::{Held, Ordered};

/// Where the messages of a batch come from, the oldest first.
pub(crate) trait Source {
    fn front(&self) -> Option<&Held>;
    fn pop(&mut self) -> Option<Held>;
    fn items(&self) -> usize;
    fn bytes(&self) -> usize;
}

impl Source for Ordered {
    fn front(&self) -> Option<&Held> {
        self.front()
    }

    fn pop(&mut self) -> Option<Held> {
        self.pop()
    }

    fn items(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

/// Whether a batch can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    /// When the oldest message has waited for company long enough.
    At(Instant),
    /// There is no message.
    Never,
}

/// Whether messages are waited for that would make a batch fuller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    None,
}

/// Whether a batch is due: it is full, its oldest message is old enough, or nothing is waited for.
pub(crate) fn due(
    source: &impl Source,
    config: Option<&BatchConfig>,
    now: Instant,
    patience: Patience,
) -> Due {
    let Some(front) = source.front() else { return Due::Never };
    let Some(config) = config else { return Due::Now };
    let is_full = source.items() >= config.max_items || source.bytes() >= config.max_bytes;
    let at = front.offered_at + config.max_age.min(FAR_FUTURE);
    if is_full || patience == Patience::None || at <= now { Due::Now } else { Due::At(at) }
}

/// Takes the messages of one batch, at least one if there is any.
pub(crate) fn take(
    source: &mut impl Source,
    config: Option<&BatchConfig>,
    encoder: Option<&dyn Encoder>,
) -> Vec<Held> {
    let mut batch: Vec<Held> = Vec::new();
    let (Some(config), Some(encoder)) = (config, encoder) else {
        batch.extend(source.pop());
        return batch;
    };
    let mut bytes = 0;
    while batch.len() < config.max_items
        && let Some(next) = source.front()
    {
        bytes += next.size();
        let joins = batch.first().is_none_or(|first| {
            bytes <= config.max_bytes && may_join(encoder, &first.message, &next.message)
        });
        if !joins {
            break;
        }
        batch.extend(source.pop());
    }
    batch
}

/// Asks the encoder; if it panics the messages go apart, and the panic is met again where it is counted.
fn may_join(encoder: &dyn Encoder, first: &Message, next: &Message) -> bool {
    catch_unwind(AssertUnwindSafe(|| encoder.may_join(first, next))).unwrap_or(false)
}
