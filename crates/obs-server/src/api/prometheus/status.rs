//! `status/…`: what runs here, how it was started, and what the store has.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use obs_model::Timestamp;
use obs_query::{MatchOp, Matcher, Queryable as _, Selector, SeriesStore, TimeRange};
use serde::Serialize;
use serde_json::json;

use super::answer::{self, Refusal};
use super::form::Form;
use super::store;
use crate::router::App;

/// The version of Prometheus whose API this is: clients choose by it what they ask for.
const COMPATIBLE_VERSION: &str = "3.5.0";

/// `status/buildinfo`: which Prometheus this is compatible with, and as what it was built.
pub(super) async fn build() -> Result<Response, Refusal> {
    answer::serialized(&json!({
        "version": COMPATIBLE_VERSION,
        "revision": concat!("obskit-", env!("CARGO_PKG_VERSION")),
        "branch": "obskit",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "features": {},
    }))
}

/// `status/runtimeinfo`: since when it runs and how long samples are kept.
pub(super) async fn runtime(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let store = store(&app)?;
    let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    answer::serialized(&json!({
        "startTime": app.state.started_at().to_string(),
        "CWD": folder,
        "hostname": app.state.resource().attributes().find(|(name, _)| *name == "host.name").map_or("", |(_, value)| value),
        "serverTime": app.state.clock().now().to_string(),
        "reloadConfigSuccess": true,
        "lastConfigTime": app.state.started_at().to_string(),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": parallelism,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": format!("{}s", store.config().retention.as_secs()),
    }))
}

/// `status/flags`: what the engine and the store were told, by the names of Prometheus' flags.
pub(super) async fn flags(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let store = store(&app)?;
    let engine = &app.prometheus.engine;
    let seconds = |duration: std::time::Duration| format!("{}s", duration.as_secs());
    answer::serialized(&BTreeMap::from([
        ("query.lookback-delta", seconds(engine.look_back)),
        ("query.max-concurrency", app.prometheus.max_concurrent_queries.to_string()),
        ("query.max-samples", engine.max_samples.to_string()),
        ("query.timeout", seconds(engine.timeout)),
        ("storage.tsdb.retention.time", seconds(store.config().retention)),
        ("web.enable-remote-write-receiver", app.prometheus.remote_write.is_some().to_string()),
    ]))
}

/// `status/config`: an empty configuration, because nothing is scraped from elsewhere.
pub(super) async fn config(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let interval = store(&app)?.config().sample_interval.as_secs();
    answer::serialized(&json!({"yaml": format!("global:\n  scrape_interval: {interval}s\n")}))
}

#[derive(Serialize)]
struct Stat {
    name: String,
    value: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: usize,
    num_label_pairs: usize,
    chunk_count: usize,
    /// The oldest sample's; the largest number while there is none.
    min_time: i64,
    /// The newest sample's; the smallest number while there is none.
    max_time: i64,
    // What Prometheus does not have.
    num_samples: usize,
    num_exemplars: usize,
    chunk_bytes: usize,
    memory_in_bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreStatus {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<Stat>,
    label_value_count_by_label_name: Vec<Stat>,
    memory_in_bytes_by_label_name: Vec<Stat>,
    series_count_by_label_value_pair: Vec<Stat>,
}

/// `status/tsdb`: which metrics and labels have the most series and values; `limit` of each, 10 unless said.
pub(super) async fn store_statistics(
    State(app): State<Arc<App>>,
    form: Form,
) -> Result<Response, Refusal> {
    let store = store(&app)?;
    let limit = match form.text("limit").map(str::parse::<usize>) {
        None => 10,
        Some(Ok(limit)) if (1..=10_000).contains(&limit) => limit,
        Some(_) => return Err(Refusal::bad_data("limit must be a positive number, at most 10000")),
    };
    let work = move |_| answer::serialized(&statistics(&store, limit)?);
    app.queries.run(app.prometheus.engine.timeout, work).await
}

fn statistics(store: &SeriesStore, limit: usize) -> Result<StoreStatus, Refusal> {
    // A series always has a name.
    let all = Selector::new([Matcher::new("__name__", MatchOp::Regex, ".+")?])?;
    let series = store.series(&all, TimeRange::all());
    let mut by_pair: HashMap<(&str, &str), usize> = HashMap::new();
    for (name, value) in series.iter().flat_map(obs_model::Labels::iter) {
        *by_pair.entry((name, value)).or_default() += 1;
    }
    let (mut values, mut bytes) = (HashMap::<&str, usize>::new(), HashMap::<&str, usize>::new());
    for (name, value) in by_pair.keys() {
        *values.entry(name).or_default() += 1;
        *bytes.entry(name).or_default() += value.len();
    }
    let metrics = by_pair.iter().filter(|((name, _), _)| *name == "__name__");
    let (stats, chunks) = (store.stats(), store.chunk_stats());
    Ok(StoreStatus {
        head_stats: HeadStats {
            num_series: stats.series,
            num_label_pairs: by_pair.len(),
            chunk_count: chunks.chunks,
            min_time: chunks.oldest.map_or(i64::MAX, Timestamp::as_millis),
            max_time: chunks.newest.map_or(i64::MIN, Timestamp::as_millis),
            num_samples: stats.samples,
            num_exemplars: stats.exemplars,
            chunk_bytes: chunks.bytes,
            memory_in_bytes: stats.bytes,
        },
        series_count_by_metric_name: top(
            limit,
            metrics.map(|((_, value), count)| ((*value).to_owned(), *count)),
        ),
        label_value_count_by_label_name: top(limit, owned(&values)),
        memory_in_bytes_by_label_name: top(limit, owned(&bytes)),
        series_count_by_label_value_pair: top(
            limit,
            by_pair.iter().map(|((name, value), count)| (format!("{name}={value}"), *count)),
        ),
    })
}

fn owned(counts: &HashMap<&str, usize>) -> impl Iterator<Item = (String, usize)> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count))
}

/// The largest, the largest first; those that are as large in order of name.
fn top(limit: usize, counts: impl Iterator<Item = (String, usize)>) -> Vec<Stat> {
    let mut stats: Vec<Stat> = counts.map(|(name, value)| Stat { name, value }).collect();
    stats.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    stats.truncate(limit);
    stats
}
