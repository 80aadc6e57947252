//! A small service with every part of obskit in it, to look at the console: `cargo run --example console`.
//!
//! The service searches and serves the source files of this crate. A driver in the same process asks it for
//! things that exist and for some that do not, so everything the console shows has really happened.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{self, MatchedPath, State};
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use obs_alerts::{AlertConfig, AlertEngine, LogChannel, Operator, Signal, ThresholdRule};
use obs_errors::{Details, ErrorConfig, ErrorTracker};
use obs_health::{Check, CheckOutcome, Criticality, HealthConfig, HealthRegistry};
use obs_metrics::Registry;
use obs_metrics::catalog::{WorkflowMetrics, WorkflowOwner, describe_api};
use obs_metrics::collect::Collectors;
use obs_model::{Clock, Context, CorrelationId, Resource, Severity, SystemClock, WithContext as _};
use obs_profiling::CpuProfiler;
use obs_query::{Selector, SeriesStore, StoreConfig, sample_on_grid};
use obs_server::{AdminState, ServerConfig};
use obs_tracing::{InFlightConfig, LogConfig, LogFormat, LogOutput};
use tower::ServiceExt as _;
use tracing::{Instrument as _, info_span};

/// The service's own state.
#[derive(Clone)]
struct Library {
    folder: PathBuf,
    errors: ErrorTracker,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let registry = Registry::default();
    registry.install()?;
    let mut log = LogConfig::new(Resource::new("library"));
    (log.format, log.output) = (LogFormat::Text, LogOutput::Stderr);
    log.in_flight = Some(InFlightConfig::default());
    let logs = obs_tracing::install(log)?;
    describe_api(&registry);
    obs_server::describe();
    let store = Arc::new(SeriesStore::new(StoreConfig::default()));
    let errors = ErrorTracker::new(
        ErrorConfig {
            environment: Some("staging".into()),
            version: Some("2.3.0".into()),
            ..ErrorConfig::default()
        },
        Arc::clone(&clock),
    );
    let alerts = Arc::new(alerts(&store, &clock)?);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");

    tokio::spawn(sample_on_grid(
        Arc::clone(&store),
        Arc::new(registry.clone()),
        Arc::clone(&clock),
    ));
    let _collecting = Collectors::standard(&registry).start()?;
    tokio::spawn(Arc::clone(&alerts).run_on_interval());
    let library = Library { folder: folder.clone(), errors: errors.clone() };
    tokio::spawn(drive(service(library.clone())));
    tokio::spawn(take_long(library.clone()));
    tokio::spawn(index_again_and_again(library, WorkflowMetrics::new(&registry, "library")));

    let resource = Resource::new("library").with_version("2.3.0").with_environment("staging");
    let state = AdminState::new(resource, Arc::clone(&clock))
        .with_registry(registry)
        .with_store(store)
        .with_errors(errors)
        .with_alerts(alerts)
        .with_health(health(&folder, clock)?)
        .with_profiler(CpuProfiler::new())
        .with_tracing(logs);
    let mut config = ServerConfig {
        token: std::env::var("TOKEN").ok().map(Into::into),
        ..ServerConfig::default()
    };
    if let Ok(port) = std::env::var("METRICS_PORT") {
        config.listen.set_port(port.parse()?);
    }
    let bound = obs_server::bind(config).await?;
    #[expect(clippy::print_stderr, reason = "an example talks to the person who runs it")]
    {
        eprintln!("the console is at http://{}/", bound.local_addr());
    }
    bound.serve(state, std::future::pending()).await;
    Ok(())
}

fn alerts(store: &Arc<SeriesStore>, clock: &Arc<dyn Clock>) -> Result<AlertEngine, Box<dyn Error>> {
    let config = AlertConfig { check_interval: Duration::from_secs(5), ..AlertConfig::default() };
    let engine = AlertEngine::new(config, Arc::clone(store), Arc::clone(clock))?;
    engine.add_channel("log", Arc::new(LogChannel))?;
    let minute = Duration::from_secs(60);
    let requests = || Selector::metric("api_requests_total");
    let failed = Signal::ratio(Selector::metric("api_errors_total"), requests(), minute);
    let duration = Signal::quantile(0.95, Selector::metric("api_request_duration_ms"), minute);
    engine.add_rule(ThresholdRule {
        severity: Severity::High,
        for_: Duration::from_secs(20),
        description: String::from("more than 4 % of requests fail"),
        ..ThresholdRule::new("error-rate", "Error rate is high", failed, Operator::Greater, 0.04)
    })?;
    engine.add_rule(ThresholdRule {
        severity: Severity::Medium,
        description: String::from("the slowest 5 % of requests take longer than 25 ms"),
        ..ThresholdRule::new(
            "slow",
            "Responses are slow",
            duration.summed_by(["endpoint"]),
            Operator::Greater,
            25.0,
        )
    })?;
    let memory = Signal::Last(Selector::metric("memory_usage_bytes").equal("type", "rss"));
    engine.add_rule(ThresholdRule {
        severity: Severity::Critical,
        ..ThresholdRule::new("memory", "Memory is nearly full", memory, Operator::Greater, 1e9)
    })?;
    Ok(engine)
}

fn health(folder: &Path, clock: Arc<dyn Clock>) -> Result<HealthRegistry, obs_health::Error> {
    let config = HealthConfig { version: Some("2.3.0".into()), ..HealthConfig::default() };
    let health = HealthRegistry::new(config, clock);
    let shelf = folder.to_owned();
    health.add(Check::blocking("files", move || match std::fs::read_dir(&shelf) {
        Ok(entries) => CheckOutcome::healthy().with_detail("entries", entries.count() as u64),
        Err(error) => CheckOutcome::unhealthy(error.to_string()),
    }))?;
    let index = folder.to_owned();
    health.add(Check::blocking("search", move || match count(&index, "fn ") {
        Ok(0) => CheckOutcome::degraded("the index is empty"),
        Ok(found) => CheckOutcome::healthy().with_detail("functions", found as u64),
        Err(error) => CheckOutcome::unhealthy(error.to_string()),
    }))?;
    // Nothing listens on the discard port, so this check tells what a missing dependency looks like.
    let mail = Check::new("mail", || async {
        tokio::net::TcpStream::connect("127.0.0.1:9").await.map(drop)
    });
    health.add(mail.with_criticality(Criticality::NonCritical))?;
    health.set_started();
    Ok(health)
}

fn service(library: Library) -> Router {
    Router::new()
        .route("/files/{*path}", get(file))
        .route("/search/{word}", get(search))
        .route("/primes/{below}", get(primes))
        .route("/sum", post(sum))
        .layer(from_fn(measure))
        .with_state(library)
}

/// Counts and times requests as obskit's HTTP layer does.
async fn measure(request: extract::Request, next: Next) -> Response {
    let endpoint = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| String::from("unmatched"), |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let labels = [("endpoint", endpoint), ("method", method)];
    metrics::histogram!("api_request_duration_ms", &labels)
        .record(started.elapsed().as_secs_f64() * 1_000.0);
    if status.is_server_error() {
        metrics::counter!("api_errors_total", &labels).increment(1);
    }
    let [endpoint, method] = labels;
    let labels = [endpoint, method, ("status", status.as_str().to_owned())];
    metrics::counter!("api_requests_total", &labels).increment(1);
    response
}

async fn file(
    State(library): State<Library>,
    extract::Path(path): extract::Path<String>,
) -> Response {
    match tokio::fs::read_to_string(library.folder.join(&path)).await {
        Ok(text) => text.into_response(),
        Err(error) => {
            let details = Details { input: Some(&path), ..Details::default() };
            library.errors.capture_with(&error, details);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn search(
    State(library): State<Library>,
    extract::Path(word): extract::Path<String>,
) -> Response {
    match tokio::task::spawn_blocking(move || count(&library.folder, &word)).await {
        Ok(Ok(found)) if found > 0 => found.to_string().into_response(),
        Ok(Ok(_)) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// How often a word stands in the files under a folder.
fn count(folder: &Path, word: &str) -> std::io::Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        found += if path.is_dir() {
            count(&path, word)?
        } else {
            std::fs::read_to_string(&path)?.matches(word).count()
        };
    }
    Ok(found)
}

async fn primes(extract::Path(below): extract::Path<u32>) -> String {
    let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..below.min(200_000)).filter(is_prime).count().to_string()
}

async fn sum(State(library): State<Library>, body: String) -> Response {
    let numbers: Result<Vec<i64>, _> =
        body.split(',').map(|number| number.trim().parse()).collect();
    match numbers {
        Ok(numbers) => numbers.iter().sum::<i64>().to_string().into_response(),
        Err(error) => {
            library
                .errors
                .capture_with(&error, Details { input: Some(&body), ..Details::default() });
            StatusCode::UNPROCESSABLE_ENTITY.into_response()
        }
    }
}

/// Asks the service for one thing after the other, more or less often as the minutes pass.
async fn drive(service: Router) {
    let started = Instant::now();
    loop {
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        let pace = 18.0 + 10.0 * (minutes * 0.9).sin() + fastrand::f64() * 12.0;
        // For a while in every six minutes somebody asks for files that are not there.
        let missing = if (2.0..3.2).contains(&(minutes % 6.0)) { 14 } else { 1 };
        let request = match fastrand::u32(0..100) {
            n if n < missing => ask("GET", format!("/files/gone-{}.rs", fastrand::u8(..)), ""),
            n if n < 45 => ask("GET", String::from("/files/router.rs"), ""),
            n if n < 70 => ask("GET", String::from("/search/listener"), ""),
            n if n < 72 => ask("GET", String::from("/search/unicorn"), ""),
            n if n < 88 => ask("GET", format!("/primes/{}", fastrand::u32(1_000..60_000)), ""),
            n if n < 90 => ask("POST", String::from("/sum"), "1,2,three"),
            _ => ask("POST", String::from("/sum"), "1, 2, 3"),
        };
        let context = Context::new()
            .with_correlation(CorrelationId::generate())
            .with_user(format!("u-{}", fastrand::u8(1..9)));
        let span = info_span!("http.request", path = %request.uri().path());
        tokio::spawn(service.clone().oneshot(request).in_context(context).instrument(span));
        tokio::time::sleep(Duration::from_secs_f64(1.0 / pace)).await;
    }
}

fn ask(method: &str, path: String, body: &'static str) -> Request<Body> {
    // OK because the driver's methods and paths are all valid.
    Request::builder().method(method).uri(path).body(Body::from(body)).unwrap_or_default()
}

/// Operations to look at while they are in flight: a digest that waits for its readers, of whom one counts primes where it
/// keeps others from running, and one waits for somebody who never comes.
async fn take_long(library: Library) {
    loop {
        let digest =
            info_span!("digest", correlation_id = %CorrelationId::generate(), files = "*.rs");
        let folder = library.folder.clone();
        let readers = async move {
            let own = info_span!("count_primes", below = 200_000, times = 300);
            let again_and_again = async {
                for _ in 0..300 {
                    primes(extract::Path(200_000)).await;
                }
            };
            let prime = tokio::spawn(again_and_again.instrument(own));
            let (_kept, never) = tokio::sync::oneshot::channel::<()>();
            let review = info_span!("review", reviewer = "<nobody>");
            let review = tokio::time::timeout(Duration::from_secs(90), never).instrument(review);
            let read = tokio::task::spawn_blocking(move || count(&folder, "span"));
            let read = async { (read.await, tokio::time::sleep(Duration::from_secs(20)).await) };
            let _ = tokio::join!(prime, review, read.instrument(info_span!("read", word = "span")));
        };
        readers.instrument(digest).await;
    }
}

/// A workflow that reads every file, every few seconds; one word that it counts is now and then not there.
async fn index_again_and_again(library: Library, workflows: WorkflowMetrics) {
    loop {
        let folder = if fastrand::u8(..) < 20 {
            library.folder.join("absent")
        } else {
            library.folder.clone()
        };
        let work = async move { tokio::task::spawn_blocking(move || count(&folder, "fn")).await? };
        if let Err(error) = workflows.track(WorkflowOwner::new("indexer", "acme"), work).await {
            library.errors.capture(&error);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(800..2_500))).await;
    }
}
