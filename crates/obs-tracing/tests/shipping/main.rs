//! Log lines on their way to servers that are strict about what they take.
#![cfg(feature = "loki")]

mod loki;
mod server;
mod support;
