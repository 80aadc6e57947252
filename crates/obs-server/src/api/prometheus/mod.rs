//! The Prometheus HTTP API, version 1: what Grafana's data source, `promtool query` and remote write speak.
//!
//! Answers have Prometheus' shapes, `{"status":"success","data":…}` and `{"status":"error","errorType":…,"error":…}`.
//! Queries are evaluated on threads of their own, so many at once, and end when their client hangs up.

mod answer;
mod form;
mod json;
mod metadata;
mod parse;
mod pool;
mod query;
mod result;
#[cfg(feature = "alerts")]
mod rules;
mod series;
mod status;
mod time;
mod write;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::routing::{get, post};
use obs_query::SeriesStore;

use self::answer::Refusal;
use crate::console::login::peer_of;
use crate::router::App;

pub(crate) use self::pool::Pool;
pub(crate) use self::write::Writes;

/// The longest form that is read: more than the longest query, so that a query that is too long is told so.
const MAX_FORM_BYTES: usize = 4 * 1_024 * 1_024;

/// Every path of the API.
pub(crate) fn routes() -> Router<Arc<App>> {
    let forms = Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/series", get(series::series).post(series::series))
        .route("/api/v1/labels", get(series::names).post(series::names))
        .route("/api/v1/label/{name}/values", get(series::values))
        .route("/api/v1/parse_query", get(parse::tree).post(parse::tree))
        .route("/api/v1/format_query", get(parse::pretty).post(parse::pretty))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/targets", get(metadata::targets))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/tsdb", get(status::store_statistics))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES));
    #[cfg(feature = "alerts")]
    let forms =
        forms.route("/api/v1/rules", get(rules::rules)).route("/api/v1/alerts", get(rules::alerts));
    // What it reads is bounded by its own settings.
    forms.route("/api/v1/write", post(write::receive))
}

/// The store, or why there is none.
fn store(app: &App) -> Result<Arc<SeriesStore>, Refusal> {
    app.state.store().cloned().ok_or_else(|| Refusal::not_enabled("the series store"))
}

/// Who asks, where that is known.
struct Peer(Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(peer_of(&parts.extensions)))
    }
}
