//! Log lines on their way to servers that are strict about what they take.
#![cfg(all(feature = "elasticsearch", feature = "loki", feature = "otlp"))]

mod elasticsearch;
mod loki;
mod otlp;
mod server;
mod support;
