//! Benchmarks: release builds that compare with a named peer in the same run.

use clap::ValueEnum;

use crate::process::{Outcome, cargo};

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Name {
    /// The CPU that a request costs with everything on, beside the bare service and the usual stack.
    Request,
    /// Recording and rendering metrics, beside the libraries that people use for it.
    Metrics,
    /// Log lines and spans, beside the libraries that people use for them.
    Tracing,
    /// Loading series and querying them over HTTP, beside Prometheus and VictoriaMetrics.
    Query,
}

/// Builds and runs one benchmark.
pub(crate) fn run(name: Name, arguments: &[String]) -> Outcome {
    let binary = match name {
        Name::Request => "request",
        Name::Metrics => "metrics",
        Name::Tracing => "tracing",
        Name::Query => {
            // The server that is measured runs beside the benchmark.
            cargo(["build", "--release", "--quiet", "--package", "obskit-cli"])?;
            "query"
        }
    };
    let command = ["run", "--release", "--quiet", "--package", "bench", "--bin", binary, "--"];
    cargo(command.into_iter().chain(arguments.iter().map(String::as_str)))
}
