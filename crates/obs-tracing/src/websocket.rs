//! WebSocket connections: a span for each, the context of the upgrade request for every message, and metrics.
//!
//! ```
//! use obs_model::{Context, CorrelationId};
//! use obs_tracing::websocket::{Connection, MessageKind};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
//! // In the handler of the upgrade request, with the route's template.
//! let connection = Connection::open("/chat");
//! # drop(entered);
//!
//! // In the task that serves the connection.
//! let text = "hello";
//! let answer = connection
//!     .received(MessageKind::Text, text.len(), async {
//!         assert_eq!(Context::current().correlation().map(CorrelationId::as_str), Some("req-42"));
//!         format!("{text} to you")
//!     })
//!     .await;
//! connection.sent(MessageKind::Text, answer.len());
//! connection.close(1000);
//! # });
//! ```
//!
//! A connection runs in a span `websocket`, a child of the upgrade request's, which ends on its own; each message that
//! was received is handled in a span `websocket.message` within. Lines have the ids of the upgrade request.
//!
//! | metric | |
//! |---|---|
//! | `websocket_connections_active{endpoint}` | connections that are open |
//! | `websocket_connections_total{endpoint,code}` | connections that ended, by close code (RFC 6455), 1006 where there was none |
//! | `websocket_connection_duration_seconds{endpoint}` | how long they were open |
//! | `websocket_messages_total{endpoint,direction,type}` | messages `received` and `sent` |
//! | `websocket_message_bytes{endpoint,direction}` | how large they were |
//!
//! The first 100 endpoints are labels; further ones are `other`. Give the route's template, not the path.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use metrics::SharedString;
use obs_model::{Context, WithContext};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::duration::milliseconds;
use crate::names::NameCap;
use crate::outgoing::Origin;

/// How many endpoints have a label of their own.
const ENDPOINTS: usize = 100;

static NAMES: LazyLock<NameCap> = LazyLock::new(|| NameCap::new(ENDPOINTS));

const TARGET: &str = "obskit::websocket";

/// The close code of a connection that ended without one.
const ABNORMAL: u16 = 1006;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// A text.
    Text,
    /// Bytes.
    Binary,
    /// A sign of life that asks for one.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The wish to end the connection.
    Close,
}

impl MessageKind {
    /// The value of the label `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close => "close",
        }
    }
}

/// A connection that is open. Dropped without [`Connection::close`], it ended without a close code.
#[derive(Debug)]
#[must_use = "dropping it ends the connection"]
pub struct Connection {
    endpoint: SharedString,
    span: Span,
    context: Context,
    started: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    code: u16,
}

impl Connection {
    /// Opens a connection as a part of the current request; `endpoint` is its route's template.
    pub fn open(endpoint: &str) -> Self {
        let (span, context) = Origin::here().open(|| {
            tracing::info_span!(
                target: TARGET,
                parent: None,
                "websocket",
                otel.name = format_args!("websocket {endpoint}"),
                otel.kind = "server",
                otel.status_code = Empty,
                endpoint,
                websocket.close_code = Empty,
                websocket.received = Empty,
                websocket.sent = Empty,
            )
        });
        let endpoint = NAMES.label(endpoint);
        metrics::gauge!("websocket_connections_active", "endpoint" => endpoint.clone())
            .increment(1);
        let (received, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { endpoint, span, context, started: Instant::now(), received, sent, code: ABNORMAL }
    }

    /// The context of every message: that of the upgrade request, with the connection's span.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Runs `future` as a part of the connection: its loop, or a task that only sends.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        future.in_context(self.context.clone()).instrument(self.span.clone()).await
    }

    /// Counts a message of `bytes` bytes that was received, and handles it in a span of its own.
    pub async fn received<F: Future>(
        &self,
        kind: MessageKind,
        bytes: usize,
        handler: F,
    ) -> F::Output {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.count("received", kind, bytes);
        let span = {
            let _entered = self.context.clone().enter();
            tracing::info_span!(
                target: TARGET,
                parent: &self.span,
                "websocket.message",
                otel.name = format_args!("receive {}", kind.as_str()),
                message.type = kind.as_str(),
                message.bytes = bytes,
            )
        };
        handler.in_context(self.context.clone()).instrument(span).await
    }

    /// Counts a message of `bytes` bytes that was sent.
    pub fn sent(&self, kind: MessageKind, bytes: usize) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.count("sent", kind, bytes);
    }

    /// Ends the connection with a close code of RFC 6455. 1000 and 1001 are ends as they should be.
    pub fn close(mut self, code: u16) {
        self.code = code;
    }

    fn count(&self, direction: &'static str, kind: MessageKind, bytes: usize) {
        metrics::counter!(
            "websocket_messages_total",
            "endpoint" => self.endpoint.clone(), "direction" => direction, "type" => kind.as_str()
        )
        .increment(1);
        metrics::histogram!(
            "websocket_message_bytes",
            "endpoint" => self.endpoint.clone(), "direction" => direction
        )
        // OK because no message has more bytes than a float can count.
        .record(bytes as f64);
        let _entered = self.context.clone().enter();
        self.span.in_scope(|| {
            tracing::trace!(target: TARGET, direction, r#type = kind.as_str(), bytes, "message");
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let endpoint = || self.endpoint.clone();
        metrics::gauge!("websocket_connections_active", "endpoint" => endpoint()).decrement(1);
        metrics::histogram!("websocket_connection_duration_seconds", "endpoint" => endpoint())
            .record(took);
        let code = code_label(self.code);
        metrics::counter!("websocket_connections_total", "endpoint" => endpoint(), "code" => code)
            .increment(1);
        let received = *self.received.get_mut();
        let sent = *self.sent.get_mut();
        self.span.record("websocket.close_code", self.code);
        self.span.record("websocket.received", received);
        self.span.record("websocket.sent", sent);
        if !matches!(self.code, 1000 | 1001 | 1005) {
            self.span.record("otel.status_code", "ERROR");
        }
        let _entered = self.context.clone().enter();
        self.span.in_scope(|| {
            let duration_ms = milliseconds(took);
            tracing::info!(target: TARGET, duration_ms, "connection closed");
        });
    }
}

/// The label of a close code: peers choose codes, so that those that no standard defines are shown by their range.
fn code_label(code: u16) -> SharedString {
    match code {
        1000..=1015 => SharedString::from_owned(code.to_string()),
        3000..=3999 => SharedString::const_str("3xxx"),
        4000..=4999 => SharedString::const_str("4xxx"),
        _ => SharedString::const_str("other"),
    }
}
