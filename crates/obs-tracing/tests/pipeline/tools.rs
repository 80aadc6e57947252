//! Calls of tools and WebSocket connections.

use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;

use crate::support::{Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Context;
use obs_tracing::tools::{self, Meta, Tools};
use obs_tracing::websocket::{Connection, MessageKind};
use serde_json::{Value, json};

fn meta(value: Value) -> Meta {
    value.as_object().unwrap().clone()
}

fn line<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("{message}: {lines:?}"))
}

async fn serving() -> io::Result<()> {
    tracing::info!("serving");
    Ok(())
}

#[tokio::test]
async fn a_served_tool_belongs_to_the_span_of_its_caller() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let entered =
        Context::new().with_correlation("req-42".parse().unwrap()).with_user("u-17").enter();
    let sent = tools::call("search", |meta| async move {
        tracing::info!("calling");
        Ok::<_, io::Error>(meta)
    })
    .await
    .unwrap();
    drop(entered);
    // Another process: nothing is current there.
    let answer = tools::serve("search", Some(&sent), async {
        tracing::info!("serving");
        let mut answer = Meta::new();
        tools::inject(&mut answer);
        Ok::<_, io::Error>(answer)
    })
    .await
    .unwrap();

    let lines = pipeline.written();
    let (calling, serving) = (line(&lines, "calling"), line(&lines, "serving"));
    let traceparent = format!(
        "00-{}-{}-00",
        calling["traceId"].as_str().unwrap(),
        calling["spanId"].as_str().unwrap()
    );
    assert_eq!(Value::Object(sent), json!({"correlationId": "req-42", "traceparent": traceparent}));
    for line in [calling, serving] {
        assert_eq!(
            (&line["correlationId"], &line["tool"]),
            (&"req-42".into(), &"search".into()),
            "{line}"
        );
        assert_eq!(line["metadata"]["gen_ai.tool.name"], "search");
    }
    assert_eq!(calling["traceId"], serving["traceId"]);
    assert_ne!(calling["spanId"], serving["spanId"]);
    assert_eq!(calling["userId"], "u-17");
    assert!(serving.get("userId").is_none());
    assert_eq!(answer["correlationId"], "req-42");
    assert!(answer["traceparent"].as_str().unwrap().contains(serving["spanId"].as_str().unwrap()));
}

#[tokio::test]
async fn within_a_request_of_the_same_trace_a_tool_belongs_to_the_request() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let request = tracing::info_span!("request", inside = true);
    let same = request.in_scope(|| {
        let mut meta = Meta::new();
        tools::inject(&mut meta);
        meta
    });
    let other =
        meta(json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}));
    let _entered = request.enter();
    for meta in [Some(&same), None, Some(&other)] {
        tools::serve("search", meta, serving()).await.unwrap();
    }
    let lines = pipeline.written();
    let inside: Vec<_> = lines.iter().map(|line| line["metadata"]["inside"] == true).collect();
    assert_eq!(inside, [true, true, false]);
    assert_eq!(lines[2]["traceId"], "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn hostile_metadata_is_replaced_and_counted() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    for hostile in [
        json!({"correlationId": "hostile\r\n", "traceparent": "00-hostile"}),
        json!({"correlationId": {"a": ["hostile"]}, "traceparent": 7}),
        json!({"correlationId": "hostile".repeat(40), "traceparent": null}),
    ] {
        tools::serve("search", Some(&meta(hostile)), serving()).await.unwrap();
    }
    for line in pipeline.written() {
        assert_eq!(line["correlationId"].as_str().unwrap().len(), 36, "{line}");
    }
    assert!(!pipeline.lines.text().contains("hostile"));
    let replaced = ("obskit_correlation_replaced_total{}".to_owned(), 3);
    assert!(series(&recorder.snapshotter()).contains(&replaced));
}

#[tokio::test]
async fn each_call_of_a_tool_is_counted_once_on_its_side_however_it_ends() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let tools = Tools::new("analyst_");
    tools.call("a", |_| async { Ok::<_, io::Error>(()) }).await.unwrap();
    tools.serve("a", None, async { Ok::<_, io::Error>(()) }).await.unwrap();
    tools.serve("a", None, async { Err::<(), _>(io::Error::other("no")) }).await.unwrap_err();
    let mut dropped = Box::pin(tools.serve("b", None, pending::<Result<(), io::Error>>()));
    let is_pending = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
    drop(dropped);
    tools::serve("a", None, async { Ok::<_, io::Error>(()) }).await.unwrap();

    let mut seen = series(&recorder.snapshotter());
    seen.retain(|(name, _)| name.contains("tool_"));
    let expected = [
        ("analyst_tool_call_duration_seconds{tool_name=a}", 1),
        ("analyst_tool_calls_total{status=success,tool_name=a}", 1),
        ("analyst_tool_duration_seconds{tool_name=a}", 2),
        ("analyst_tool_duration_seconds{tool_name=b}", 1),
        ("analyst_tool_errors_total{error_type=io::Error,tool_name=a}", 1),
        ("analyst_tool_executions_total{status=cancelled,tool_name=b}", 1),
        ("analyst_tool_executions_total{status=error,tool_name=a}", 1),
        ("analyst_tool_executions_total{status=success,tool_name=a}", 1),
        ("tool_duration_seconds{tool_name=a}", 1),
        ("tool_executions_total{status=success,tool_name=a}", 1),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
    let levels: Vec<_> =
        pipeline.written().iter().map(|line| line["level"].as_str().unwrap().to_owned()).collect();
    assert_eq!(levels, ["DEBUG", "DEBUG", "WARN", "DEBUG"]);
}

#[tokio::test]
async fn a_result_that_says_that_it_is_an_error_counts_as_one_and_is_returned() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let tools = Tools::new("").failing_if(|result: &Value| result["isError"] == true);
    let results = [json!({"isError": true}), json!({"isError": false}), json!({"content": []})];
    for result in &results {
        let called = tools.call("a", |_| async { Ok::<_, io::Error>(result.clone()) }).await;
        assert_eq!(called.unwrap(), *result);
        let served = tools.serve("a", None, async { Ok::<_, io::Error>(result.clone()) }).await;
        assert_eq!(served.unwrap(), *result);
    }
    let mut seen = series(&recorder.snapshotter());
    seen.retain(|(name, _)| name.contains("tool_") && !name.contains("seconds"));
    let expected = [
        ("tool_call_errors_total{error_type=tool_error,tool_name=a}", 1),
        ("tool_calls_total{status=error,tool_name=a}", 1),
        ("tool_calls_total{status=success,tool_name=a}", 2),
        ("tool_errors_total{error_type=tool_error,tool_name=a}", 1),
        ("tool_executions_total{status=error,tool_name=a}", 1),
        ("tool_executions_total{status=success,tool_name=a}", 2),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
    let lines = pipeline.written();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in lines {
        assert_eq!(
            (&line["level"], &line["error"]["name"]),
            (&json!("WARN"), &json!("tool_error"))
        );
    }
}

#[tokio::test]
async fn every_message_of_a_connection_has_the_context_of_its_upgrade_request() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let connection = {
        let _entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
        let _request = tracing::info_span!("upgrade", only_here = 1).entered();
        tracing::info!("upgrading");
        Connection::open("/chat")
    };
    for (kind, bytes) in [(MessageKind::Text, 5), (MessageKind::Ping, 0)] {
        let handling = async { tracing::info!(bytes, "handling") };
        connection.received(kind, bytes, handling).await;
    }
    connection.run(async { tracing::info!("in the loop") }).await;
    connection.sent(MessageKind::Text, 7);
    connection.close(1000);
    let abandoned = Connection::open("/chat");
    Connection::open("/chat").close(4711);
    let mut seen = series(&recorder.snapshotter());
    drop(abandoned);

    let lines = pipeline.written();
    let (upgrading, looping, closed) =
        (line(&lines, "upgrading"), line(&lines, "in the loop"), line(&lines, "connection closed"));
    let handled: Vec<_> = lines.iter().filter(|line| line["message"] == "handling").collect();
    for line in [handled[0], handled[1], looping, closed] {
        assert_eq!(line["correlationId"], "req-42", "{line}");
        assert_eq!(line["traceId"], upgrading["traceId"], "{line}");
        assert_eq!(line["metadata"]["endpoint"], "/chat", "{line}");
        assert!(
            line["metadata"].get("only_here").is_none(),
            "the request's span is not held: {line}"
        );
    }
    assert_eq!(looping["spanId"], closed["spanId"]);
    assert_ne!(handled[0]["spanId"], handled[1]["spanId"]);
    assert_eq!(handled[0]["metadata"]["message.type"], "text");
    for (name, value) in
        [("websocket.received", 2), ("websocket.sent", 1), ("websocket.close_code", 1000)]
    {
        assert_eq!(closed["metadata"][name], value, "{closed}");
    }
    seen.retain(|(name, _)| name.starts_with("websocket"));
    let expected = [
        ("websocket_connection_duration_seconds{endpoint=/chat}", 2),
        ("websocket_connections_active{endpoint=/chat}", 1),
        ("websocket_connections_total{code=1000,endpoint=/chat}", 1),
        ("websocket_connections_total{code=4xxx,endpoint=/chat}", 1),
        ("websocket_message_bytes{direction=received,endpoint=/chat}", 2),
        ("websocket_message_bytes{direction=sent,endpoint=/chat}", 1),
        ("websocket_messages_total{direction=received,endpoint=/chat,type=ping}", 1),
        ("websocket_messages_total{direction=received,endpoint=/chat,type=text}", 1),
        ("websocket_messages_total{direction=sent,endpoint=/chat,type=text}", 1),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
    let codes = series(&recorder.snapshotter());
    assert!(
        codes.contains(&("websocket_connections_total{code=1006,endpoint=/chat}".to_owned(), 1))
    );
}

#[tokio::test]
async fn every_family_of_this_crate_is_described() {
    let pipeline = Pipeline::new(|config| config.span_metrics = Some(10));
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    obs_tracing::describe_metrics();
    let failing = || async { Err::<(), _>(io::Error::other("no")) };
    tools::call("a", |_| failing()).await.unwrap_err();
    tools::serve("a", None, failing()).await.unwrap_err();
    let counted = obs_tracing::db::Query::new("select").rows(|rows: &u64| *rows);
    counted.run(async { Ok::<_, io::Error>(1) }).await.unwrap();
    obs_tracing::db::query("select", failing()).await.unwrap_err();
    obs_tracing::db::record_pool(1, Some(2));
    let connection = Connection::open("/chat");
    connection.sent(MessageKind::Text, 7);
    connection.close(1000);

    let recorded = recorder.snapshotter().snapshot().into_vec();
    assert!(recorded.len() > 20, "{recorded:?}");
    for (key, _, description, _) in recorded {
        let name = key.key().name();
        // These have their help from the catalog.
        let is_of_catalog = name.starts_with("log_");
        assert!(is_of_catalog || description.is_some(), "{name} has no help");
    }
}
