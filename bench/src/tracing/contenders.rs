//! Which libraries meet in which case.

use std::error::Error;

use crate::{Task, lines, peers, requests, spans};

/// The name that our contender goes by.
pub(crate) const OURS: &str = "obskit";

/// Sets a contender up in this process.
type Start = fn() -> Result<Task, Box<dyn Error>>;

/// Contenders that do the same work.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) contenders: &'static [(&'static str, Start)],
}

/// Every case.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "line to a sink",
        contenders: &[
            (OURS, lines::obskit_to_a_sink),
            ("tracing-subscriber JSON", lines::subscriber_to_a_sink),
            ("(the same, flattened, no span list)", lines::flat_subscriber_to_a_sink),
            ("(slog-json behind a mutex)", peers::slog_to_a_sink),
            ("(by hand)", peers::by_hand_to_a_sink),
        ],
    },
    Case {
        name: "line to a file",
        contenders: &[
            (OURS, lines::obskit_to_a_file),
            ("tracing-appender", lines::appender_to_a_file),
            ("(slog-async)", peers::slog_to_a_file),
        ],
    },
    Case {
        name: "line to a rotated file",
        contenders: &[
            (OURS, lines::obskit_to_a_rotated_file),
            ("tracing-appender", lines::appender_to_a_rotated_file),
        ],
    },
    Case {
        name: "disabled line",
        contenders: &[
            (OURS, lines::obskit_disabled),
            ("tracing-subscriber", lines::subscriber_disabled),
        ],
    },
    Case { name: "look for secrets in 100 bytes", contenders: &[(OURS, lines::look_for_secrets)] },
    Case {
        name: "span with two fields",
        contenders: &[
            (OURS, spans::obskit_logged),
            ("(obskit, watched in flight)", spans::obskit_watched),
            ("(obskit, spans remembered)", spans::obskit_remembered),
            ("tracing-subscriber JSON", spans::subscriber),
            ("(registry alone)", spans::registry),
        ],
    },
    Case {
        name: "poll of a span",
        contenders: &[
            (OURS, spans::obskit_polled),
            ("(obskit, watched in flight)", spans::obskit_polled_watched),
            ("(registry alone)", spans::registry_polled),
        ],
    },
    Case {
        name: "request span, 1 % sampled",
        contenders: &[
            (OURS, spans::obskit_mostly_unsampled),
            ("(obskit, tails sampled too)", spans::obskit_sampling_tails),
            ("tracing-opentelemetry", spans::opentelemetry_mostly_unsampled),
            ("(registry alone)", spans::registry_request),
        ],
    },
    Case {
        name: "request span, sampled",
        contenders: &[
            (OURS, spans::obskit_sampled),
            ("tracing-opentelemetry", spans::opentelemetry_sampled),
        ],
    },
    Case {
        name: "request through the layers, 1 % sampled",
        contenders: &[
            (OURS, requests::obskit),
            ("(obskit, watched in flight)", requests::obskit_watched),
            ("the usual stack", requests::usual),
            ("(bare router)", requests::bare),
        ],
    },
];

/// Sets up one contender of one case.
pub(crate) fn start(case: &str, contender: &str) -> Result<Task, Box<dyn Error>> {
    let case = CASES.iter().find(|one| one.name == case).ok_or("there is no such case")?;
    let found = case.contenders.iter().find(|(name, _)| *name == contender);
    let (_, start) = found.ok_or("there is no such contender")?;
    start()
}
