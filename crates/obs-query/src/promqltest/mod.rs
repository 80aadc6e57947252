//! Runs test files in the language of Prometheus' `promqltest`.
//!
//! A file loads series and evaluates queries over them; every evaluation says what it expects:
//!
//! ```
//! use obs_query::promqltest;
//!
//! let report = promqltest::run(
//!     "
//! load 5m
//!   requests_total{code=\"200\"} 0+10x10
//!
//! eval instant at 50m sum(requests_total)
//!   {} 100
//! ",
//! );
//! assert_eq!((report.passed, report.total), (1, 1), "{:?}", report.failures);
//! ```
//!
//! Each instant evaluation is also run with `@` added to its selectors at other times, and as the middle step of a range
//! query; all have to agree.

mod command;
mod compare;
mod convert;
mod run;
mod series;
mod storage;

pub use run::{Evaluation, run, run_with};

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many evaluations came to what was expected.
    pub passed: usize,
    /// How many evaluations there are.
    pub total: usize,
    /// What went wrong, in order of line.
    pub failures: Vec<Failure>,
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the command, the first being 1.
    pub line: usize,
    /// The expression, or the command if it was not understood.
    pub expr: String,
    /// What was expected and what came instead.
    pub reason: String,
}
