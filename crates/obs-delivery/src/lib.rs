//! Bounded, retrying delivery of everything that leaves an obskit process.
//!
//! # Concepts
//!
//! - A [`Message`] is a body with a content type and headers. This crate never looks inside.
//! - A [`Transport`] makes one attempt at sending one message, and says of a failure whether trying
//!   again can help ([`SendError::passing`]) or not ([`SendError::permanent`]).
//! - An [`Encoder`] puts several messages together into the one that a transport is given; without one each
//!   message goes alone. [`Framing`] is the encoder for lines, JSON arrays and repeated protobuf fields.
//! - An *endpoint* is a transport with a name and a circuit breaker of its own.
//! - A [`Spool`] keeps messages on disk until their fate is settled, so that they outlive the process.
//! - A [`Delivery`] is one destination: a bounded queue before its endpoints, and a worker that sends batch by
//!   batch, in the order in which the messages were offered.
//!
//! [`Delivery::offer`] never waits: a message is taken or it is dropped, and the answer says which.
//! Of every message offered it is known what became of it: after [`Delivery::shutdown`],
//! `offered + recovered == delivered + dropped + undelivered + spooled`, exactly; `recovered` and `spooled` are what
//! the spool held at the start and holds at the end.
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
//! | there was no room for it when it was offered, by the rule of [`Overflow`] | `dropped`, `queue_full` |
//! | it was held, and had to make room for another, by the same rule | `dropped`, `evicted` |
//! | it is larger than [`DeliveryConfig::max_message_bytes`] | `dropped`, `too_large` |
//! | it was offered after shutdown began | `dropped`, `closed` |
//! | it was refused for good, alone or with its batch; or the transport panicked over it; or it could not be encoded | `dropped`, `permanent` |
//! | it failed [`RetryPolicy::max_attempts`] times | `dropped`, `attempts` |
//! | it grew older than [`RetryPolicy::max_age`] before an attempt succeeded | `dropped`, `expired` |
//! | shutdown's deadline came first, and it is in the spool | `spooled` |
//! | shutdown's deadline came first, and it is not | `undelivered` |
//!
//! Delivery is at least once: an attempt that was cut off by its timeout or by the shutdown deadline may have
//! reached the other side all the same.
//!
//! # When a batch is sent, and when again
//!
//! A batch is due when it has [`BatchConfig::max_items`] messages or [`BatchConfig::max_bytes`] bytes, when its oldest
//! message is [`BatchConfig::max_age`] old, and at once during a flush or shutdown. It goes to the first endpoint, in
//! the order of preference, that is not being left alone. After a failure that may pass that endpoint is left
//! alone for a time that grows ([`RetryPolicy`]), and the batch goes to the next one at once; when all are left alone,
//! it waits for the first that no longer is. An endpoint that fails [`BreakerConfig::failures`] times in a row is
//! left alone altogether until a single request, the probe, succeeds. So the preferred endpoint is returned to as
//! soon as it is well.
//!
//! A batch keeps its messages from attempt to attempt, and its bytes as well. A batch that is too large for the
//! endpoint ([`SendError::too_large`]) or that cannot be encoded is halved; of one that was accepted in part
//! ([`SendError::partial`]) only the rest is sent again.
//!
//! # Order
//!
//! With [`DeliveryConfig::concurrency`] 1 a batch is begun when the fate of the one before is settled. So each endpoint
//! is given the messages in the order in which they were offered, and of two messages that reach different endpoints
//! the first was sent first. Messages that one thread offers keep their order, as do those of two threads when one
//! offers after it has seen the other's offer return. Two things can put a message behind a later one *at the
//! receiver*: an attempt that timed out and arrives all the same, and a batch that was accepted in part. With a
//! higher concurrency batches overtake each other.
//!
//! # The spool
//!
//! A destination with a [`Spool`] writes every message there before it sends it, many at a time, and acknowledges it
//! when its fate is settled. [`Delivery::offer`] takes a message in memory, as ever, from where it is written within
//! milliseconds; [`Delivery::offer_spooled`] waits for that, and after its [`Spooled::Durably`] the message survives
//! `kill -9`. After a restart what the spool holds is sent first, in its order and at least once. What is sent soon is
//! kept in memory as well ([`SpoolConfig::window_bytes`]), so that nothing is read back from the disk unless the
//! destination falls behind.
//!
//! The spool holds [`SpoolConfig::max_bytes`] at most. When it is full the messages it has stay, because somebody may
//! have been told that they are safe; newer ones stay in memory, where the overflow rule applies. A spool that fails is
//! tried again twice a second. Meanwhile messages are sent from memory, so that a broken disk costs no more than
//! durability; what such a disk holds and does not let read is overtaken by what is offered later.
//!
//! # What an offer costs
//!
//! A reservation, which is one atomic number, and a push to a shard of the queue that few other threads use. It does
//! not allocate, but for the queue's own growth up to its capacity. When there is no room and the rule is
//! [`Overflow::DropNewest`], the reservation is all.
//!
//! # Its own state
//!
//! Delivery never logs, because what it would log may be on its way through the same queue. It shows its
//! state in metrics named `obskit_delivery_…` with the label `destination`, and in [`Delivery::status`].
//! The metrics are bound to the recorder that is installed when [`Delivery::start`] runs; [`describe`]
//! registers their help texts. Counters and gauges are brought up to date when the queue runs empty, each second
//! while it is not, and at the end, when they agree with the report exactly.
//!
//! # Features
//!
//! - `http` (default): [`HttpTransport`], POST over HTTP and HTTPS with reqwest, rustls and ring.
//! - `tls`: [`TlsConfig`] for transports of one's own; `http` brings it along.
//! - `grpc`: [`GrpcTransport`], unary gRPC calls over HTTP/2, with the same client.
//! - `spool`: `StoreSpool`, a [`Spool`] in the file of an `obs_store::Store`.
//! - `gzip`, `snappy` (default) and `zstd`: the kinds of [`Compression`].
//!
//! # Limits
//!
//! Without a spool messages are held in memory: what is undelivered when the process ends is lost. A spool has to be
//! fast enough for what is offered on average: it is written to by one thread at a time.

mod backoff;
mod batch;
mod breaker;
mod compress;
mod config;
mod delivery;
mod endpoints;
mod error;
#[cfg(feature = "http")]
mod http;
mod message;
mod queue;
mod self_metrics;
mod spool;
mod state;
mod status;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod worker;

pub use batch::{EncodeError, Encoder, Framing};
pub use breaker::BreakerState;
pub use compress::Compression;
pub use config::{BatchConfig, BreakerConfig, DeliveryConfig, Overflow, RetryPolicy, SpoolConfig};
pub use delivery::{Delivery, DeliveryBuilder};
pub use error::Error;
#[cfg(feature = "http")]
pub use http::{
    Answer, Classifier, Endpoint, HttpConfig, HttpMethod, HttpTransport, Proxy, StandardAnswers,
    Verdict,
};
#[cfg(feature = "grpc")]
pub use http::{GrpcConfig, GrpcTransport};
pub use message::{Message, Priority};
pub use self_metrics::describe;
#[cfg(feature = "spool")]
pub use spool::StoreSpool;
pub use spool::{Spool, SpoolError, SpoolRecord, Spooled};
pub use status::{
    DeliveryReport, DeliveryStatus, DropCounts, EndpointStatus, FlushReport, LastError, Phase,
};
#[cfg(feature = "tls")]
pub use tls::{Pem, TlsConfig};
pub use transport::{ItemOutcome, SendError, SendFuture, Transport};
