//! Gives lines to the sinks that want them.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use obs_delivery::Delivery;
use obs_model::{Clock, Level, Resource};

use super::statics::StaticFields;
use super::{Line, LineSink, LogSink, ShipRuntime, SinkFilter, SinkStart};
use crate::Error;
use crate::counters::count_dropped;
use crate::pipeline::SinkQueue;
use crate::pipeline::queue::{Batch, CloseOnDrop, Drain, LineQueue, QueueLimits};

/// How many lines are read at a time: a line that is taken apart needs several times its length.
const CHUNK: usize = 256;

const THREAD_NAME: &str = "obskit-log-sinks";

/// A sink that runs, with what it wants and adds.
pub(crate) struct Running {
    filter: SinkFilter,
    fields: StaticFields,
    writer: Box<dyn LineSink>,
}

/// All sinks, as the thread sees them that gives them their lines.
struct Fanout {
    sinks: Vec<Running>,
    /// Room for a line with a sink's own fields.
    changed: Vec<u8>,
    /// Kept, because destinations send as long as it lives.
    _ship: Option<Arc<ShipRuntime>>,
}

/// All sinks, as those see them who wait for them.
#[derive(Clone)]
pub(crate) struct Sinks {
    queue: LineQueue,
    /// The least important level that any of them wants.
    level: Level,
    deliveries: Arc<[Delivery]>,
    ship: Option<Arc<ShipRuntime>>,
}

/// What is wrong with the settings of the sinks.
pub(crate) fn problems(sinks: &[LogSink]) -> Vec<String> {
    let mut names = HashSet::new();
    let mut problems = Vec::new();
    for sink in sinks {
        let name = sink.name.as_str();
        if name.is_empty() {
            problems.push("a sink has an empty name: give it one".to_owned());
        } else if !names.insert(name) {
            problems.push(format!("two sinks are named {name:?}: give each its own name"));
        }
        let of_kind = sink.kind.problems().into_iter();
        problems.extend(of_kind.map(|problem| format!("sink {name:?}: {problem}")));
        if let Err(error) = sink.delivery.validate() {
            problems.push(error.to_string());
        }
    }
    problems
}

/// Starts the sinks and the thread that gives them their lines; nothing when there are none.
pub(crate) fn start(
    sinks: Vec<LogSink>,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
    limits: QueueLimits,
) -> Result<Option<Sinks>, Error> {
    let Some(level) = sinks.iter().map(|sink| sink.filter.level()).min() else { return Ok(None) };
    let ship = Arc::new(ShipRuntime::start()?);
    let (mut running, mut deliveries, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for sink in sinks {
        match ship.within(|| start_one(sink, resource, clock)) {
            Ok((started, delivery)) => {
                running.push(started);
                deliveries.extend(delivery);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(Error::config(problems));
    }
    let ship = (!deliveries.is_empty()).then_some(ship);
    let fanout = Fanout { sinks: running, changed: Vec::new(), _ship: ship.clone() };
    let queue = LineQueue::start(Box::new(fanout), limits, THREAD_NAME)?;
    Ok(Some(Sinks { queue, level, deliveries: deliveries.into(), ship }))
}

/// Starts one sink on the current runtime, for lines that its caller gives it.
pub(crate) fn start_alone(
    sink: LogSink,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
) -> Result<(Running, Option<Delivery>), Error> {
    let problems = problems(std::slice::from_ref(&sink));
    if !problems.is_empty() {
        return Err(Error::config(problems));
    }
    start_one(sink, resource, clock).map_err(|problem| Error::config(vec![problem]))
}

/// Starts a sink on the current runtime; a sentence when it cannot be.
fn start_one(
    sink: LogSink,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
) -> Result<(Running, Option<Delivery>), String> {
    let LogSink { name, filter, fields, delivery, spool, kind } = sink;
    let start = SinkStart {
        name: name.clone(),
        resource: resource.clone(),
        clock: Arc::clone(clock),
        delivery,
        spool,
    };
    let started = kind.start(start).map_err(|problem| format!("sink {name:?}: {problem}"))?;
    let fields = StaticFields::new(&fields);
    Ok((Running { filter, fields, writer: started.writer }, started.delivery))
}

impl Sinks {
    /// Where they get their lines from; their thread ends when it is gone.
    pub(crate) fn queue(&self) -> SinkQueue {
        SinkQueue { queue: CloseOnDrop(self.queue.clone()), level: self.level }
    }

    /// Waits until every line logged so far is sent, and stops if `close`; a sentence for each sink that did not send
    /// everything.
    pub(crate) fn finish(&self, until: Instant, close: bool) -> Vec<String> {
        let given = if close { self.queue.close(until) } else { self.queue.flush(until) };
        let mut problems = Vec::new();
        if let Err(lost) = given {
            problems.push(format!("{lost} log lines were not given to the sinks"));
        }
        if let Some(ship) = &self.ship {
            problems.extend(ship.finish(&self.deliveries, until, close));
        }
        problems
    }
}

impl Drain for Fanout {
    const REASONS: [&'static str; 2] = ["sinks_full", "closed"];

    fn take(&mut self, batch: &Batch) {
        let mut lines: Vec<Line<'_>> = Vec::with_capacity(CHUNK.min(batch.lines()));
        let mut rest = batch.lines_with_heads().peekable();
        while rest.peek().is_some() {
            lines.clear();
            lines.extend(rest.by_ref().take(CHUNK).map(|(head, json)| Line::new(head, json)));
            for sink in &mut self.sinks {
                sink.give(&lines, &mut self.changed);
            }
        }
    }
}

impl Running {
    /// How many of the lines it wants.
    pub(crate) fn wanted(&self, lines: &[Line<'_>]) -> u64 {
        lines.iter().filter(|line| self.filter.passes(line)).count() as u64
    }

    /// Gives this sink what it wants of the lines, and returns how many it lost: a sink that panics loses that line and
    /// the rest of them.
    pub(crate) fn give(&mut self, lines: &[Line<'_>], changed: &mut Vec<u8>) -> u64 {
        let mut written = 0;
        let given = catch_unwind(AssertUnwindSafe(|| {
            for line in lines {
                if self.filter.passes(line) {
                    if self.fields.is_empty() {
                        self.writer.write(line);
                    } else {
                        self.fields.add_to(line.json(), changed);
                        self.writer.write(&Line::new(line.head(), changed));
                    }
                }
                written += 1;
            }
            self.writer.flush();
        }));
        if given.is_err() {
            let lost = lines[written..].iter().filter(|line| self.filter.passes(line));
            lost.for_each(|line| count_dropped("sink_panicked", line.level(), 1));
            return self.wanted(&lines[written..]);
        }
        0
    }
}
