//! Sending over HTTP and HTTPS.

mod answer;
mod config;
mod endpoint;
#[cfg(feature = "grpc")]
mod grpc;
mod proxy;
mod retry_after;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Redactor};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use url::Url;

pub use answer::{Answer, Classifier, StandardAnswers, Verdict};
use config::Secrecy;
pub use config::{HttpConfig, HttpMethod};
pub use endpoint::Endpoint;
#[cfg(feature = "grpc")]
pub use grpc::{GrpcConfig, GrpcTransport};
pub use proxy::Proxy;

use crate::error::Kind;
use crate::{Error, Message, SendError, SendFuture, Transport};

/// How much of an answer is read: enough to reuse the connection after a usual answer.
const ANSWER_LIMIT: usize = 16 * 1_024;
/// How long the rest of an answer is waited for once its status is known.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How much of a refusal is shown, in characters.
const EXCERPT_CHARS: usize = 200;

/// Sends each message to one URL, by POST unless its config names another method.
///
/// | answer | meaning |
/// |---|---|
/// | 2xx | delivered |
/// | 408, 425, 429, 5xx, no connection, a connection that broke | passing; `Retry-After` is honoured |
/// | 413 | too large: messages that were put together are halved |
/// | any other | permanent; a redirect is not followed, because a message must not be sent elsewhere |
///
/// A protocol that means something else by its answers says so with a [`Classifier`].
///
/// TLS is rustls with ring; the roots are those of the operating system unless the config names others. No
/// process-wide crypto provider is installed or needed. A proxy is used if the config or the environment names one.
///
/// `Display` and `Debug` show the scheme, host and port of the URL only: webhook URLs carry their secret
/// in the path.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    method: HttpMethod,
    url: Url,
    origin: String,
    headers: HeaderMap,
    classifier: Arc<dyn Classifier>,
    clock: Arc<dyn Clock>,
}

impl HttpTransport {
    /// A transport for this config. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// `is_config` if the URL is not an `http` or `https` URL with a host, if a header cannot be sent, or if a
    /// certificate, a key or the proxy cannot be read; the message lists every problem. Another error if the operating system's root certificates cannot be loaded,
    /// which are needed for `https` only.
    pub fn new(config: HttpConfig) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let url = checked_url(&config.url).map_err(|problem| problems.push(problem)).ok();
        let headers = checked_headers(&config, &mut problems);
        let tls = config.tls.checked(&mut problems);
        let proxy = config.proxy.checked(&mut problems);
        if config.connect_timeout.is_zero() {
            problems.push("connect_timeout is 0: more than zero".to_owned());
        }
        let (Some(url), true) = (url, problems.is_empty()) else {
            return Err(Kind::Http { problems }.into());
        };
        let origin = origin(&url);
        let client = tls.client_config(url.scheme() == "https").and_then(|mut tls| {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let builder = Client::builder()
                .tls_backend_preconfigured(tls)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(config.connect_timeout)
                .user_agent(concat!("obskit/", env!("CARGO_PKG_VERSION")));
            Ok(proxy.apply(builder).build()?)
        });
        match client {
            Ok(client) => Ok(Self {
                client,
                method: config.method,
                url,
                origin,
                headers,
                classifier: config.classifier,
                clock: config.clock,
            }),
            Err(source) => Err(Kind::Client { origin, source }.into()),
        }
    }

    async fn exchange(&self, message: &Message) -> Result<(), SendError> {
        let headers = self.headers_of(message)?;
        let request = self
            .client
            .request(self.method.into(), self.url.clone())
            .headers(headers)
            .body(message.body().clone());
        match request.send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => Err(self.failure(error)),
        }
    }

    async fn judge(&self, response: Response) -> Result<(), SendError> {
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after::parse(value, self.clock.now()));
        let wanted = self.classifier.body_limit(status.as_u16());
        let (body, is_whole) = read(response, wanted).await;
        let verdict =
            self.classifier.classify(&Answer { status: status.as_u16(), body: &body, is_whole });
        let line = || self.describe(status, &body);
        let error = match verdict {
            Verdict::Delivered => return Ok(()),
            Verdict::Passing => SendError::passing(line()),
            Verdict::Permanent => SendError::permanent(line()),
            Verdict::TooLarge => SendError::too_large(line()),
            Verdict::PerItem(outcomes) => SendError::partial(line(), outcomes),
        };
        match wait {
            Some(wait) if !error.is_permanent() => Err(error.with_retry_after(wait)),
            _ => Err(error),
        }
    }

    /// What was answered, with as much of the body as helps and without what looks secret.
    fn describe(&self, status: StatusCode, body: &[u8]) -> String {
        let body = &body[..body.len().min(ANSWER_LIMIT)];
        let text = String::from_utf8_lossy(body);
        let excerpt: String = text.trim().chars().take(EXCERPT_CHARS).collect();
        let mut line = format!("{} answered {status}", self.origin);
        if status.is_redirection() {
            line.push_str(", and redirects are not followed");
        }
        if !excerpt.is_empty() {
            line.push_str(": ");
            line.push_str(&Redactor::new().text(&excerpt));
        }
        line
    }

    fn headers_of(&self, message: &Message) -> Result<HeaderMap, SendError> {
        let mut headers = self.headers.clone();
        let content_type = message.content_type().map(|value| (CONTENT_TYPE.as_str(), value));
        for (name, value) in content_type.into_iter().chain(message.headers()) {
            let (name, value) = header(name, value).map_err(SendError::permanent)?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn failure(&self, error: reqwest::Error) -> SendError {
        let error = error.without_url();
        if error.is_builder() {
            SendError::permanent(format!("no request to {} could be made", self.origin))
        } else if error.is_connect() {
            SendError::passing(format!("no connection to {}", self.origin))
        } else {
            SendError::passing(format!("the exchange with {} broke off", self.origin))
        }
        .with_source(error)
    }
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(self.exchange(message))
    }
}

impl fmt::Display for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("HttpTransport")
            .field("url", &self.origin)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// The scheme, host and port, and a sign that there is more.
fn origin(url: &Url) -> String {
    let more = if url.path().len() > 1 || url.query().is_some() { "/…" } else { "" };
    format!("{}{more}", url.origin().ascii_serialization())
}

/// The problem names no part of the URL, because any part of a malformed one may be its secret.
fn checked_url(text: &str) -> Result<Url, String> {
    let accepted = "an http or https URL such as https://hooks.example.com/path";
    let url = Url::parse(text).map_err(|error| format!("url: {error}: {accepted}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("url has the scheme {:?}: {accepted}", url.scheme()));
    }
    Ok(url)
}

fn checked_headers(config: &HttpConfig, problems: &mut Vec<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = (CONTENT_TYPE.as_str(), config.content_type.as_str(), Secrecy::ByName);
    let own = config.headers.iter().map(|(name, value, kind)| (&**name, &**value, *kind));
    for (name, value, secrecy) in std::iter::once(content_type).chain(own) {
        match header(name, value) {
            Ok((key, mut value)) => {
                value.set_sensitive(HttpConfig::is_secret(name, secrecy));
                headers.insert(key, value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    headers
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("header name {name:?} is not valid: a token as in RFC 9110"))?;
    let value = HeaderValue::from_str(value).map_err(|_| {
        format!("the value of header {name:?} is not valid: visible ASCII, spaces and tabs")
    })?;
    Ok((key, value))
}

/// The beginning of an answer, and whether it is the whole: as much as is wanted, or else as much as comes soon.
async fn read(mut response: Response, wanted: usize) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    let mut is_whole = false;
    let limit = wanted.max(ANSWER_LIMIT);
    let reading = async {
        while answer.len() < limit {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    answer.extend_from_slice(&chunk[..chunk.len().min(limit - answer.len())]);
                }
                Ok(None) => {
                    is_whole = true;
                    return;
                }
                Err(_) => return,
            }
        }
    };
    if wanted > 0 {
        reading.await;
    } else {
        // The status has decided the outcome, so an answer that never ends must not turn it into a timeout.
        let _ = tokio::time::timeout(ANSWER_WAIT, reading).await;
    }
    (answer, is_whole)
}
