//! The whole pipeline, each test with one of its own.

#[cfg(feature = "http")]
mod baggage;
#[cfg(feature = "http")]
mod client;
mod database;
#[cfg(all(feature = "http", feature = "otlp"))]
mod delivery;
#[cfg(all(feature = "http", feature = "otlp"))]
mod export;
mod finished;
#[cfg(feature = "http")]
mod grpc;
mod huge;
mod in_flight;
mod lines;
mod logger;
#[cfg(feature = "http")]
mod requests;
#[cfg(all(feature = "http", feature = "otlp"))]
mod sent;
mod sinks;
#[cfg(all(feature = "http", feature = "otlp"))]
mod spans;
mod support;
#[cfg(all(feature = "http", feature = "otlp"))]
mod tail;
mod tasks;
#[cfg(feature = "http")]
mod text_codec;
#[cfg(all(feature = "http", feature = "otlp"))]
mod told;
mod tools;
#[cfg(all(feature = "http", feature = "otlp"))]
mod workflow;
