//! Starts the analyst service and real peers for a test, and stops each by its own process id.
//!
//! Everything listens on a free loopback port. A process ends with the value that stands for it, also when the test
//! fails.

#[cfg(doctest)]
mod book;
mod http;
mod postgres;
mod process;
mod python;
mod receiver;
mod remote_write;
mod rsyslog;
mod serve;
mod service;
mod webhook;

pub use http::{Answer, get, post, request};
pub use postgres::Postgres;
pub use process::{Process, binary, free_port, run, run_with_input};
pub use python::python;
pub use receiver::{Kind as ReceiverKind, Receiver};
pub use remote_write::{Exemplar, Point, send_series, send_with_exemplars};
pub use rsyslog::Rsyslog;
pub use serve::{QueryServer, encoded};
pub use service::{Options, Service};
pub use webhook::Webhook;

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer, and panics with `what` after `deadline`.
pub fn eventually<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < deadline, "{what} did not happen within {deadline:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
