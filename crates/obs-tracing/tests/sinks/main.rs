//! Sinks that send lines away, against real files and strict local receivers.

mod file;
mod file_crash;
mod support;
