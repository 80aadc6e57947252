//! Sinks that send lines away, against real files and strict local receivers.

mod file;
mod file_crash;
mod support;
#[cfg(feature = "syslog")]
mod syslog;
#[cfg(feature = "syslog")]
mod syslog_receiver;
#[cfg(feature = "syslog-tls")]
mod syslog_tls;
