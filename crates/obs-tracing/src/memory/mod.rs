//! The newest log lines, kept in memory to be searched.

mod query;
mod segment;
mod send;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::Resource;
use parking_lot::Mutex;

use crate::sink::{Line, LineSink, LogSink};
use crate::{Error, Sent};
use segment::Segment;

pub use query::{FieldCount, KeptLine, LineQuery, LineSearch};

/// The least that a memory of lines holds, in bytes.
pub(crate) const MIN_BYTES: usize = 1024 * 1024;

/// How much of the memory one segment is: so much more or less may be kept than was asked for.
const SEGMENTS: usize = 64;

/// The newest log lines, bounded by bytes; cheap to clone.
///
/// The thread that serves the sinks writes to it, so that a line is found some milliseconds after it was logged, and
/// logging costs nothing for it but the hand-over. A search holds a lock only while it looks up which segments there
/// are.
///
/// ```
/// use std::time::Duration;
///
/// use obs_model::{Level, Resource};
/// use obs_tracing::memory::LineQuery;
/// use obs_tracing::{LogConfig, LogOutput};
///
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.output = LogOutput::None;
/// config.line_memory = Some(4 * 1024 * 1024);
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// tracing::dispatcher::with_default(&dispatch, || {
///     tracing::info!(order = 41, "paid");
///     tracing::warn!(order = 42, duration_ms = 1_200, "paid late");
/// });
/// handle.flush_blocking(Duration::from_secs(5))?;
///
/// let memory = handle.lines().expect("it was asked for");
/// let found = memory.search(&LineQuery { at_least: vec![("duration_ms".into(), 500.0)], ..LineQuery::default() });
/// assert_eq!(found.lines.len(), 1);
/// assert_eq!(found.lines[0].level, Level::Warn);
/// assert!(found.lines[0].json.contains("\"order\":42"));
/// # Ok::<(), obs_tracing::Error>(())
/// ```
#[derive(Clone)]
pub struct LineMemory(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    max_bytes: usize,
}

struct State {
    /// Full ones, oldest first.
    sealed: VecDeque<Arc<Segment>>,
    sealed_bytes: usize,
    open: Segment,
}

impl LineMemory {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let max_bytes = max_bytes.max(MIN_BYTES);
        let state =
            State { sealed: VecDeque::new(), sealed_bytes: 0, open: Segment::starting_at(0) };
        Self(Arc::new(Shared { state: Mutex::new(state), max_bytes }))
    }

    /// The lines that a query asks for, the newest first.
    #[must_use]
    pub fn search(&self, query: &LineQuery) -> LineSearch {
        query::search(&self.segments(), query)
    }

    /// How many of the lines that a query asks for have each value of a field, the most frequent first; `limit` of the
    /// query is the most values that are told.
    #[must_use]
    pub fn count_by(&self, field: &str, query: &LineQuery) -> Vec<FieldCount> {
        query::count_by(&self.segments(), field, query)
    }

    /// Sends the lines that a query asks for to a sink, once, the oldest first, and waits for `deadline` at most until they
    /// have arrived: on demand, for somebody else to look at. The sink's own filter holds too.
    ///
    /// `service` is what it is told of who writes; it needs a current tokio runtime, whose logs of sending are logged as all
    /// others.
    ///
    /// # Errors
    ///
    /// A setting of the sink is wrong ([`Error::is_config`]), or it could not be started.
    pub async fn send(
        &self,
        query: &LineQuery,
        sink: LogSink,
        service: &Resource,
        deadline: Duration,
    ) -> Result<Sent, Error> {
        send::send(&self.segments(), query, sink, service, deadline).await
    }

    /// How many bytes the lines take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let state = self.0.state.lock();
        state.sealed_bytes + state.open.size()
    }

    /// All segments, oldest first. The one that is being filled is copied, because it is small.
    fn segments(&self) -> Vec<Arc<Segment>> {
        let state = self.0.state.lock();
        let open = Arc::new(state.open.clone());
        state.sealed.iter().cloned().chain([open]).collect()
    }

    fn push(&self, line: &Line<'_>) {
        let Shared { state, max_bytes } = &*self.0;
        let mut state = state.lock();
        state.open.push(line);
        if state.open.size() < max_bytes / SEGMENTS {
            return;
        }
        let next = Segment::starting_at(state.open.end());
        let full = std::mem::replace(&mut state.open, next);
        state.sealed_bytes += full.size();
        state.sealed.push_back(Arc::new(full));
        while state.sealed_bytes > *max_bytes {
            // OK because there is one: its size was counted.
            let Some(oldest) = state.sealed.pop_front() else { break };
            state.sealed_bytes -= oldest.size();
        }
    }
}

impl LineSink for LineMemory {
    fn write(&mut self, line: &Line<'_>) {
        self.push(line);
    }
}

impl fmt::Debug for LineMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineMemory").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
