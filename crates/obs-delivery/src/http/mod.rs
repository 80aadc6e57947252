//! Sending over HTTP and HTTPS.

mod answer;
mod retry_after;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, REDACTED, Redactor, SystemClock};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::Url;

use crate::error::Kind;
use crate::{Error, Message, SendError, SendFuture, Transport};

pub use self::answer::{HttpAnswer, HttpMethod, Verdict};

/// How much of an answer is read: enough to reuse the connection after a usual answer.
const ANSWER_LIMIT: usize = 16 * 1_024;
/// How long the rest of an answer is waited for once its status is known.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How much of a refusal is shown, in characters.
const EXCERPT_CHARS: usize = 200;

/// Says what an answer means.
type Judge = Arc<dyn Fn(&HttpAnswer<'_>) -> Verdict + Send + Sync>;

/// Where and how to send.
///
/// Its `Debug` form shows neither the credentials, path and query of the URL nor the values of secret headers.
#[derive(Clone)]
pub struct HttpConfig {
    url: String,
    content_type: String,
    headers: Vec<(String, String, Secrecy)>,
    method: HttpMethod,
    judge: Option<Judge>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// A secret if its name says so.
    ByName,
    Secret,
}

impl HttpConfig {
    /// A POST to `url`, with the content type `application/json` unless a message has its own.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            method: HttpMethod::Post,
            judge: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// This config with another content type for messages that have none of their own.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// This config with a header on every request. It is treated as a secret if its name is one of a secret.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into(), Secrecy::ByName));
        self
    }

    /// This config with a header on every request whose value is never shown.
    #[must_use]
    pub fn with_secret_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into(), Secrecy::Secret));
        self
    }

    /// This config with another method than POST.
    #[must_use]
    pub fn with_method(mut self, method: HttpMethod) -> Self {
        self.method = method;
        self
    }

    /// This config with its own reading of answers, in place of [`HttpAnswer::by_status`]: for protocols that say in the
    /// body what was stored, or that have other rules for what may be tried again.
    ///
    /// ```
    /// use obs_delivery::{HttpConfig, Verdict};
    ///
    /// let config = HttpConfig::new("https://example.com/in").with_judge(|answer| match answer.status {
    ///     409 => Verdict::Delivered, // It was there already.
    ///     _ => answer.by_status(),
    /// });
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn with_judge(
        mut self,
        judge: impl Fn(&HttpAnswer<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.judge = Some(Arc::new(judge));
        self
    }

    /// This config with another clock, against which a `Retry-After` date is read.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn is_secret(name: &str, secrecy: Secrecy) -> bool {
        secrecy == Secrecy::Secret || Redactor::new().is_secret_key(name)
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value, secrecy)| {
                let shown = if Self::is_secret(name, *secrecy) { REDACTED } else { value };
                (name.as_str(), shown)
            })
            .collect();
        let origin = Url::parse(&self.url).map_or_else(|_| REDACTED.to_owned(), |url| origin(&url));
        f.debug_struct("HttpConfig")
            .field("url", &origin)
            .field("method", &self.method)
            .field("content_type", &self.content_type)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// Sends each message to one URL, with POST unless the config says otherwise.
///
/// What an answer means is up to [`HttpConfig::with_judge`], and without that to its status:
///
/// | answer | meaning |
/// |---|---|
/// | 2xx | delivered |
/// | 408, 425, 429, 5xx, no connection, a connection that broke | passing; `Retry-After` is honoured |
/// | any other | permanent; a redirect is not followed, because a POST must not be sent elsewhere |
///
/// TLS is rustls with ring; the roots are those of the operating system. No process-wide crypto provider is
/// installed or needed. A proxy is used if the environment names one (`HTTPS_PROXY`, `NO_PROXY` …).
///
/// `Display` and `Debug` show the scheme, host and port of the URL only: webhook URLs carry their secret
/// in the path.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    url: Url,
    origin: String,
    headers: HeaderMap,
    method: HttpMethod,
    judge: Option<Judge>,
    clock: Arc<dyn Clock>,
}

impl HttpTransport {
    /// A transport for this config. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// `is_config` if the URL is not an `http` or `https` URL with a host, or if a header cannot be sent; the
    /// message lists every problem. Another error if the operating system's root certificates cannot be loaded,
    /// which are needed for `https` only.
    pub fn new(config: HttpConfig) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let url = checked_url(&config.url).map_err(|problem| problems.push(problem)).ok();
        let headers = checked_headers(&config, &mut problems);
        let (Some(url), true) = (url, problems.is_empty()) else {
            return Err(Kind::Http { problems }.into());
        };
        let origin = origin(&url);
        match client(&url) {
            Ok(client) => {
                let HttpConfig { method, judge, clock, .. } = config;
                Ok(Self { client, url, origin, headers, method, judge, clock })
            }
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
            Ok(response) => self.outcome(response).await,
            Err(error) => Err(self.failure(error)),
        }
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

    async fn outcome(&self, response: Response) -> Result<(), SendError> {
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after::parse(value, self.clock.now()));
        let body = read(response).await;
        let answer = HttpAnswer { status: status.as_u16(), body: &body };
        let verdict = match &self.judge {
            Some(judge) => judge(&answer),
            None => answer.by_status(),
        };
        if verdict == Verdict::Delivered {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body);
        let excerpt: String = text.trim().chars().take(EXCERPT_CHARS).collect();
        let mut line = format!("{} answered {status}", self.origin);
        if status.is_redirection() {
            line.push_str(", and redirects are not followed");
        }
        if !excerpt.is_empty() {
            line.push_str(": ");
            line.push_str(&Redactor::new().text(&excerpt));
        }
        if verdict == Verdict::Permanent {
            return Err(SendError::permanent(line));
        }
        let error = SendError::passing(line);
        Err(match wait {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
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

/// A client that carries its own crypto provider, so that the process's default is neither used nor set.
fn client(url: &Url) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let mut tls = if url.scheme() == "https" {
        builder.with_platform_verifier()?.with_no_client_auth()
    } else {
        // Plain HTTP must also work where there are no root certificates, as in an empty container.
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("obskit/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

/// The beginning of an answer, up to the limits; what cannot be read is left out.
async fn read(mut response: Response) -> Vec<u8> {
    let mut answer = Vec::new();
    let reading = async {
        while answer.len() < ANSWER_LIMIT
            && let Ok(Some(chunk)) = response.chunk().await
        {
            answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER_LIMIT - answer.len())]);
        }
    };
    // The status has decided the outcome, so an answer that never ends must not turn it into a timeout.
    let _ = tokio::time::timeout(ANSWER_WAIT, reading).await;
    answer
}
