//! `write`: takes samples in by Prometheus' remote write, protocol 1.0.

mod decode;
mod histogram;
mod room;

#[cfg(test)]
pub(super) mod messages;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use obs_model::{Exemplar, Labels, Sample, Timestamp};
use obs_query::promql::HistogramSample;
use obs_query::{BatchReport, SeriesStore};

use self::decode::{SentExemplar, TimeSeries, WriteRequest};
use self::room::Place;
use super::{form, store};
use crate::router::App;

pub(crate) use self::room::Writes;

/// How far ahead of the service's clock a sample may be: the clocks of senders need not agree with it, and a sample of
/// next year would end the retention of all others. As in Prometheus.
const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);

/// Takes in one request: all of it, or all but what is wrong with it.
pub(super) async fn receive(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(limits) = app.prometheus.remote_write.clone() else {
        let text =
            "remote write receiver needs to be enabled: it is off unless the service asks for it";
        return refused(StatusCode::NOT_FOUND, text);
    };
    let store = match store(&app) {
        Ok(store) => store,
        Err(refusal) => return refused(StatusCode::NOT_FOUND, &refusal.message),
    };
    if let Err(problem) = check_headers(request.headers()) {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &problem);
    }
    let body = match form::body_of(request, limits.max_body_bytes, app.request_timeout()).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(mut place) = app.writes.take().await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the service is about to end");
    };
    let latest = app.state.clock().now().plus(MAX_AHEAD);
    let work = move || {
        let inlet = Inlet {
            store: &store,
            latest,
            #[cfg(feature = "persist")]
            persistence: app.state.persistence().map(|persistence| &**persistence),
        };
        take_in(&inlet, body, &mut place, limits.max_decompressed_bytes)
    };
    let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            String::from("the request failed inside the server"),
        ))
    });
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err((status, text)) => refused(status, &text),
    }
}

/// A refusal in plain text, as senders write it to their logs.
fn refused(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoding = text(header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{encoding:?} is not an encoding of remote write 1.0: expected snappy"
        ));
    }
    let content = text(header::CONTENT_TYPE);
    let mut parts = content.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(format!("{kind:?} is not remote write: expected application/x-protobuf"));
    }
    match parts.find_map(|part| part.strip_prefix("proto=")) {
        None | Some("prometheus.WriteRequest") => Ok(()),
        Some(other) => Err(format!(
            "the message {other:?} is not accepted: expected prometheus.WriteRequest, of remote write 1.0"
        )),
    }
}

type Problem = (StatusCode, String);

fn take_in(
    inlet: &Inlet<'_>,
    body: Vec<u8>,
    place: &mut Place,
    most: usize,
) -> Result<(), Problem> {
    let bad = |text: String| (StatusCode::BAD_REQUEST, text);
    let length = snap::raw::decompress_len(&body)
        .map_err(|error| bad(format!("the body is not in the snappy block format: {error}")))?;
    if length > most {
        let text = format!("the body has {length} bytes uncompressed: at most {most} are accepted");
        return Err((StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let message = place.bytes(length);
    snap::raw::Decoder::new()
        .decompress(&body, message)
        .map_err(|error| bad(format!("the body is not in the snappy block format: {error}")))?;
    drop(body);
    let malformed = |problem| bad(format!("the body is not a write request: {problem}"));
    let mut request = WriteRequest::new(message).map_err(malformed)?;
    let (mut series, mut outcome) = (TimeSeries::default(), Outcome::default());
    while request.next(&mut series).map_err(malformed)? {
        append(inlet, &series, &mut outcome);
    }
    metrics::counter!("obskit_remote_write_samples_total").increment(outcome.stored);
    // A sender that is told so keeps its samples and sends them again; those that are here already are no harm.
    inlet.keep(&outcome.accepted).map_err(|text| (StatusCode::INTERNAL_SERVER_ERROR, text))?;
    match outcome.text() {
        None => Ok(()),
        Some(text) => Err(bad(text)),
    }
}

/// Stores what is in a series, but for what is too far ahead.
fn append(inlet: &Inlet<'_>, series: &TimeSeries<'_>, tally: &mut Outcome) {
    let TimeSeries { samples, histograms, exemplars, .. } = series;
    let labels = match label_set(&series.labels) {
        Ok(labels) => labels,
        Err(problem) => {
            return tally.note("invalid_labels", samples.len() + histograms.len(), || problem);
        }
    };
    let mut accepted = inlet.keeps().then(Accepted::default);
    let mut rest = &samples[..];
    // A series is not made for samples that it would not take, so that the first ones go by their labels.
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        let is_stored = inlet.admit(&labels, first.timestamp, tally)
            && tally.take(inlet.store.append(&labels, *first));
        if !is_stored {
            continue;
        }
        if let Some(accepted) = &mut accepted {
            accepted.samples.push(*first);
        }
        if !rest.is_empty() {
            append_more(inlet, &labels, rest, tally, accepted.as_mut());
            break;
        }
    }
    for sample in histograms {
        let is_stored = inlet.admit(&labels, sample.timestamp, tally)
            && tally.take(inlet.store.append_histogram(&labels, sample.clone()));
        if let Some(accepted) = accepted.as_mut().filter(|_| is_stored) {
            accepted.histograms.push(sample.clone());
        }
    }
    for exemplar in exemplars {
        inlet.append_exemplar(&labels, exemplar);
    }
    if let Some(accepted) = accepted.filter(Accepted::has_some) {
        tally.accepted.push((labels, accepted));
    }
}

/// Stores samples of a series that there is.
fn append_more(
    inlet: &Inlet<'_>,
    labels: &Labels,
    samples: &[Sample],
    tally: &mut Outcome,
    accepted: Option<&mut Accepted>,
) {
    let admitted: Vec<Sample> = samples
        .iter()
        .filter(|sample| inlet.admit(labels, sample.timestamp, tally))
        .copied()
        .collect();
    match inlet.store.resolve(labels) {
        Ok(id) => {
            let report = inlet.store.append_samples(id, &admitted);
            if let Some(accepted) = accepted {
                let mut refused = report.refused.iter().map(|(index, _)| *index).peekable();
                let stored = admitted
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| refused.next_if_eq(index).is_none());
                accepted.samples.extend(stored.map(|(_, sample)| *sample));
            }
            tally.take_batch(report);
        }
        Err(error) => tally.note(reason(&error), admitted.len(), || error.to_string()),
    }
}

/// Where samples go, and up to which time.
struct Inlet<'a> {
    store: &'a SeriesStore,
    latest: Timestamp,
    #[cfg(feature = "persist")]
    persistence: Option<&'a obs_query::persist::Persistence>,
}

/// What a series took in.
#[derive(Debug, Default)]
struct Accepted {
    samples: Vec<Sample>,
    histograms: Vec<HistogramSample>,
}

impl Accepted {
    fn has_some(&self) -> bool {
        !self.samples.is_empty() || !self.histograms.is_empty()
    }
}

#[cfg(feature = "persist")]
impl Inlet<'_> {
    /// Whether what is taken in has to be on the disk before it is acknowledged.
    fn keeps(&self) -> bool {
        self.persistence.is_some()
    }

    /// Waits until these samples are on the disk.
    fn keep(&self, accepted: &[(Labels, Accepted)]) -> Result<(), String> {
        let Some(persistence) = self.persistence.filter(|_| !accepted.is_empty()) else {
            return Ok(());
        };
        let written: Vec<_> = accepted
            .iter()
            .map(|(labels, accepted)| obs_query::persist::Written {
                labels,
                samples: &accepted.samples,
                histograms: &accepted.histograms,
            })
            .collect();
        persistence.log(&written).map_err(|error| error.to_string())
    }
}

#[cfg(not(feature = "persist"))]
impl Inlet<'_> {
    fn keeps(&self) -> bool {
        false
    }

    fn keep(&self, _: &[(Labels, Accepted)]) -> Result<(), String> {
        Ok(())
    }
}

impl Inlet<'_> {
    /// Stores an exemplar. One that is refused is counted, but no error: as with Prometheus, nobody sends samples again
    /// for its sake.
    fn append_exemplar(&self, series: &Labels, sent: &SentExemplar<'_>) {
        let refused = |reason: &'static str| {
            metrics::counter!("obskit_remote_write_refused_total", "reason" => reason).increment(1);
        };
        if sent.timestamp > self.latest {
            return refused("exemplar_too_far_ahead");
        }
        let Ok(labels) = label_set(&sent.labels) else {
            return refused("exemplar_invalid_labels");
        };
        let exemplar = Exemplar { labels, value: sent.value, timestamp: sent.timestamp };
        // OK because the store counts what it refuses.
        let _ = self.store.append_exemplar(series, exemplar);
    }

    /// Whether a sample's time may be; one far ahead would make all others too old.
    fn admit(&self, labels: &Labels, at: Timestamp, tally: &mut Outcome) -> bool {
        let may_be = at <= self.latest;
        if !may_be {
            tally.note("too_far_ahead", 1, || {
                format!(
                    "sample of {labels} at {at} is too far in the future: expected a time up to {}",
                    self.latest
                )
            });
        }
        may_be
    }
}

fn label_set(pairs: &[(&str, &str)]) -> Result<Labels, String> {
    let labels = Labels::new(pairs.iter().copied()).map_err(|error| error.to_string())?;
    if labels.len() < pairs.len() {
        return Err(format!("series {labels} has a label twice"));
    }
    Ok(labels)
}

fn reason(error: &obs_query::Error) -> &'static str {
    if error.is_out_of_order() {
        "out_of_order"
    } else if error.is_duplicate() {
        "duplicate"
    } else if error.is_too_old() {
        "too_old"
    } else if error.is_series_limit() {
        "series_limit"
    } else {
        "invalid_labels"
    }
}

/// What was stored and what was not.
#[derive(Debug, Default)]
struct Outcome {
    stored: u64,
    /// How many samples for each reason.
    counts: Vec<(&'static str, usize)>,
    first: Option<String>,
    /// What was stored, series by series, where that has to be kept.
    accepted: Vec<(Labels, Accepted)>,
}

impl Outcome {
    /// Notes what became of a sample, and says whether it is stored.
    fn take(&mut self, result: Result<(), obs_query::Error>) -> bool {
        match result {
            Ok(()) => {
                self.stored += 1;
                true
            }
            Err(error) => {
                self.note(reason(&error), 1, || error.to_string());
                false
            }
        }
    }

    fn take_batch(&mut self, report: BatchReport) {
        self.stored += (report.appended + report.repeated) as u64;
        for (_, error) in report.refused {
            self.note(reason(&error), 1, || error.to_string());
        }
    }

    fn note(&mut self, reason: &'static str, samples: usize, text: impl FnOnce() -> String) {
        metrics::counter!("obskit_remote_write_refused_total", "reason" => reason)
            .increment(samples as u64);
        match self.counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += samples,
            None => self.counts.push((reason, samples)),
        }
        self.first.get_or_insert_with(text);
    }

    /// What to tell the sender; `None` when everything was stored.
    fn text(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let count: usize = self.counts.iter().map(|(_, count)| count).sum();
        let each: Vec<String> =
            self.counts.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        Some(format!(
            "{count} samples were refused and {} stored ({}); the first: {first}",
            self.stored,
            each.join(", ")
        ))
    }
}
