//! What an error tracker keeps, and how much of it.

use std::sync::Arc;

use obs_model::Redactor;

/// How an [`ErrorTracker`](crate::ErrorTracker) works.
///
/// Every bound of zero is read as one, so that a tracker always works.
#[derive(Clone, Debug)]
pub struct ErrorConfig {
    /// `deployment.environment.name`, put on every event.
    pub environment: Option<Arc<str>>,
    /// `service.version`, put on every event. It does not enter the fingerprint.
    pub version: Option<Arc<str>>,
    /// The most groups that are kept; the one not seen for longest makes room. Default 1,000.
    pub max_groups: usize,
    /// The most events that are kept of one group; the oldest makes room. Default 100.
    pub events_per_group: usize,
    /// The most memory that all kept events take together, estimated, in bytes; the oldest event makes room.
    /// Default 32 MiB, at least 256 KiB.
    pub max_bytes: usize,
    /// Where a message, and every message of its source chain, is cut, in bytes. Default 2,048.
    pub max_message_bytes: usize,
    /// Where the input of the failed work is cut, in bytes. Default 4,096.
    pub max_input_bytes: usize,
    /// How many sources of an error are followed. Default 8.
    pub max_chain: usize,
    /// How many values the `error_type` label of the counters takes before it becomes `other`. Default 100.
    pub max_error_types: usize,
    /// When the whole stack is walked.
    pub backtraces: Backtraces,
    /// What is removed from messages and inputs before anything else sees them.
    pub redactor: Redactor,
}

impl Default for ErrorConfig {
    fn default() -> Self {
        Self {
            environment: None,
            version: None,
            max_groups: 1_000,
            events_per_group: 100,
            max_bytes: 32 * 1_024 * 1_024,
            max_message_bytes: 2_048,
            max_input_bytes: 4_096,
            max_chain: 8,
            max_error_types: 100,
            backtraces: Backtraces::default(),
            redactor: Redactor::new(),
        }
    }
}

impl ErrorConfig {
    /// This configuration with every bound raised to what the tracker needs.
    pub(crate) fn checked(mut self) -> Self {
        for bound in [
            &mut self.max_groups,
            &mut self.events_per_group,
            &mut self.max_message_bytes,
            &mut self.max_input_bytes,
            &mut self.max_chain,
            &mut self.max_error_types,
        ] {
            *bound = (*bound).max(1);
        }
        self.max_bytes = self.max_bytes.max(256 * 1_024);
        self
    }
}

/// When the whole stack is walked and put on the event.
///
/// Without it, an event has one frame: the file and line of the capture. A walk costs microseconds once its
/// addresses are known; the first of a process loads debug information and takes tens of milliseconds.
///
/// The functions of a walked stack enter the fingerprint, so changing this starts new groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backtraces {
    /// Never, not even for panics.
    Never,
    /// For panics only.
    #[default]
    Panics,
    /// For panics and for every captured error.
    Always,
}
