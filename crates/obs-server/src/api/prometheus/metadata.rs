//! `metadata` and `targets`: what the registry says about its metrics, and where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use obs_model::Gather as _;
use serde::Serialize;

use super::answer::{self, Refusal};
use super::form::Form;
use crate::router::App;

/// Type and help of a metric; units are part of the names.
#[derive(Serialize)]
struct Metadata {
    r#type: &'static str,
    help: String,
    unit: &'static str,
}

/// `metadata`: type and help text of the registry's metrics, by name.
pub(super) async fn metadata(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    let whole = |name: &str| -> Result<Option<usize>, Refusal> {
        // A negative number means no limit, as in Prometheus.
        let Some(text) = form.text(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(number) => Ok(usize::try_from(number).ok()),
            Err(_) => Err(Refusal::bad_data(format!("{name} must be a number"))),
        }
    };
    // The registry knows one type and help of each metric, so that no limit per metric leaves anything out.
    let (limit, _) = (whole("limit")?, whole("limit_per_metric")?);
    let metric = form.text("metric").map(str::to_owned);
    let Some(registry) = app.state.registry().cloned() else {
        return answer::serialized(&BTreeMap::<String, [Metadata; 1]>::new());
    };
    let work = move |_| {
        let mut found: BTreeMap<String, [Metadata; 1]> = BTreeMap::new();
        registry.gather(&mut |family| {
            let is_meant = metric.as_deref().is_none_or(|metric| metric == &*family.name);
            if !is_meant || limit.is_some_and(|limit| found.len() >= limit) {
                return;
            }
            let (r#type, help) = (family.kind.as_str(), family.help.to_string());
            found.insert(family.name.to_string(), [Metadata { r#type, help, unit: "" }]);
        });
        answer::serialized(&found)
    };
    app.queries.run(app.prometheus.engine.timeout, work).await
}

/// What is scraped: this process, by itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    discovered_labels: BTreeMap<&'static str, String>,
    labels: BTreeMap<&'static str, String>,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: &'static str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

/// `targets`: the process itself, as the one target.
pub(super) async fn targets(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refusal> {
    let state = form.text("state").map(str::to_ascii_lowercase);
    let (shows_active, shows_dropped) = match state.as_deref() {
        None | Some("any") => (true, true),
        Some(state) => (state == "active", state == "dropped"),
    };
    let pool = form.text("scrapePool");
    let active: Vec<Target> = own_target(&app, &headers)
        .into_iter()
        .filter(|target| shows_active && pool.is_none_or(|pool| pool == target.scrape_pool))
        .collect();
    let mut data = serde_json::json!({"activeTargets": active, "droppedTargets": []});
    if shows_dropped {
        data["droppedTargetCounts"] = serde_json::json!({});
    }
    answer::serialized(&data)
}

/// The process, if it has a registry whose values are stored.
fn own_target(app: &App, headers: &HeaderMap) -> Option<Target> {
    let store = app.state.store()?;
    app.state.registry()?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let job = app.state.resource().service_name().to_owned();
    let url = format!("http://{host}/metrics");
    let interval = format!("{:?}", store.config().sample_interval);
    let newest = store.stats().newest;
    let labels = BTreeMap::from([("instance", host.to_owned()), ("job", job.clone())]);
    let discovered = BTreeMap::from([
        ("__address__", host.to_owned()),
        ("__metrics_path__", String::from("/metrics")),
        ("__scheme__", String::from("http")),
        ("__scrape_interval__", interval.clone()),
        ("__scrape_timeout__", interval.clone()),
        ("job", job.clone()),
    ]);
    Some(Target {
        discovered_labels: discovered,
        labels,
        scrape_pool: job,
        scrape_url: url.clone(),
        global_url: url,
        last_error: "",
        last_scrape: newest.unwrap_or_default().to_string(),
        last_scrape_duration: 0.0,
        health: if newest.is_some() { "up" } else { "unknown" },
        scrape_interval: interval.clone(),
        scrape_timeout: interval,
    })
}
