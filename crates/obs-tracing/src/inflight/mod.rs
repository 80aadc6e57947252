//! The open spans as a live tree, and those among them that hang or hold up their thread.
//!
//! Every thread keeps a list of the spans that it is in, with the time at which it entered each, where others can read
//! it ([`threads`]); what a span's visits add up to is kept beside the span ([`activity`]). Both are plain stores: entering
//! and leaving take no lock and allocate nothing. Whoever wants to know looks at all threads and at the table
//! ([`survey`]): the watching thread for the metrics ([`report`]), and callers for a picture ([`snapshot`]).

mod activity;
mod config;
mod limits;
mod operation;
mod report;
mod snapshot;
mod survey;
mod task;
mod threads;
mod time;
mod watch;

use std::fmt;
use std::sync::Arc;

pub(crate) use activity::Activity;
pub use config::{InFlightConfig, InFlightTime, ThreadStacks};
pub use operation::{InFlightSummary, Operation, OperationFilter, Operations, Running};
pub use task::may_block;
pub(crate) use watch::Watch;

/// The spans that are open in this process; cheap to clone.
///
/// ```
/// use obs_model::Resource;
/// use obs_tracing::{InFlightConfig, LogConfig, LogOutput, OperationFilter};
///
/// # let mut config = LogConfig::new(Resource::new("checkout"));
/// # config.output = LogOutput::Writer(Box::new(std::io::sink()));
/// config.in_flight = Some(InFlightConfig::default());
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// let in_flight = handle.in_flight().expect("open spans are watched");
///
/// let shown = tracing::dispatcher::with_default(&dispatch, || {
///     let _order = tracing::info_span!("order", order = 42).entered();
///     let _payment = tracing::info_span!("payment", card_token = "tok-1").entered();
///     in_flight.tree(&OperationFilter::default())
/// });
/// let [order, payment] = &shown.operations[..] else { panic!("two spans are open") };
/// assert_eq!((order.name, order.depth, order.polls), ("order", 0, 1));
/// assert_eq!((payment.name, payment.depth, payment.trace), ("payment", 1, order.trace));
/// assert_eq!(payment.parent, Some(order.span));
/// assert!(payment.running.is_some());
/// assert_eq!(in_flight.sample().open, 0);
/// # Ok::<(), obs_tracing::Error>(())
/// ```
///
/// # What is stuck, and what blocks
///
/// A span is **stuck** when no thread is in it, nothing has entered or left it, and the same holds for every span below it,
/// for [`InFlightConfig::stuck_after`]. A request that waits for a task of its own is not stuck as long as something
/// happens in that task's spans. Spans that wait by nature are named in [`InFlightConfig::waiting`].
///
/// A span **blocks** when it has been entered without a break for [`InFlightConfig::blocking_after`] on a thread that runs
/// tokio's tasks: a poll that long keeps the thread from all other tasks. Of several such spans in each other the innermost
/// is blamed. Blocking work belongs on threads of its own ([`spawn_blocking`](crate::spawn_blocking)), or, with
/// `tokio::task::block_in_place`, within [`may_block`](crate::may_block).
///
/// # Metrics
///
/// | metric | |
/// |---|---|
/// | `obskit_operations_in_flight{name}` | open spans |
/// | `obskit_operation_oldest_seconds{name}` | the age of the oldest |
/// | `obskit_operations_stuck{name}` | how many are stuck |
/// | `obskit_operations_blocking{name}` | how many hold up their thread now |
/// | `obskit_blocking_polls_total{name}` | how often one did, counted when it ends |
/// | `obskit_blocking_poll_duration_seconds{name}` | for how long |
///
/// Names are those of spans, [`InFlightConfig::max_names`] of them; the others count as `other`. A WARN line of the target
/// `obskit::in_flight` names an operation that blocks, in its trace: at most one in 10 s for each name, which says how many
/// were `withheld` before it.
///
/// # Limits
///
/// Of a thread, 32 spans in each other are seen. Polls and busy times are exact only while a span is not left by several
/// threads at the very same moment.
#[derive(Clone)]
pub struct InFlight(Arc<Watch>);

impl InFlight {
    /// Looks at all open spans now and brings the metrics up to date, as happens by itself in every
    /// [`InFlightConfig::sample_interval`].
    pub fn sample(&self) -> InFlightSummary {
        self.0.sample()
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}
