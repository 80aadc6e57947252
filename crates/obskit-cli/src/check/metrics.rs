//! `obskit check metrics [--openmetrics] [FILE]`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use obskit::metrics::expose::parse::{Names, ParseError, openmetrics_with, text_with};

use crate::Failure;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The document is OpenMetrics 1.0; otherwise it is the Prometheus text format 0.0.4.
    #[arg(long)]
    openmetrics: bool,

    /// Allows UTF-8 names in quotes, as `escaping=allow-utf-8` does in a scrape.
    #[arg(long)]
    utf8_names: bool,

    /// The document; standard input when it is not given or is `-`.
    file: Option<PathBuf>,
}

/// Checks the document; the failure has the first line that is wrong, and why.
pub(crate) fn check(arguments: &Arguments) -> Result<(), Failure> {
    let document = read(arguments.file.as_deref())?;
    let names = if arguments.utf8_names { Names::Utf8 } else { Names::Legacy };
    let parsed = if arguments.openmetrics {
        openmetrics_with(&document, names)
    } else {
        text_with(&document, names)
    };
    parsed.map(drop).map_err(|error| Failure::found(line_and_reason(&error)))
}

fn line_and_reason(error: &ParseError) -> String {
    match error.column() {
        1 => format!("{}: {}", error.line(), error.reason()),
        column => format!("{}: column {column}: {}", error.line(), error.reason()),
    }
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => fs::read(file)
            .map_err(|error| Failure::unable(format!("read {}: {error}", file.display()))),
        None => {
            let mut document = Vec::new();
            io::stdin()
                .lock()
                .read_to_end(&mut document)
                .map_err(|error| Failure::unable(format!("read standard input: {error}")))?;
            Ok(document)
        }
    }
}
