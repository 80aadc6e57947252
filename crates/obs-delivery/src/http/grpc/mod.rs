//! Sending as the only message of a gRPC call.

mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use obs_model::Redactor;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use reqwest::{Client, Response};
use url::Url;

use self::status::Status;
use super::{EXCERPT_CHARS, HttpConfig, Proxy, checked_headers, checked_url, header, origin};
use crate::error::Kind;
use crate::{Compression, Error, Message, SendError, SendFuture, TlsConfig, Transport};

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1_024;

/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Called with the message that a call was answered with.
type OnAnswer = dyn Fn(&[u8]) + Send + Sync;

/// Where and how to send by gRPC.
///
/// Its `Debug` form shows neither the credentials of the URL nor the values of secret headers.
#[derive(Clone)]
pub struct GrpcConfig {
    http: HttpConfig,
    url: String,
    method: String,
    compression: Compression,
    on_answer: Arc<OnAnswer>,
}

impl GrpcConfig {
    /// Calls to `method`, such as `/opentelemetry.proto.collector.trace.v1.TraceService/Export`, of the server at `url`,
    /// which is `http://host:port` or, with TLS, `https://host:port`.
    #[must_use]
    pub fn new(url: impl Into<String>, method: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            http: HttpConfig::new(url.clone()).with_content_type("application/grpc"),
            url,
            method: method.into(),
            compression: Compression::None,
            on_answer: Arc::new(|_| {}),
        }
    }

    /// This config with a header (gRPC calls it metadata) on every call. It is treated as a secret if its name is one of
    /// a secret.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http = self.http.with_header(name, value);
        self
    }

    /// This config with a header on every call whose value is never shown.
    #[must_use]
    pub fn with_secret_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http = self.http.with_secret_header(name, value);
        self
    }

    /// This config with other roots, or with a client certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.http = self.http.with_tls(tls);
        self
    }

    /// This config with another proxy than the environment's.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.http = self.http.with_proxy(proxy);
        self
    }

    /// This config with another time for making a connection, TLS included; more than zero. 5 s otherwise, and never
    /// longer than the timeout of the attempt.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.http = self.http.with_connect_timeout(timeout);
        self
    }

    /// This config with messages compressed: by gzip or not at all. gRPC compresses inside its own framing, so that
    /// [`BatchConfig`](crate::BatchConfig)'s compression must be off.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// This config with `look` called on the message of every answer whose status is OK, for what it says about what
    /// was not accepted.
    ///
    /// # Panics
    ///
    /// A panic of `look` is one of the transport: it is caught and counted, and the message is dropped.
    #[must_use]
    pub fn with_answer(mut self, look: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.on_answer = Arc::new(look);
        self
    }
}

impl fmt::Debug for GrpcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcConfig")
            .field("http", &self.http)
            .field("method", &self.method)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// Makes a unary gRPC call of each message, over HTTP/2.
///
/// | answer | meaning |
/// |---|---|
/// | `OK` | delivered |
/// | `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE`, `DATA_LOSS`, no connection | passing; the delay of a `RetryInfo` is honoured |
/// | `RESOURCE_EXHAUSTED` with a `RetryInfo` | passing |
/// | `RESOURCE_EXHAUSTED` because of size | too large: messages that were put together are halved |
/// | any other | permanent |
///
/// These are the rules of OTLP (<https://opentelemetry.io/docs/specs/otlp/#failures>). An answer without a status
/// counts by its HTTP status, as gRPC's own mapping has it. TLS and proxies are as for
/// [`HttpTransport`](super::HttpTransport).
#[derive(Clone)]
pub struct GrpcTransport {
    client: Client,
    url: Url,
    origin: String,
    headers: HeaderMap,
    compression: Compression,
    on_answer: Arc<OnAnswer>,
}

impl GrpcTransport {
    /// A transport for this config. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// `is_config` if the URL, the method, a header, the compression, a certificate, a key or the proxy cannot be used;
    /// the message lists every problem. Another error if the operating system's root certificates cannot be loaded,
    /// which are needed for `https` only.
    pub fn new(config: GrpcConfig) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let url = checked_url(&config.url).map_err(|problem| problems.push(problem)).ok();
        if config.method.split('/').count() != 3 || !config.method.starts_with('/') {
            problems
                .push(format!("the gRPC method is {:?}: /package.Service/Method", config.method));
        }
        if !matches!(config.compression.content_encoding(), None | Some("gzip")) {
            problems.push(format!("compression is {:?}: gzip or none", config.compression));
        }
        let mut headers = checked_headers(&config.http, &mut problems);
        let tls = config.http.tls.checked(&mut problems);
        let proxy = config.http.proxy.checked(&mut problems);
        if config.http.connect_timeout.is_zero() {
            problems.push("connect_timeout is 0: more than zero".to_owned());
        }
        let (Some(mut url), true) = (url, problems.is_empty()) else {
            return Err(Kind::Http { problems }.into());
        };
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(encoding) = config.compression.content_encoding() {
            headers.insert(
                HeaderName::from_static("grpc-encoding"),
                HeaderValue::from_static(encoding),
            );
        }
        url.set_path(&config.method);
        let origin = origin(&url);
        let client = tls.client_config(url.scheme() == "https").and_then(|mut tls| {
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let builder = Client::builder()
                .tls_backend_preconfigured(tls)
                .http2_prior_knowledge()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(config.http.connect_timeout)
                .user_agent(concat!("obskit/", env!("CARGO_PKG_VERSION")));
            Ok(proxy.apply(builder).build()?)
        });
        match client {
            Ok(client) => Ok(Self {
                client,
                url,
                origin,
                headers,
                compression: config.compression,
                on_answer: config.on_answer,
            }),
            Err(source) => Err(Kind::Client { origin, source }.into()),
        }
    }

    async fn call(&self, message: &Message) -> Result<(), SendError> {
        let mut headers = self.headers.clone();
        for (name, value) in message.headers() {
            let (name, value) = header(name, value).map_err(SendError::permanent)?;
            if name != CONTENT_TYPE {
                headers.insert(name, value);
            }
        }
        let body = framed(message.body(), self.compression).map_err(SendError::permanent)?;
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let answer = match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => Err(error),
        };
        let (status, answer) = answer.map_err(|error| self.failure(error))?;
        if status.is_ok() {
            (self.on_answer)(unframed(&answer));
            return Ok(());
        }
        let excerpt: String = status.message.trim().chars().take(EXCERPT_CHARS).collect();
        let line = format!(
            "{} answered {}: {}",
            self.origin,
            status.name(),
            Redactor::new().text(&excerpt)
        );
        Err(match status.retry_after {
            _ if status.is_too_large() => SendError::too_large(line),
            _ if !status.is_passing() => SendError::permanent(line),
            Some(wait) => SendError::passing(line).with_retry_after(wait),
            None => SendError::passing(line),
        })
    }

    fn failure(&self, error: reqwest::Error) -> SendError {
        let error = error.without_url();
        if error.is_builder() {
            SendError::permanent(format!("no call to {} could be made", self.origin))
        } else if error.is_connect() {
            SendError::passing(format!("no connection to {}", self.origin))
        } else {
            SendError::passing(format!("the call to {} broke off", self.origin))
        }
        .with_source(error)
    }
}

impl Transport for GrpcTransport {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(self.call(message))
    }
}

impl fmt::Display for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("GrpcTransport")
            .field("url", &self.origin)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// A message behind the prefix that gRPC asks for.
fn framed(message: &Bytes, compression: Compression) -> Result<Bytes, String> {
    let (flag, message) = match compression.content_encoding() {
        None => (0, message.clone()),
        Some(_) => (1, compression.compress(message).map_err(|error| error.to_string())?),
    };
    let length = u32::try_from(message.len())
        .map_err(|_| format!("{} bytes are too many for one gRPC message", message.len()))?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(flag);
    framed.put_u32(length);
    framed.extend_from_slice(&message);
    Ok(framed.freeze())
}

/// The first message of an answer; empty if there is none that is not compressed.
fn unframed(answer: &[u8]) -> &[u8] {
    match answer.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], rest)) => {
            let length = u32::from_be_bytes(*length) as usize;
            rest.get(..length).unwrap_or_default()
        }
        _ => &[],
    }
}

/// The status of an answer, which comes last unless nothing else comes, and the beginning of its body.
async fn read(response: Response) -> Result<(Status, Vec<u8>), reqwest::Error> {
    let http = response.status();
    if let Some(status) = Status::of(response.headers()) {
        return Ok((status, Vec::new()));
    }
    if !http.is_success() {
        return Ok((Status::of_http(http), Vec::new()));
    }
    let mut body = reqwest::Body::from(response);
    let mut answer = Vec::new();
    let mut status = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                answer.extend_from_slice(&data[..data.len().min(ANSWER_LIMIT - answer.len())]);
            }
            Err(frame) => {
                status = frame.trailers_ref().and_then(Status::of).or(status);
            }
        }
    }
    Ok((status.unwrap_or_else(Status::missing), answer))
}
