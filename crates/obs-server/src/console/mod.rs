//! The console: pages made on the server, complete without script, that show the service at a glance.

pub(crate) mod assets;
mod chart;
#[cfg(feature = "errors")]
pub(crate) mod error_group;
mod figures;
mod format;
mod layout;
pub(crate) mod login;
#[cfg(feature = "tracing")]
pub(crate) mod logs;
#[cfg(feature = "tracing")]
pub(crate) mod operations;
pub(crate) mod overview;
pub(crate) mod profiles;
#[cfg(feature = "tracing")]
pub(crate) mod trace;
#[cfg(feature = "tracing")]
pub(crate) mod traces;

pub(crate) use layout::{Frame, Pill};
