//! An open span as it is shown.

use std::sync::Arc;
use std::time::Duration;

use obs_model::{FieldValue, SpanId, TraceId};

/// The open spans that were asked for, as they stood at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Operations {
    /// The oldest ones, as many as were asked for at most.
    pub operations: Vec<Operation>,
    /// How many are open in all.
    pub open: usize,
    /// How many of them are as the filter wants them.
    pub matched: usize,
    /// How many of those are left out, because there are more than were asked for.
    pub left_out: usize,
}

/// An open span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// How many of the operations that are shown it is a part of, directly or not; 0 in a list.
    pub depth: usize,
    /// The span's name.
    pub name: &'static str,
    /// The span's target, which is the module that it is opened in unless it says otherwise.
    pub target: &'static str,
    /// The file and the line that it is opened at.
    pub location: Option<(&'static str, u32)>,
    /// Its own fields, without secrets, as on a log line.
    pub fields: Vec<(String, FieldValue)>,
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// The id of the span that it is a part of, here or at a caller.
    pub parent: Option<SpanId>,
    /// The correlation id of it, or of the innermost span around it that has one.
    pub correlation: Option<String>,
    /// The tokio task that is in it, or was last.
    pub task: Option<u64>,
    /// How long it has been open.
    pub age: Duration,
    /// How long threads were in it: for an asynchronous operation, how long its polls took.
    pub busy: Duration,
    /// How long no thread was in it, which is the rest of its age.
    pub idle: Duration,
    /// How long ago it was last left, or opened; nothing while a thread is in it.
    pub since_poll: Duration,
    /// How often it was entered: for an asynchronous operation, how often it was polled.
    pub polls: u64,
    /// The thread that is in it.
    pub running: Option<Running>,
    /// Whether nothing has happened in it, or below it, for [`InFlightConfig::stuck_after`], or it has been open for
    /// longer than [`InFlightConfig::longest`] allows.
    ///
    /// [`InFlightConfig::stuck_after`]: crate::InFlightConfig::stuck_after
    /// [`InFlightConfig::longest`]: crate::InFlightConfig::longest
    pub stuck: bool,
    /// Whether it has been holding up its thread for [`InFlightConfig::blocking_after`] or longer.
    ///
    /// [`InFlightConfig::blocking_after`]: crate::InFlightConfig::blocking_after
    pub blocking: bool,
}

/// A thread that is in an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// Its name.
    pub thread: Option<Arc<str>>,
    /// What the operating system calls it: on Linux, its thread id.
    pub os_id: Option<u32>,
    /// How long it has been in the operation without a break.
    pub time: Duration,
}

/// Which open spans are wanted; by default all, but no more than 1,000.
///
/// ```
/// use std::time::Duration;
/// use obs_tracing::OperationFilter;
///
/// let mut slow = OperationFilter::default();
/// slow.name = Some("http".into());
/// slow.min_age = Duration::from_secs(5);
/// slow.limit = 20;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationFilter {
    /// Those whose name, or target, contains this.
    pub name: Option<String>,
    /// Those that have been open for so long.
    pub min_age: Duration,
    /// Those of this trace.
    pub trace: Option<TraceId>,
    /// Those that are stuck, or hold up their thread.
    pub only_stuck: bool,
    /// How many to show, [`OperationFilter::MAX_LIMIT`] at most: the oldest ones.
    pub limit: usize,
}

impl OperationFilter {
    /// The most operations that are shown at once.
    pub const MAX_LIMIT: usize = 10_000;
}

impl Default for OperationFilter {
    fn default() -> Self {
        Self { name: None, min_age: Duration::ZERO, trace: None, only_stuck: false, limit: 1_000 }
    }
}

/// How things stand, in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlightSummary {
    /// How many spans are open.
    pub open: u64,
    /// How many of them are stuck.
    pub stuck: u64,
    /// How many threads are held up.
    pub blocking: u64,
    /// The age of the oldest span.
    pub oldest: Duration,
}
