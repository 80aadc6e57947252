//! No document makes a parser of expositions panic, and what the stricter reading accepts the wider one accepts too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use obs_metrics::expose::parse::{Names, openmetrics_with, text_with};

fuzz_target!(|document: &[u8]| {
    let strict = openmetrics_with(document, Names::Legacy);
    let wide = openmetrics_with(document, Names::Utf8);
    assert!(strict.is_err() || wide.is_ok());
    let strict = text_with(document, Names::Legacy);
    let wide = text_with(document, Names::Utf8);
    assert!(strict.is_err() || wide.is_ok());
});
