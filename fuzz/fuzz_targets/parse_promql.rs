//! No text makes the PromQL parser panic, and what it accepts is written and read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use obs_query::promql::{ParseOptions, parse_bytes};

fuzz_target!(|text: &[u8]| {
    let options = ParseOptions::all();
    let Ok(query) = parse_bytes(text, options) else {
        return;
    };
    let written = query.to_string();
    let again = match parse_bytes(written.as_bytes(), options) {
        Ok(again) => again,
        Err(error) => panic!("what was written as {written:?} is not accepted: {error}"),
    };
    assert_eq!(again.to_string(), written);
});
