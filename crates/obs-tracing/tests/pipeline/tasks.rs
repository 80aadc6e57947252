//! Context and span of work that moves to other tasks, threads and channels.

use crate::support::Pipeline;
use obs_model::Context;
use obs_tracing::channel;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

fn line<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("{message}: {lines:?}"))
}

#[tokio::test]
async fn tasks_threads_and_sets_keep_the_context_and_the_span_of_their_spawner() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let dispatch = pipeline.dispatch.clone();
    let entered = Context::new().with_user("u-17").enter();
    let span = tracing::info_span!("spawner", order = 7);
    let within = span.clone().entered();
    tracing::info!("spawner");
    let later = obs_tracing::carry(async { tracing::info!("carried") });
    let on_thread = obs_tracing::carry_fn(|| tracing::info!("thread"));
    let blocking = {
        let dispatch = dispatch.clone();
        obs_tracing::spawn_blocking(move || {
            tracing::dispatcher::with_default(&dispatch, || tracing::info!("blocking"));
        })
    };
    let mut tasks = JoinSet::new();
    obs_tracing::spawn_in(&mut tasks, async { tracing::info!("in a set") });
    let local = LocalSet::new();
    let in_local = local.run_until(async {
        obs_tracing::spawn_local(async { tracing::info!("local") }).await.unwrap();
    });
    let in_local = obs_tracing::carry(in_local);
    drop((within, entered));

    later.await;
    std::thread::spawn(move || tracing::dispatcher::with_default(&dispatch, on_thread))
        .join()
        .unwrap();
    blocking.await.unwrap();
    tasks.join_all().await;
    in_local.await;
    let lines = pipeline.written();
    for message in ["carried", "thread", "blocking", "in a set", "local"] {
        let line = line(&lines, message);
        assert_eq!(
            (&line["userId"], &line["metadata"]["order"]),
            (&"u-17".into(), &7.into()),
            "{line}"
        );
        assert_eq!(line["spanId"], lines[0]["spanId"], "{line}");
    }
}

#[tokio::test]
async fn a_message_is_handled_as_a_part_of_what_its_sender_did_long_after_that_ended() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    {
        let _entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
        let _sending = tracing::info_span!("sending", secret_plan = 1).entered();
        tracing::info!("sending");
        sender.send(channel::wrap(7).map(|number| number * 2)).unwrap();
    }
    sender.send(channel::wrap(0)).unwrap();
    let consuming = tracing::info_span!("consuming");
    let _consuming = consuming.enter();
    let message = receiver.recv().await.unwrap();
    assert_eq!(
        (*message.message(), message.context().correlation().unwrap().as_str()),
        (14, "req-42")
    );
    message
        .handle("numbers", |number| async move {
            tokio::task::yield_now().await;
            tracing::info!(number, "handling");
        })
        .await;
    tracing::info!("between");
    receiver
        .recv()
        .await
        .unwrap()
        .handle_blocking("numbers", |number| tracing::info!(number, "without"));

    let lines = pipeline.written();
    let (sending, handling) = (line(&lines, "sending"), line(&lines, "handling"));
    for id in ["traceId", "correlationId"] {
        assert_eq!(sending[id], handling[id], "{id}");
    }
    assert_ne!(sending["spanId"], handling["spanId"]);
    assert_eq!(handling["metadata"]["messaging.destination.name"], "numbers");
    assert!(handling["metadata"]["waited_ms"].as_f64().unwrap() >= 0.0);
    assert!(handling["metadata"].get("secret_plan").is_none(), "the sender's span is not held");
    // What was sent outside of any span starts a trace of its own.
    let (between, without) = (line(&lines, "between"), line(&lines, "without"));
    assert!(between.get("correlationId").is_none() && without.get("correlationId").is_none());
    assert_ne!(between["traceId"], sending["traceId"]);
    assert_ne!(without["traceId"], sending["traceId"]);
}

#[cfg(all(feature = "http", feature = "otlp"))]
#[tokio::test]
async fn a_message_stays_in_or_out_of_the_export_as_its_trace_does() {
    use axum::body::Body;
    use axum::{Router, routing::get};
    use obs_tracing::http::ObserveLayer;
    use obs_tracing::{DistributedTracing, OtlpConfig, Sampler, Sampling};
    use tower::ServiceExt;

    // The caller decides, against what the sampler says.
    for (sampler, flags, expected) in
        [(Sampler::AlwaysOff, "01", true), (Sampler::AlwaysOn, "00", false)]
    {
        let pipeline = Pipeline::new(|config| {
            // Nobody listens, and nothing is sent before the end.
            let mut otlp = OtlpConfig::new("http://127.0.0.1:9");
            otlp.sampling = Sampling::new(sampler);
            otlp.interval = std::time::Duration::from_secs(3_600);
            config.otlp = Some(otlp);
        });
        let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let handler = get(move || async move { sender.send(channel::wrap(())).unwrap() });
        let app = Router::new().route("/", handler).layer(ObserveLayer::new());
        let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let request = http::Request::get("/").header("traceparent", traceparent);
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let message = receiver.recv().await.unwrap();
        let sampled = message.handle_blocking("work", |()| {
            DistributedTracing::new("worker").start_span("inner").is_sampled()
        });
        assert_eq!(sampled, expected);
    }
}
