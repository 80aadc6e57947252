//! The parameters of a request, from its address and, for a POST, from its body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{Method, StatusCode, header};
use futures_util::StreamExt as _;
use obs_model::Timestamp;
use obs_query::{Matcher, Selector, TimeRange};

use super::answer::Refusal;
use super::time;
use crate::router::App;

/// The parameters: those of the body come before those of the address.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of a parameter; `None` when it is absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// Every value of a parameter that may stand several times.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let read = |text| {
            time::timestamp(text).map_err(|reason| {
                Refusal::parameter(name, format!("Invalid time value for '{name}': {reason}"))
            })
        };
        self.text(name).map(read).transpose()
    }

    /// A duration in milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let read = |text| time::duration(text).map_err(|reason| Refusal::parameter(name, reason));
        self.text(name).map(read).transpose()
    }

    /// How many results there may be; 0 for as many as there are.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.text("limit") else { return Ok(0) };
        match text.parse::<i64>() {
            Ok(limit) => usize::try_from(limit)
                .map_err(|_| Refusal::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(Refusal::parameter(
                "limit",
                format!("cannot parse {} as a whole number", time::quoted(text)),
            )),
        }
    }

    /// `start` and `end`, both included; everything where they are absent.
    pub(super) fn range(&self) -> Result<TimeRange, Refusal> {
        let all = TimeRange::all();
        let start = self
            .time("start")?
            .map_or(all.start, |start| Timestamp::from_millis(start.as_millis().saturating_sub(1)));
        Ok(TimeRange { start, end: self.time("end")?.unwrap_or(all.end) })
    }

    /// The selectors of `match[]`.
    pub(super) fn selectors(&self) -> Result<Vec<Selector>, Refusal> {
        let read = |text: &str| {
            let selector: Selector =
                text.parse().map_err(|error| Refusal::parameter("match[]", error))?;
            if selector.matchers().iter().all(|matcher: &Matcher| matcher.matches("")) {
                return Err(Refusal::bad_data(
                    "match[] must contain at least one non-empty matcher",
                ));
            }
            Ok(selector)
        };
        self.all("match[]").map(read).collect()
    }
}

impl FromRequest<Arc<App>> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let has_form = *request.method() == Method::POST && is_form(&request);
        let mut pairs = Vec::new();
        if has_form {
            let body = body(request, app).await?;
            pairs.extend(form_urlencoded::parse(&body).into_owned());
        }
        pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }
}

fn is_form(request: &Request) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The whole body, as long as the layer around the route accepts, within the time that a request has.
async fn body(request: Request, app: &Arc<App>) -> Result<Bytes, Refusal> {
    let reading = Bytes::from_request(request, app);
    match tokio::time::timeout(app.request_timeout(), reading).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(too_large())
        }
        Ok(Err(rejection)) => Err(unreadable(&rejection.body_text())),
        Err(_) => Err(late()),
    }
}

/// A body of at most so many bytes, read piece by piece into one list.
pub(super) async fn body_of(
    request: Request,
    most: usize,
    time: Duration,
) -> Result<Vec<u8>, Refusal> {
    let length = request.body().size_hint().lower();
    if length > most as u64 {
        return Err(too_large());
    }
    // OK because it is no more than `most`. What is not sent is not touched, so it is in no memory.
    let mut body = Vec::with_capacity(length as usize);
    let mut pieces = request.into_body().into_data_stream();
    let reading = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| unreadable(&error.to_string()))?;
            if body.len() + piece.len() > most {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(())
    };
    match tokio::time::timeout(time, reading).await {
        Ok(outcome) => outcome.map(|()| body),
        Err(_) => Err(late()),
    }
}

fn too_large() -> Refusal {
    Refusal::bad_data("the request body is too large").with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

fn unreadable(reason: &str) -> Refusal {
    Refusal::bad_data(format!("the request body could not be read: {reason}"))
}

fn late() -> Refusal {
    Refusal::bad_data("the request body did not arrive in time")
        .with_status(StatusCode::REQUEST_TIMEOUT)
}
