//! Where a sink sends over HTTP, and the destination made of it.

use metrics::{Counter, Label, Unit, describe_counter};
use obs_delivery::{
    Classifier, Compression, Delivery, Encoder, Endpoint, HttpTransport, Message, Transport,
};
use url::Url;

use super::{Line, LineSink, SinkStart, StartedSink, priority_of};

const REFUSED: &str = "obskit_log_refused_total";

/// The endpoint that a URL with a scheme of a sink stands for, such as `loki+https://user:pass@host`: of `schemes`, each
/// with that of HTTP, the one that fits. A name and a password in it become those of basic authentication.
pub(super) fn of_url(url: &str, schemes: &[(&str, &str)]) -> Option<Endpoint> {
    let (url, credentials) = parts(url, schemes)?;
    let endpoint = Endpoint::new(url);
    Some(match credentials {
        Some((user, password)) => endpoint.with_basic_auth(&user, &password),
        None => endpoint,
    })
}

/// The URL of HTTP that such a URL stands for, and the name and the password in it.
fn parts(url: &str, schemes: &[(&str, &str)]) -> Option<(String, Option<(String, String)>)> {
    let (given, rest) = url.split_once("://")?;
    let (_, scheme) = schemes.iter().find(|(known, _)| *known == given)?;
    let mut base = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    base.host_str().filter(|host| !host.is_empty() && !rest.starts_with('/'))?;
    let user = decoded(base.username());
    let credentials = base.password().map(decoded).map(|password| (user, password));
    // OK because a URL of HTTP can do without a user.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    Some((base.into(), credentials))
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
    fn credentials_are_taken_out_of_a_url() {
        let schemes = [("x", "http"), ("x+https", "https")];
        let (url, credentials) = parts("x+https://u:p%40s+x@h:1/prefix", &schemes).unwrap();
        assert_eq!(url, "https://h:1/prefix");
        assert_eq!(credentials.unwrap(), ("u".to_owned(), "p@s+x".to_owned()));
        assert_eq!(parts("x://h", &schemes).unwrap(), ("http://h/".to_owned(), None));
        for bad in ["y://h", "x:h", "x://", "x:///h", "x://h:port"] {
            assert!(of_url(bad, &schemes).is_none(), "{bad}");
        }
    }

    #[test]
    fn each_bad_endpoint_is_a_problem() {
        let endpoints = ["http://h:1".into(), "ftp://h".into(), Endpoint::new("no url")];
        assert_eq!(problems(&endpoints).len(), 2);
    }
}
