//! The tests of the public face of this crate, in one binary because linking it takes longer than they do.

mod engine;
mod log;
mod model;
mod promtool;
mod run_loop;
mod support;
mod threshold;
mod webhook;
