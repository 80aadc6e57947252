//! Where a sink sends over HTTP, what has to be said there to be let in, and the destination made of it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metrics::{Counter, Label, Unit, describe_counter};
use obs_delivery::{
    Classifier, Compression, Delivery, Encoder, HttpConfig, HttpTransport, Message, Proxy,
    TlsConfig, Transport,
};
use obs_model::REDACTED;
use url::Url;

use super::{Line, LineSink, SinkStart, StartedSink, priority_of};

const REFUSED: &str = "obskit_log_refused_total";

/// An HTTP or HTTPS endpoint of a sink.
///
/// Its `Debug` form shows no credentials and no values of headers.
///
/// ```
/// use obs_tracing::sink::Endpoint;
///
/// let endpoint = Endpoint::new("https://logs.example.com").with_basic_auth("writer", "s3cret");
/// assert!(!format!("{endpoint:?}").contains("s3cret"));
/// ```
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    headers: Vec<(String, String)>,
    tls: TlsConfig,
    proxy: Proxy,
}

impl Endpoint {
    /// The endpoint at `url`, without credentials, with the certificate authorities and the proxy of the machine.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            proxy: Proxy::default(),
        }
    }

    /// The endpoint that a URL with a scheme of a sink stands for, such as `loki+https://user:pass@host`: of `schemes`, each
    /// with that of HTTP, the one that fits. A name and a password in it become those of basic authentication.
    pub(super) fn of_url(url: &str, schemes: &[(&str, &str)]) -> Option<Self> {
        let (given, rest) = url.split_once("://")?;
        let (_, scheme) = schemes.iter().find(|(known, _)| *known == given)?;
        let mut base = Url::parse(&format!("{scheme}://{rest}")).ok()?;
        base.host_str().filter(|host| !host.is_empty() && !rest.starts_with('/'))?;
        let credentials = (base.password().map(decoded), decoded(base.username()));
        // OK because a URL of HTTP can do without a user.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        let endpoint = Self::new(base);
        Some(match credentials {
            (Some(password), user) => endpoint.with_basic_auth(&user, &password),
            (None, _) => endpoint,
        })
    }

    /// This endpoint with the name and password of HTTP's basic authentication.
    #[must_use]
    pub fn with_basic_auth(self, user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        self.with_header("Authorization", format!("Basic {pair}"))
    }

    /// This endpoint with a bearer token.
    #[must_use]
    pub fn with_bearer_token(self, token: &str) -> Self {
        self.with_header("Authorization", format!("Bearer {token}"))
    }

    /// This endpoint with an API key of Elasticsearch, in the form that it calls `encoded`.
    #[must_use]
    pub fn with_api_key(self, encoded: &str) -> Self {
        self.with_header("Authorization", format!("ApiKey {encoded}"))
    }

    /// This endpoint with a header on every request; one given twice keeps its last value.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    /// This endpoint with other certificate authorities, or with a client certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// This endpoint behind another proxy than the environment's.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// This endpoint with `path` behind its URL, unless that ends with it already; its query stays.
    pub(super) fn at(&self, path: &str) -> Self {
        let mut endpoint = self.clone();
        // OK because what is no URL is refused with all other problems when the destination is made.
        if let Ok(mut url) = Url::parse(&self.url) {
            let base = url.path().trim_end_matches('/');
            if !base.ends_with(path) {
                let whole = format!("{base}{path}");
                url.set_path(&whole);
                endpoint.url = url.into();
            }
        }
        endpoint
    }

    /// This endpoint with one more parameter in the query of its URL.
    #[cfg(feature = "elasticsearch")]
    pub(super) fn with_parameter(mut self, name: &str, value: &str) -> Self {
        if let Ok(mut url) = Url::parse(&self.url) {
            url.query_pairs_mut().append_pair(name, value);
            self.url = url.into();
        }
        self
    }

    fn http(&self) -> HttpConfig {
        // Secret all of them: a header that is sent to one destination only often is a credential of some sort.
        let secret = |config: HttpConfig, (name, value): &(String, String)| {
            config.with_secret_header(name.as_str(), value.as_str())
        };
        let config = self.headers.iter().fold(HttpConfig::new(self.url.as_str()), secret);
        config.with_tls(self.tls.clone()).with_proxy(self.proxy.clone())
    }
}

#[cfg(feature = "otlp")]
impl Endpoint {
    /// Calls of `method` by gRPC.
    pub(super) fn grpc(&self, method: &str) -> obs_delivery::GrpcConfig {
        let config = obs_delivery::GrpcConfig::new(self.url.as_str(), method);
        let config = self.headers.iter().fold(config, |config, (name, value)| {
            config.with_secret_header(name.as_str(), value.as_str())
        });
        config.with_tls(self.tls.clone()).with_proxy(self.proxy.clone())
    }
}

impl From<&str> for Endpoint {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Endpoint {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The config behind it knows what may be shown of a URL.
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| (name, REDACTED)).collect();
        f.debug_struct("Endpoint").field("http", &self.http()).field("headers", &headers).finish()
    }
}

/// A part of a URL without its percent signs.
fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    let value = url::form_urlencoded::parse(pair.as_bytes()).next();
    value.map_or_else(String::new, |(_, value)| value.into_owned())
}

/// What is wrong with endpoints.
pub(super) fn problems(endpoints: &[Endpoint]) -> Vec<String> {
    let of = |endpoint: &Endpoint| HttpTransport::new(endpoint.http()).err();
    endpoints.iter().filter_map(of).map(|error| error.to_string()).collect()
}

/// How a protocol puts lines into requests, and what it answers.
pub(super) struct Protocol<R, E, C> {
    pub(super) render: R,
    pub(super) encoder: E,
    pub(super) classifier: C,
    pub(super) compression: Compression,
}

impl<R: Render + 'static, E: Encoder, C: Classifier + Clone> Protocol<R, E, C> {
    /// Starts a sink that sends to the first of the endpoints that answers.
    pub(super) fn start(
        self,
        mut start: SinkStart,
        endpoints: &[Endpoint],
    ) -> Result<StartedSink, String> {
        start.delivery.compression = self.compression;
        let clock = start.clock.clone();
        let transports = endpoints.iter().map(|endpoint| {
            let config = endpoint.http().with_classifier(self.classifier.clone());
            HttpTransport::new(config.with_clock(clock.clone())).map_err(|e| e.to_string())
        });
        let transports: Vec<_> = transports.collect::<Result<_, _>>()?;
        send(start, self.render, self.encoder, transports)
    }
}

/// Starts a sink that sends by the first of these transports that works.
pub(super) fn send(
    start: SinkStart,
    render: impl Render + 'static,
    encoder: impl Encoder,
    transports: impl IntoIterator<Item = impl Transport>,
) -> Result<StartedSink, String> {
    let mut builder = start.destination().encoder(encoder);
    for (number, transport) in transports.into_iter().enumerate() {
        builder = builder.endpoint(name_of(number), transport);
    }
    let delivery = builder.start().map_err(|error| error.to_string())?;
    let sender = Sender { render, delivery: delivery.clone() };
    Ok(StartedSink::delivered(sender, delivery))
}

/// The value of the `endpoint` label.
fn name_of(number: usize) -> String {
    match number {
        0 => "primary".to_owned(),
        1 => "fallback".to_owned(),
        more => format!("fallback-{more}"),
    }
}

/// Makes of a line what the encoder of its destination puts together with others.
pub(super) trait Render: Send {
    fn render(&mut self, line: &Line<'_>) -> Vec<u8>;
}

/// Offers each line to a destination.
struct Sender<R> {
    render: R,
    delivery: Delivery,
}

impl<R: Render> LineSink for Sender<R> {
    fn write(&mut self, line: &Line<'_>) {
        let message =
            Message::new(self.render.render(line)).with_priority(priority_of(line.level()));
        // OK because the destination counts what it drops.
        let _ = self.delivery.offer(message);
    }
}

/// The counts of lines that a destination did not store, by reason.
#[derive(Clone)]
pub(super) struct Refused(Vec<(&'static str, Counter)>);

impl Refused {
    /// Bound to the recorder that is installed now; every reason is there from the start.
    pub(super) fn bind(destination: &str, reasons: &[&'static str]) -> Self {
        describe_counter!(
            REFUSED,
            Unit::Count,
            "Log lines that a destination did not store and never will, by reason."
        );
        let bound = |reason: &&'static str| {
            let destination = Label::new("destination", destination.to_owned());
            let labels = vec![destination, Label::new("reason", *reason)];
            (*reason, metrics::counter!(REFUSED, labels))
        };
        Self(reasons.iter().map(bound).collect())
    }

    /// Counts lines; a reason that was not bound counts nowhere.
    pub(super) fn count(&self, reason: &'static str, lines: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == reason) {
            counter.increment(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_added_once_and_a_query_stays() {
        for (url, expected) in [
            ("http://h:1", "http://h:1/a/b"),
            ("http://h:1/", "http://h:1/a/b"),
            ("http://h:1/prefix/?x=1", "http://h:1/prefix/a/b?x=1"),
            ("http://h:1/prefix/a/b", "http://h:1/prefix/a/b"),
            ("no url", "no url"),
        ] {
            assert_eq!(Endpoint::new(url).at("/a/b").url, expected, "{url}");
        }
    }

    #[test]
    fn what_an_endpoint_has_of_secrets_is_not_shown() {
        let endpoint = Endpoint::new("https://user:pass1@h/path-s3cret")
            .with_bearer_token("t0ken")
            .with_header("x-key", "k3y");
        let shown = format!("{endpoint:?}");
        for secret in ["pass1", "s3cret", "t0ken", "k3y"] {
            assert!(!shown.contains(secret), "{secret} is in {shown}");
        }
    }

    #[test]
    fn credentials_in_a_url_become_a_header() {
        let schemes = [("x", "http"), ("x+https", "https")];
        let endpoint = Endpoint::of_url("x+https://u:p%40s+x@h:1/prefix", &schemes).unwrap();
        assert_eq!(endpoint.url, "https://h:1/prefix");
        assert_eq!(endpoint.headers[0].1, format!("Basic {}", STANDARD.encode("u:p@s+x")));
        assert!(Endpoint::of_url("x://h", &schemes).unwrap().headers.is_empty());
        for bad in ["y://h", "x:h", "x://", "x:///h", "x://h:port"] {
            assert!(Endpoint::of_url(bad, &schemes).is_none(), "{bad}");
        }
    }

    #[test]
    fn each_bad_endpoint_is_a_problem() {
        let endpoints = ["http://h:1".into(), "ftp://h".into(), Endpoint::new("no url")];
        assert_eq!(problems(&endpoints).len(), 2);
    }
}
