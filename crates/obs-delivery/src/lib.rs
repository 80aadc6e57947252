//! Bounded, retrying delivery of everything that leaves an obskit process.
//!
//! # Concepts
//!
//! - A [`Message`] is a body with a content type and headers. This crate never looks inside.
//! - A [`Transport`] makes one attempt at sending one message, and says of a failure whether trying
//!   again can help ([`SendError::passing`]) or not ([`SendError::permanent`]).
//! - A [`Delivery`] is one destination: a bounded queue before one transport, and a worker that sends
//!   one message at a time, in the order in which they were offered.
//!
//! [`Delivery::offer`] never waits: a message is taken or it is dropped, and the answer says which.
//! Of every message offered it is known what became of it: after [`Delivery::shutdown`],
//! `offered == delivered + dropped + undelivered`, exactly.
//!
//! ```
//! use obs_delivery::{Delivery, DeliveryConfig, Message, SendFuture, Transport};
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//!
//! struct Outbox(Arc<Mutex<Vec<Vec<u8>>>>);
//!
//! impl Transport for Outbox {
//!     fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
//!         Box::pin(async move {
//!             self.0.lock().expect("nobody panics here").push(message.body().to_vec());
//!             Ok(())
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), obs_delivery::Error> {
//! let sent = Arc::new(Mutex::new(Vec::new()));
//! let delivery = Delivery::start(DeliveryConfig::named("outbox"), Outbox(Arc::clone(&sent)))?;
//! let _ = delivery.offer(Message::new("disk is full"));
//! let report = delivery.shutdown(Duration::from_secs(5)).await;
//! assert_eq!((report.delivered, report.dropped.total(), report.undelivered), (1, 0, 0));
//! assert_eq!(*sent.lock().expect("nobody panics here"), [b"disk is full".to_vec()]);
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of a message
//!
//! | | counted as |
//! |---|---|
//! | the transport took it | `delivered` |
//! | the queue was full when it was offered: the *newest* message is the one dropped | `dropped`, `queue_full` |
//! | it is larger than [`DeliveryConfig::max_message_bytes`] | `dropped`, `too_large` |
//! | it was offered after shutdown began | `dropped`, `closed` |
//! | the transport refused it for good, or panicked over it | `dropped`, `permanent` |
//! | it failed [`RetryPolicy::max_attempts`] times | `dropped`, `attempts` |
//! | it grew older than [`RetryPolicy::max_age`] before an attempt succeeded | `dropped`, `expired` |
//! | shutdown's deadline came first | `undelivered` |
//!
//! Delivery is at least once: an attempt that was cut off by its timeout or by the shutdown deadline may have
//! reached the other side all the same.
//!
//! # Its own state
//!
//! Delivery never logs, because what it would log may be on its way through the same queue. It shows its
//! state in metrics named `obskit_delivery_…` with the label `destination`, and in [`Delivery::status`].
//! The metrics are bound to the recorder that is installed when [`Delivery::start`] runs; [`describe`]
//! registers their help texts.
//!
//! # Features
//!
//! - `http` (default): [`HttpTransport`], POST (or PUT, DELETE) over HTTP and HTTPS with reqwest, rustls and ring.
//!
//! # Limits
//!
//! One message in flight per destination, so the throughput is one message a round trip. Messages are held
//! in memory: what is undelivered when the process ends is lost.

#[cfg(feature = "http")]
mod answer;
mod backoff;
mod config;
mod delivery;
mod error;
#[cfg(feature = "http")]
mod http;
mod message;
#[cfg(feature = "http")]
mod retry_after;
mod self_metrics;
mod state;
mod status;
mod transport;
mod worker;

#[cfg(feature = "http")]
pub use answer::{HttpAnswer, HttpMethod, Verdict};
pub use config::{DeliveryConfig, RetryPolicy};
pub use delivery::Delivery;
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{HttpConfig, HttpTransport};
pub use message::Message;
pub use self_metrics::describe;
pub use status::{DeliveryReport, DeliveryStatus, DropCounts, LastError, Phase};
pub use transport::{SendError, SendFuture, Transport};
