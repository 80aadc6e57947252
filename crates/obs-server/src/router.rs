//! Which path is answered by whom, and what every request passes through on its way.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use crate::guard::{Denied, Guard};
use crate::reply::{self, ApiError};
use crate::{AdminState, PrometheusConfig, ServerConfig, api, console};

/// What every handler can reach.
pub(crate) struct App {
    pub(crate) state: AdminState,
    pub(crate) guard: Guard,
    pub(crate) created: obs_metrics::expose::Created,
    #[cfg(feature = "profiling")]
    pub(crate) profiles: api::pprof::UnderWay,
    pub(crate) prometheus: PrometheusConfig,
    pub(crate) queries: api::prometheus::Pool,
    pub(crate) writes: Arc<api::prometheus::Writes>,
    request_timeout: Duration,
    places: Semaphore,
}

impl App {
    fn new(config: &ServerConfig, state: AdminState) -> Self {
        Self {
            guard: Guard::new(config, Arc::clone(state.clock())),
            created: config.created,
            state,
            #[cfg(feature = "profiling")]
            profiles: api::pprof::UnderWay::default(),
            prometheus: config.prometheus.clone(),
            queries: api::prometheus::Pool::new(config.prometheus.max_concurrent_queries),
            writes: Arc::new(api::prometheus::Writes::new()),
            request_timeout: config.request_timeout,
            places: Semaphore::new(config.max_concurrent_requests),
        }
    }

    /// How long a request may take in all.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// What stands around every page of the console.
    pub(crate) fn frame(&self, status: Option<console::Pill>) -> console::Frame<'_> {
        console::Frame {
            resource: self.state.resource(),
            uptime: self.state.uptime(),
            now: self.state.clock().now(),
            status,
            signed_in: self.guard.asks_for_a_token(),
        }
    }
}

/// The routes of the admin listener.
pub(crate) fn router(config: &ServerConfig, state: AdminState) -> Router {
    let app = Arc::new(App::new(config, state));
    let timed = |routes: Router<Arc<App>>| {
        routes
            .method_not_allowed_fallback(wrong_method)
            .route_layer(from_fn_with_state(Arc::clone(&app), limit_time))
    };
    let protected = timed(protected_routes());
    #[cfg(feature = "profiling")]
    let protected = protected.merge(
        // A profile takes as long as it was asked to, which its own parameter bounds.
        Router::new()
            .route("/debug/pprof/profile", get(api::pprof::profile).head(api::pprof::profile_head))
            .method_not_allowed_fallback(wrong_method),
    );
    // A query takes as long as the engine allows; its own timeout bounds it.
    let queries = api::prometheus::routes().method_not_allowed_fallback(wrong_method);
    let protected =
        protected.merge(queries).route_layer(from_fn_with_state(Arc::clone(&app), protect));
    timed(open_routes(config))
        .merge(protected)
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::max(config.max_body_bytes))
        .layer(from_fn(observe))
        .with_state(app)
}

fn open_routes(config: &ServerConfig) -> Router<Arc<App>> {
    let routes = Router::new()
        .route("/login", get(console::login::form).post(console::login::sign_in))
        .route("/assets/console.css", get(console::assets::style))
        .route("/assets/console.js", get(console::assets::script))
        .route("/assets/icon.svg", get(console::assets::icon));
    #[cfg(feature = "health")]
    let routes = routes
        .route("/api/health", get(api::health::full))
        .route("/api/health/ready", get(api::health::ready))
        .route("/api/health/live", get(api::health::live))
        .route("/api/health/startup", get(api::health::startup));
    if config.metrics_enabled {
        routes.route("/metrics", get(api::metrics::scrape))
    } else {
        routes
    }
}

fn protected_routes() -> Router<Arc<App>> {
    let routes = Router::new()
        .route("/", get(console::overview::page))
        .route("/logout", post(console::login::sign_out))
        .route("/debug/pprof/", get(console::profiles::page))
        .route("/api/obskit/v1/series", get(api::series::select))
        .route("/api/obskit/v1/self", get(api::about::about));
    #[cfg(feature = "errors")]
    let routes = routes
        .route("/errors/{fingerprint}", get(console::error_group::page))
        .route("/api/obskit/v1/errors", get(api::errors::groups))
        .route("/api/obskit/v1/errors/statistics", get(api::errors::statistics))
        .route("/api/obskit/v1/errors/{fingerprint}", get(api::errors::group));
    #[cfg(feature = "alerts")]
    let routes = routes
        .route("/api/obskit/v1/alerts", get(api::alerts::active))
        .route("/api/obskit/v1/alerts/history", get(api::alerts::history))
        .route("/api/obskit/v1/alerts/rules", get(api::alerts::rules))
        .route("/api/obskit/v1/alerts/test", post(api::alerts::send_test));
    #[cfg(feature = "tracing")]
    let routes = routes
        .route("/logs", get(console::logs::page))
        .route("/operations", get(console::operations::page))
        .route("/traces", get(console::traces::page))
        .route("/traces/{id}", get(console::trace::page))
        .route("/api/obskit/v1/logs", get(api::logs::search))
        .route("/api/obskit/v1/spans", get(api::spans::in_flight))
        .route("/api/obskit/v1/spans/finished", get(api::traces::finished))
        .route("/api/obskit/v1/traces/{id}", get(api::traces::trace))
        .route(
            "/api/obskit/v1/loglevel",
            get(api::loglevel::levels).put(api::loglevel::set).delete(api::loglevel::reset),
        );
    routes
}

async fn unknown_path(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(128).collect();
    ApiError::not_found(format!(
        "nothing is served at {path:?}; the console at / links to what there is"
    ))
}

async fn wrong_method(method: Method) -> ApiError {
    let method: String = method.as_str().chars().take(32).collect();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not accepted here; the Allow header names what is"),
    )
}

/// Outermost: turns a panic into a 500, puts on the headers that every answer carries, and counts.
async fn observe(request: Request, next: Next) -> Response {
    // Paths that match no route share one label, or anybody could make as many series as they like.
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| String::from("unmatched"), |path| path.as_str().to_owned());
    // OK because nothing that the handler may have left half-changed is looked at after a panic: the
    // handles it reads from keep their own state whole.
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = caught.unwrap_or_else(|panic| {
        tracing::error!(path, panic = panic_text(&*panic), "an admin request panicked");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed inside the server; the service's log says why",
        )
        .into_response()
    });
    reply::harden(&mut response);
    let status = response.status().as_str().to_owned();
    metrics::counter!("obskit_admin_requests_total", "path" => path, "status" => status)
        .increment(1);
    response
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

/// Lets only those through who may read, and only so many at once.
async fn protect(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let peer = console::login::peer_of(request.extensions());
    if let Err(denied) = app.guard.check(request.method(), request.headers(), peer) {
        return refuse(denied, &request);
    }
    let Ok(_place) = app.places.try_acquire() else {
        let error = ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "as many admin requests as are accepted at once are under way",
        );
        return error.with_retry_after(Duration::from_secs(1)).into_response();
    };
    next.run(request).await
}

fn refuse(denied: Denied, request: &Request) -> Response {
    if *request.method() == Method::GET && wants_html(request.headers()) {
        let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
        denied.page_response(here)
    } else {
        denied.into_response()
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

async fn limit_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(app.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            format!("the answer was not ready after {:?}", app.request_timeout),
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests;
