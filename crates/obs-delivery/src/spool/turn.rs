//! One turn of the spool, on a thread where it may block.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use obs_model::{Clock, Timestamp};
use tokio::time::Instant;

use super::record;
use super::{Spool, SpoolError, SpoolRecord};
use crate::queue::Held;

/// What the spool is to do.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) acknowledge: Option<u64>,
    pub(super) push: Vec<Held>,
    pub(super) read: Option<Read>,
}

/// What is to be read.
pub(super) struct Read {
    pub(super) from: u64,
    pub(super) max_items: usize,
    pub(super) max_bytes: usize,
}

/// What the spool did.
pub(super) struct Done {
    pub(super) acknowledged: Option<Result<u64, SpoolError>>,
    pub(super) pushed: Option<Pushed>,
    pub(super) read: Option<Result<Vec<SpoolRecord>, SpoolError>>,
}

/// Messages that were to be pushed, and the ids that they got.
pub(super) type Pushed = (Vec<Held>, Result<Range<u64>, SpoolError>);

/// Carries the orders out.
pub(super) fn take(spool: &dyn Spool, orders: Orders, clock: &dyn Clock) -> Done {
    let Orders { acknowledge, push, read } = orders;
    let acknowledged = acknowledge.map(|id| caught(|| spool.acknowledge_through(id)).map(|()| id));
    let pushed = (!push.is_empty()).then(|| {
        let ids = caught(|| write(spool, &push, clock.now()));
        (push, ids)
    });
    let read =
        read.map(|read| caught(|| spool.peek_from(read.from, read.max_items, read.max_bytes)));
    Done { acknowledged, pushed, read }
}

fn write(spool: &dyn Spool, push: &[Held], now: Timestamp) -> Result<Range<u64>, SpoolError> {
    let clock = Instant::now();
    let records: Option<Vec<Vec<u8>>> = push
        .iter()
        .map(|held| {
            let age = clock.saturating_duration_since(held.offered_at).as_millis();
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            let offered_at = now.as_millis().saturating_sub(age);
            record::encode(&held.message, Timestamp::from_millis(offered_at))
        })
        .collect();
    let records = records.ok_or_else(|| SpoolError::new("a message has too many headers"))?;
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let ids = spool.push(&records)?;
    if ids.end.checked_sub(ids.start) == Some(records.len() as u64) {
        Ok(ids)
    } else {
        Err(SpoolError::new("the spool gave ids for another number of records"))
    }
}

// OK because nothing of the spool's is looked at again after a panic but through another call, and whoever writes a
// spool is told that panics are caught.
fn caught<T>(call: impl FnOnce() -> Result<T, SpoolError>) -> Result<T, SpoolError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(SpoolError::new("the spool panicked")))
}
