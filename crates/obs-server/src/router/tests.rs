//! Tests of every path: its happy and its sad cases, and what all answers share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use obs_metrics::Registry;
use obs_model::{Clock, Labels, ManualClock, Resource, Sample, Timestamp};
use obs_query::{SeriesStore, StoreConfig};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::{AdminState, ServerConfig};

/// 2026-01-05T10:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_767_607_200_000);
const TOKEN: &str = "s3cr3t-of-the-admin-listener";

/// A listener without a network, with whatever a test hands to it.
struct Admin {
    config: ServerConfig,
    state: AdminState,
    clock: Arc<ManualClock>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Admin {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let resource =
            Resource::new("<checkout>").with_version("1.4.2").with_environment("staging");
        let state = AdminState::new(resource, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { config: ServerConfig::default(), state, clock }
    }

    fn with(mut self, change: impl FnOnce(AdminState) -> AdminState) -> Self {
        self.state = change(self.state);
        self
    }

    fn with_token(mut self) -> Self {
        self.config.token = Some(TOKEN.into());
        self
    }

    fn router(&self) -> Router {
        super::router(&self.config, self.state.clone())
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.router(), method, path, headers, "").await
    }
}

async fn send(
    router: Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:9464");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code and the message of a refusal, which must have the one shape.
    fn refusal(&self) -> (StatusCode, String, String) {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
        let part = |name: &str| json["error"][name].as_str().unwrap().to_owned();
        (self.status, part("code"), part("message"))
    }
}

/// Samples of one series, five seconds apart, the last one now.
fn fill(store: &SeriesStore, labels: &[(&str, &str)], values: impl IntoIterator<Item = f64>) {
    let values: Vec<f64> = values.into_iter().collect();
    let labels = Labels::new(labels.iter().copied()).unwrap();
    let first = NOW.minus(Duration::from_secs(5) * (values.len() as u32 - 1));
    for (index, value) in values.into_iter().enumerate() {
        let timestamp = first.plus(Duration::from_secs(5) * index as u32);
        store.append(&labels, Sample { timestamp, value }).unwrap();
    }
}

fn store() -> Arc<SeriesStore> {
    Arc::new(SeriesStore::new(StoreConfig::default()))
}

#[tokio::test]
async fn metrics_are_shown_in_the_text_format_and_to_everybody() {
    let registry = Registry::default();
    registry.counter("jobs_total", &[("kind", "mail")]).increment(2);
    let admin = Admin::new().with_token().with(|state| state.with_registry(registry));
    let answer = admin.send(Method::GET, "/metrics", &[("host", "anything.example")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], obs_metrics::TEXT_CONTENT_TYPE);
    assert!(answer.text().contains("jobs_total{kind=\"mail\"} 2\n"), "{}", answer.text());
}

#[tokio::test]
async fn metrics_that_are_switched_off_or_absent_are_not_found() {
    let (status, code, _) = Admin::new().get("/metrics").await.refusal();
    assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
    let mut admin = Admin::new().with(|state| state.with_registry(Registry::default()));
    admin.config.metrics_enabled = false;
    let (status, code, _) = admin.get("/metrics").await.refusal();
    assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_found"));
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_refused_in_json() {
    let admin = Admin::new().with(|state| state.with_registry(Registry::default()));
    for path in ["/nothing", "/api", "/api/obskit/v2/self", "/metrics/", "/errors"] {
        let (status, code, message) = admin.get(path).await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_found"), "{path}");
        assert!(message.contains(path), "{message}");
    }
    for (method, path) in [
        (Method::POST, "/metrics"),
        (Method::DELETE, "/"),
        (Method::PUT, "/api/obskit/v1/self"),
        (Method::GET, "/logout"),
    ] {
        let answer = admin.send(method, path, &[]).await;
        assert!(answer.headers.contains_key(header::ALLOW), "{path}");
        let (status, code, _) = answer.refusal();
        assert_eq!((status, &*code), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    }
}

#[tokio::test]
async fn head_answers_as_get_does_but_without_a_body() {
    let admin =
        Admin::new().with(|state| state.with_registry(Registry::default()).with_store(store()));
    for path in ["/", "/metrics", "/login", "/api/obskit/v1/self", "/api/obskit/v1/series?match=a"]
    {
        let get = admin.get(path).await;
        let head = admin.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(
            head.headers.get(header::CONTENT_TYPE),
            get.headers.get(header::CONTENT_TYPE),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_may_load_nothing_from_elsewhere_and_run_no_script_of_its_own() {
    let admin = Admin::new().with(|state| state.with_store(store()));
    for path in ["/", "/debug/pprof/"] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
        let text = answer.text();
        for forbidden in ["style=", "onclick", "<style", "https://", "//fonts", "<script>"] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
        assert!(text.contains("&lt;checkout&gt;") && !text.contains("<checkout>"), "{text}");
    }
    for (path, content_type) in [
        ("/assets/console.css", "text/css; charset=utf-8"),
        ("/assets/console.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers[header::CONTENT_TYPE], content_type);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
}

/// Every protected path; what answers it is another test's affair.
#[cfg(all(feature = "errors", feature = "alerts", feature = "profiling", feature = "tracing"))]
const PROTECTED: [&str; 12] = [
    "/",
    "/traces",
    "/operations",
    "/api/obskit/v1/spans",
    "/api/obskit/v1/loglevel",
    "/debug/pprof/",
    "/debug/pprof/profile?seconds=1",
    "/errors/0123456789abcdef0123456789abcdef",
    "/api/obskit/v1/self",
    "/api/obskit/v1/series?match=a",
    "/api/obskit/v1/errors",
    "/api/obskit/v1/alerts",
];

#[cfg(all(feature = "errors", feature = "alerts", feature = "profiling", feature = "tracing"))]
#[tokio::test]
async fn protected_paths_want_the_token_and_say_how_to_give_it() {
    let admin = Admin::new().with_token();
    let bearer = format!("Bearer {TOKEN}");
    for path in PROTECTED {
        let answer = admin.get(path).await;
        let challenges: Vec<_> = answer.headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
        assert_eq!(challenges.len(), 2, "{path}");
        let (status, code, _) = answer.refusal();
        assert_eq!((status, &*code), (StatusCode::UNAUTHORIZED, "unauthorized"), "{path}");

        let wrong = admin.send(Method::GET, path, &[("authorization", "Bearer wrong")]).await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{path}");
        let right = admin.send(Method::GET, path, &[("authorization", &bearer)]).await;
        assert_ne!(right.status, StatusCode::UNAUTHORIZED, "{path}");

        let browser = admin.send(Method::GET, path, &[("accept", "text/html,*/*")]).await;
        assert_eq!(browser.status, StatusCode::SEE_OTHER, "{path}");
        let to = browser.headers[header::LOCATION].to_str().unwrap();
        assert!(to.starts_with("/login?next=/") && !to.contains('&'), "{to}");
    }
    let post = admin.send(Method::POST, "/api/obskit/v1/alerts/test", &[]).await;
    assert_eq!(post.status, StatusCode::UNAUTHORIZED);
    // What may not be done at all is not told to strangers either.
    let delete = admin.send(Method::DELETE, "/api/obskit/v1/errors", &[]).await;
    assert_eq!(delete.status, StatusCode::UNAUTHORIZED);
}

#[cfg(all(feature = "errors", feature = "alerts", feature = "profiling", feature = "tracing"))]
#[tokio::test]
async fn without_a_token_a_rebound_host_name_reads_nothing_protected() {
    for path in PROTECTED {
        let answer = Admin::new().send(Method::GET, path, &[("host", "evil.example:9464")]).await;
        let (status, code, message) = answer.refusal();
        assert_eq!((status, &*code), (StatusCode::FORBIDDEN, "foreign_host"), "{path}");
        assert!(message.contains("localhost"), "{message}");
    }
}

#[tokio::test]
async fn the_form_opens_a_session_whose_cookie_does_not_tell_the_token() {
    let router = Admin::new().with_token().router();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let page = send(router.clone(), Method::GET, "/login?next=/debug/pprof/", &[], "").await;
    assert!(page.text().contains(r#"name="next" value="/debug/pprof/""#), "{}", page.text());

    let wrong = send(router.clone(), Method::POST, "/login", &form, "token=nope&next=/").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers.contains_key(header::SET_COOKIE));
    assert!(wrong.headers.contains_key(header::WWW_AUTHENTICATE));
    assert!(wrong.text().contains("this is not the admin token"), "{}", wrong.text());

    let body = format!("token={TOKEN}&next=//evil.example");
    let right = send(router.clone(), Method::POST, "/login", &form, &body).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    assert_eq!(right.headers[header::LOCATION], "/");
    let cookie = right.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN), "{cookie}");

    let cookie = cookie.split(';').next().unwrap();
    let signed_in = [("cookie", cookie), ("accept", "text/html")];
    let page = send(router.clone(), Method::GET, "/", &signed_in, "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Sign out"));

    let foreign = [("cookie", cookie), ("origin", "http://evil.example")];
    let refused = send(router.clone(), Method::POST, "/logout", &foreign, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let out = send(router.clone(), Method::POST, "/logout", &[("cookie", cookie)], "").await;
    assert_eq!(out.headers[header::LOCATION], "/login");
    let after = send(router, Method::GET, "/api/obskit/v1/self", &[("cookie", cookie)], "").await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_form_refuses_what_is_not_a_form_and_what_is_too_large() {
    let router = Admin::new().with_token().router();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let json = [("content-type", "application/json")];
    for (headers, body, expected) in [
        (&json, String::from("{}"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&form, String::from("next=/"), StatusCode::UNPROCESSABLE_ENTITY),
        (&form, format!("token={}", "x".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = send(router.clone(), Method::POST, "/login", headers, &body).await;
        assert_eq!(answer.refusal().0, expected);
    }
    let no_token = Admin::new().get("/login?next=/debug/pprof/").await;
    assert_eq!(no_token.headers[header::LOCATION], "/debug/pprof/");
}

#[tokio::test]
async fn too_many_wrong_tokens_are_answered_with_a_time_to_wait() {
    let router = Admin::new().with_token().router();
    let wrong = [("authorization", "Bearer wrong")];
    let mut answers = Vec::new();
    for _ in 0..11 {
        answers.push(send(router.clone(), Method::GET, "/", &wrong, "").await);
    }
    assert!(answers[..10].iter().all(|answer| answer.status == StatusCode::UNAUTHORIZED));
    assert_eq!(answers[10].refusal().0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answers[10].headers[header::RETRY_AFTER], "5");
}

#[tokio::test]
async fn series_are_read_with_a_selector_over_minutes() {
    let store = store();
    fill(&store, &[("__name__", "up"), ("job", "a")], [1.0, f64::NAN, 0.5]);
    fill(&store, &[("__name__", "up"), ("job", "b")], [3.0]);
    let admin = Admin::new().with(|state| state.with_store(store));
    let answer =
        admin.get("/api/obskit/v1/series?match=up%7Bjob=%22a%22%7D&minutes=1").await.json();
    assert_eq!(answer["selector"], r#"up{job="a"}"#);
    assert_eq!(answer["end"], "2026-01-05T10:00:00.000Z");
    assert_eq!(answer["leftOut"], 0);
    let at = NOW.as_secs_f64();
    assert_eq!(
        answer["series"],
        json!([{
            "metric": {"__name__": "up", "job": "a"},
            "values": [[at - 10.0, "1"], [at - 5.0, "NaN"], [at, "0.5"]],
        }])
    );
}

#[tokio::test]
async fn a_bad_series_request_is_told_what_would_be_accepted() {
    let admin = Admin::new().with(|state| state.with_store(store()));
    for (query, part) in [
        ("", "match is missing"),
        ("?match=%7B", "match is not a selector"),
        ("?match=up&minutes=0", "from 1 to 10080"),
        ("?match=up&minutes=x", "\"x\""),
        ("?match=up&minutes=-5", "a whole number"),
    ] {
        let answer = admin.get(&format!("/api/obskit/v1/series{query}")).await;
        let (status, code, message) = answer.refusal();
        assert_eq!((status, &*code), (StatusCode::BAD_REQUEST, "bad_request"), "{query}");
        assert!(message.contains(part), "{message}");
    }
    let (status, code, _) = Admin::new().get("/api/obskit/v1/series?match=up").await.refusal();
    assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
}

#[tokio::test]
async fn self_tells_what_runs_and_for_how_long() {
    let store = store();
    fill(&store, &[("__name__", "up")], [1.0, 2.0]);
    let admin = Admin::new().with(|state| state.with_store(store));
    admin.clock.advance(Duration::from_secs(90));
    let answer = admin.get("/api/obskit/v1/self").await.json();
    assert_eq!(answer["resource"]["service.name"], "<checkout>");
    assert_eq!(answer["uptimeSeconds"], 90.0);
    assert_eq!(answer["startedAt"], "2026-01-05T10:00:00.000Z");
    assert_eq!((&answer["store"]["series"], &answer["store"]["samples"]), (&json!(1), &json!(2)));
    assert_eq!(answer["enabled"]["series"], true);
    assert_eq!(answer["enabled"]["metrics"], false);
    assert_eq!(answer["build"]["obskit"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_console_without_handles_says_what_is_switched_off_and_what_would_fill_it() {
    let page = Admin::new().get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("There is no series store."), "{}", page.text());
    let page = Admin::new().with(|state| state.with_store(store())).get("/").await;
    assert!(page.text().contains("api_requests_total"), "{}", page.text());
}

#[tokio::test]
async fn charts_and_figures_are_computed_from_the_series() {
    let store = store();
    let per_tick = |rate: f64| (0..=180).map(move |tick| f64::from(tick) * rate * 5.0);
    let api = |name: &'static str, more: &[(&'static str, &'static str)]| {
        let mut labels = vec![("__name__", name), ("endpoint", "/a"), ("method", "GET")];
        labels.extend(more);
        labels
    };
    fill(&store, &api("api_requests_total", &[("status", "200")]), per_tick(9.5));
    fill(&store, &api("api_requests_total", &[("status", "500")]), per_tick(0.5));
    fill(&store, &api("api_errors_total", &[]), per_tick(0.5));
    fill(&store, &api("api_request_duration_ms_sum", &[]), per_tick(300.0));
    fill(&store, &api("api_request_duration_ms_count", &[]), per_tick(10.0));
    fill(&store, &api("api_request_duration_ms_bucket", &[("le", "100")]), per_tick(9.0));
    fill(&store, &api("api_request_duration_ms_bucket", &[("le", "200")]), per_tick(10.0));
    fill(&store, &api("api_request_duration_ms_bucket", &[("le", "+Inf")]), per_tick(10.0));
    fill(
        &store,
        &[("__name__", "memory_usage_bytes"), ("type", "rss")],
        vec![64.0 * 1_048_576.0; 181],
    );
    fill(
        &store,
        &[("__name__", "a_workflow_executions_total"), ("status", "success")],
        per_tick(2.0),
    );
    let admin = Admin::new().with(|state| state.with_store(store));
    admin.clock.advance(Duration::from_secs(2));
    let page = admin.get("/").await;
    for part in [
        ">10/s<",    // requests in all
        "9.5/s",     // of them answered with 2xx
        ">5 %<",     // failed
        ">150 ms<",  // p95: half way through the bucket from 100 to 200
        ">30 ms<",   // average
        ">64 MiB<",  // memory
        "Workflows", // under any namespace
        "09:45",
        "10:00",
    ] {
        assert!(page.text().contains(part), "{part} is missing in {}", page.text());
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_becomes_a_500_and_the_next_request_is_served() {
    async fn panics() -> &'static str {
        panic!("out of luck")
    }
    let router = Router::new()
        .route("/panics", axum::routing::get(panics))
        .route("/fine", axum::routing::get(|| async { "fine" }))
        .layer(axum::middleware::from_fn(super::observe));
    let answer = send(router.clone(), Method::GET, "/panics", &[], "").await;
    let (status, code, message) = answer.refusal();
    assert_eq!((status, &*code), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!message.contains("luck"), "{message}");
    assert_eq!(send(router, Method::GET, "/fine", &[], "").await.text(), "fine");
}

#[tokio::test]
async fn protected_requests_beyond_the_limit_are_turned_away_and_open_ones_are_not() {
    let mut admin = Admin::new().with(|state| state.with_registry(Registry::default()));
    admin.config.max_concurrent_requests = 1;
    let app = Arc::new(super::App::new(&admin.config, admin.state.clone()));
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
        move || async move {
            begun.notify_one();
            release.notified().await;
            "done"
        }
    };
    let router = Router::new()
        .route("/held", axum::routing::get(handler))
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&app), super::protect))
        .merge(super::open_routes(&admin.config))
        .with_state(app);
    let first = tokio::spawn(send(router.clone(), Method::GET, "/held", &[], ""));
    begun.notified().await;
    let second = send(router.clone(), Method::GET, "/held", &[], "").await;
    assert_eq!(second.headers[header::RETRY_AFTER], "1");
    let (status, code, _) = second.refusal();
    assert_eq!((status, &*code), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    assert_eq!(send(router.clone(), Method::GET, "/metrics", &[], "").await.status, StatusCode::OK);
    release.notify_one();
    assert_eq!(first.await.unwrap().text(), "done");
    release.notify_one();
    assert_eq!(send(router, Method::GET, "/held", &[], "").await.text(), "done");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_unknown_paths_share_one_label() {
    let registry = Registry::default();
    let admin = Admin::new().with(|state| state.with_registry(registry.clone()));
    {
        let _recording = metrics::set_default_local_recorder(&registry);
        for path in ["/api/obskit/v1/self", "/a", "/b", "/metrics"] {
            admin.get(path).await;
        }
    }
    let counted = |path, status| {
        registry.value("obskit_admin_requests_total", &[("path", path), ("status", status)])
    };
    assert_eq!(counted("/api/obskit/v1/self", "200"), Some(1.0));
    assert_eq!(counted("unmatched", "404"), Some(2.0));
    assert_eq!(counted("/metrics", "200"), Some(1.0));
    assert_eq!(registry.value("api_requests_total", &[]), None);
}

#[cfg(any(feature = "errors", feature = "alerts", feature = "health", feature = "profiling"))]
mod handles;

#[cfg(all(feature = "alerts", feature = "errors", feature = "tracing"))]
mod journey;
#[cfg(feature = "tracing")]
mod logs;
#[cfg(feature = "tracing")]
mod operations;
#[cfg(feature = "tracing")]
mod told;
