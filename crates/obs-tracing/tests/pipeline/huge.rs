//! Ten megabytes wherever a text can stand.

use std::error::Error;

use obs_tracing::LogFormat;

use crate::support::Pipeline;

const MEGABYTES: usize = 10;

#[test]
fn ten_megabytes_in_every_place_are_one_line_within_its_cap() {
    // Of everything that has to be escaped, redacted or left whole.
    let text =
        "a\u{0}\n\"\\\u{7f}é\u{2028}🌀 ann@example.org ".repeat(MEGABYTES * 1024 * 1024 / 36);
    let bytes = text.as_bytes();
    for format in [LogFormat::Json, LogFormat::Logfmt, LogFormat::Text] {
        let pipeline = Pipeline::new(|config| config.format = format);
        let written = pipeline.text_of(|| {
            let error = std::io::Error::other(text.clone());
            let error: &dyn Error = &error;
            let span = tracing::info_span!("span", large = text);
            let _entered = span.entered();
            tracing::info!("{text}");
            tracing::info!(field = text, debug = ?text, bytes, user_id = text, "field");
            tracing::error!(error, "error");
        });
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 3, "{format:?}");
        for line in lines {
            assert!(line.len() <= 64 * 1024, "{format:?}: {} bytes", line.len());
            assert!(!line.contains("ann@example.org") && line.contains("truncated"), "{format:?}");
            // What a terminal could take for an order is not in a line for people; JSON lets the last one stand.
            let is_special = |character: char| match format {
                LogFormat::Text => character.is_control(),
                LogFormat::Json | LogFormat::Logfmt => character < ' ',
            };
            assert!(!line.contains(is_special), "{format:?}");
        }
        if format == LogFormat::Json {
            pipeline.lines.json();
        }
    }
}
