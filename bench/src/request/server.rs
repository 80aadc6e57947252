//! The service under measurement, with one stack or another round it.

use std::error::Error;
use std::hint::black_box;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use obskit::config::Settings;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Stack;

/// Serves until the process is killed; says on standard error where.
#[expect(clippy::print_stderr, reason = "the parent process reads the address from there")]
pub(crate) async fn serve(stack: Stack, collector: &str) -> Result<(), Box<dyn Error>> {
    let router = Router::new().route("/ok", get(ok)).route("/busy/{rounds}", get(work));
    // The guard lives as long as the server.
    let (router, _observer) = match stack {
        Stack::Bare => (router, None),
        Stack::Obskit => observed(router, |_| ()).await?,
        Stack::ObskitOtlp => {
            let endpoint = Some(collector.to_owned());
            observed(router, move |settings| settings.otlp.endpoint = endpoint).await?
        }
        Stack::ObskitPillars => {
            let endpoint = Some(collector.to_owned());
            let set = move |settings: &mut Settings| {
                settings.otlp.endpoint = endpoint;
                (settings.otlp.logs.enabled, settings.otlp.metrics) = (false, false);
                settings.traces.sampler = "traceidratio".to_owned();
                settings.traces.sampler_share = 0.01;
                (settings.traces.memory_bytes, settings.log.memory_bytes) = (0, 0);
            };
            observed(router, set).await?
        }
        Stack::Usual => (usual(router, collector)?, None),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on {}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn observed(
    router: Router,
    set: impl FnOnce(&mut Settings) + Send + 'static,
) -> Result<(Router, Option<obskit::Obskit>), Box<dyn Error>> {
    let observer = obskit::init("bench")
        .settings(move |settings| {
            settings.admin.port = 0;
            set(settings);
        })
        .start()
        .await?;
    Ok((router.layer(obskit::http::ObserveLayer::new()), Some(observer)))
}

fn usual(router: Router, collector: &str) -> Result<Router, Box<dyn Error>> {
    // The exporter's client asks for a provider of the process, even where it does not use TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A blocking client cannot be made where futures run.
    let client = std::thread::spawn(reqwest::blocking::Client::new)
        .join()
        .map_err(|_| "the exporter's client could not be made")?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{collector}/v1/traces"))
        .build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("bench");
    opentelemetry::global::set_tracer_provider(provider);
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new("info"))
        .with(tracing_subscriber::fmt::layer().json())
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .init();
    let (metrics, _handle) = axum_prometheus::PrometheusMetricLayer::pair();
    let trace = tower_http::trace::TraceLayer::new_for_http()
        .make_span_with(tower_http::trace::DefaultMakeSpan::new().level(tracing::Level::INFO))
        .on_response(tower_http::trace::DefaultOnResponse::new().level(tracing::Level::INFO));
    Ok(router.layer(metrics).layer(trace))
}

async fn ok() -> &'static str {
    "ok"
}

/// Some tens of microseconds of arithmetic: a small real handler.
async fn work(Path(rounds): Path<u64>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for number in 0..rounds * 6_000 {
        hash = (hash ^ black_box(number)).wrapping_mul(0x100_0000_01b3);
    }
    hash.to_string()
}
