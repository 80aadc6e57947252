//! Messages on disk, so that they outlive the process.

use obs_model::DropReason;

/// What became of a message that was offered to be spooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that is not in the spool is lost with the process"]
pub enum Spooled {
    /// It is in the spool: if the process ends now it is delivered after the next start.
    Durably,
    /// It was taken or even delivered, but never was in the spool: there is none, or it failed.
    InMemory,
    /// It was dropped and counted.
    Dropped(DropReason),
}
