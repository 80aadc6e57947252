//! Log lines on their way to servers that are strict about what they take.
#![cfg(all(feature = "elasticsearch", feature = "loki"))]

mod elasticsearch;
mod loki;
mod server;
mod support;
