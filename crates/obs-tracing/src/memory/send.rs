//! Lines that are kept, on their way to a sink that exists for them alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{Clock, Resource, SystemClock};

use super::query::{self, LineQuery};
use super::segment::Segment;
use crate::sink::{Line, LogSink, fanout};
use crate::{Error, Sent};

/// How many lines are given to the sink before it is waited for, so that its queue holds them.
const CHUNK: usize = 256;

pub(super) async fn send(
    segments: &[Arc<Segment>],
    query: &LineQuery,
    sink: LogSink,
    service: &Resource,
    deadline: Duration,
) -> Result<Sent, Error> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (mut running, delivery) = fanout::start_alone(sink, service, &clock)?;
    let (mut changed, mut found, mut lost) = (Vec::new(), 0, 0);
    let mut is_stuck = false;
    for numbers in query::numbers(segments, query).chunks(CHUNK) {
        let lines: Vec<Line<'_>> = numbers.iter().filter_map(|n| line(segments, *n)).collect();
        found += running.wanted(&lines);
        // What is not given any more still counts as found.
        if !is_stuck {
            lost += running.give(&lines, &mut changed);
        }
        drop(lines);
        if let Some(delivery) = delivery.as_ref().filter(|_| !is_stuck) {
            is_stuck = !delivery.flush(left()).await.is_complete;
        }
    }
    let Some(delivery) = delivery else {
        return Ok(Sent { found, delivered: found - lost, last_error: None });
    };
    let report = delivery.shutdown(left()).await;
    Ok(Sent::of(found, &delivery, report))
}

/// The line of this number; segments and numbers are both in order.
fn line(segments: &[Arc<Segment>], number: u64) -> Option<Line<'_>> {
    let at = segments.partition_point(|segment| segment.end() <= number);
    segments.get(at)?.line(number)
}
