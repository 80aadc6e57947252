//! One request through three services, each with a pipeline and a runtime of its own: a client calls a tool of a tool
//! server, which asks an agent by gRPC, which asks a database.

mod agent;
mod collector;
mod service;
#[path = "../pipeline/text_codec.rs"]
mod text_codec;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use obs_tracing::http::ObserveLayer;
use obs_tracing::tools::{self, Meta};
use serde_json::{Value, json};

use collector::{Collector, Exported};
use service::{HttpClient, Service, client_of};

/// What the client needs to call the tool server.
#[derive(Clone)]
struct Next {
    client: HttpClient,
    url: String,
}

async fn client_handler(State(next): State<Next>) -> Json<Value> {
    tracing::info!("client has a request");
    let answer = tools::call("plan", async |meta: Meta| {
        let params = json!({"name": "plan", "arguments": {}, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        tracing::info!("asking");
        service::post(&next.client, &next.url, &body).await
    })
    .await;
    Json(answer.expect("the tool server answers"))
}

async fn tool_handler(
    State(agent): State<agent::Client>,
    Json(request): Json<Value>,
) -> Json<Value> {
    let params = &request["params"];
    let (name, meta) = (params["name"].as_str().unwrap(), params["_meta"].as_object());
    let answer = tools::serve(name, meta, async {
        tracing::info!("tool is working");
        // The agent is asked by a task of its own.
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        sender.send(obs_tracing::channel::wrap("why".to_owned())).await.unwrap();
        let worker = tokio::spawn(async move {
            let question = receiver.recv().await.unwrap();
            question.handle("questions", |question| agent::ask(agent, question)).await
        });
        worker.await.unwrap()
    })
    .await;
    Json(answer.expect("the agent answers").into())
}

/// The services, from the one that a request enters to the last.
fn start(collector: &Collector) -> [Service; 3] {
    let agent = Service::start("agent", collector, agent::serve);
    let next = format!("http://{}", agent.address);
    let tool_server = Service::start("tool-server", collector, |listener| async {
        let state = agent::client_of(next);
        let app = Router::new().route("/mcp", post(tool_handler)).layer(ObserveLayer::new());
        axum::serve(listener, app.with_state(state)).await.unwrap();
    });
    let url = format!("http://{}/mcp", tool_server.address);
    let client = Service::start("client", collector, |listener| async {
        let next = Next { client: client_of("tool-server"), url };
        let app = Router::new().route("/ask", get(client_handler)).layer(ObserveLayer::new());
        axum::serve(listener, app.with_state(next)).await.unwrap();
    });
    [client, tool_server, agent]
}

/// Every span of the trace from its root to the query, as `service: name`.
const PATH: [&str; 9] = [
    "client: GET /ask",
    "client: tools/call plan",
    "client: POST",
    "tool-server: POST /mcp",
    "tool-server: tools/call plan",
    "tool-server: process questions",
    "tool-server: agent.Agent/Run",
    "agent: agent.Agent/Run",
    "agent: select answers",
];

fn check_spans(exported: &[Exported]) {
    let by_id: BTreeMap<&str, &Exported> =
        exported.iter().map(|span| (span.id.as_str(), span)).collect();
    assert_eq!(by_id.len(), PATH.len(), "{exported:#?}");
    let mut innermost = exported.iter().find(|span| span.name == "select answers");
    let statement = innermost.and_then(|query| query.attribute("db.statement"));
    assert_eq!(statement, Some("SELECT answer FROM answers WHERE question = ?"));
    let mut path = Vec::new();
    while let Some(span) = innermost {
        assert_eq!(span.trace, exported[0].trace, "{span:?}");
        path.push(format!("{}: {}", span.service, span.shown()));
        innermost = by_id.get(span.parent.as_str()).copied();
    }
    path.reverse();
    assert_eq!(path, PATH);
    let root = exported.iter().find(|span| span.service == "client" && span.kind == 2);
    assert_eq!(root.unwrap().parent, "", "the client's caller said nothing of a trace");
}

#[test]
fn a_request_through_three_services_is_one_trace_with_one_correlation_id_on_every_line() {
    let collector = Collector::start();
    let services = start(&collector);
    let (status, headers, body) =
        service::get(services[0].address, "/ask", &[("X-Correlation-ID", "req-42")]);
    assert_eq!((status, body), (200, json!("42")));
    assert_eq!(headers["x-correlation-id"], "req-42");

    let lines: Vec<(&str, Vec<Value>)> =
        services.into_iter().map(|service| (service.name, service.stop())).collect();
    let exported = collector.stop();
    check_spans(&exported);

    let mut messages = BTreeMap::new();
    for (service, line) in
        lines.iter().flat_map(|(name, lines)| lines.iter().map(move |l| (*name, l)))
    {
        assert_eq!(line["service"], service, "{line}");
        assert_eq!(line["correlationId"], "req-42", "{line}");
        assert_eq!(line["traceId"], exported[0].trace, "{line}");
        let span = line["spanId"].as_str().unwrap();
        let known = exported.iter().find(|exported| exported.id == span);
        assert_eq!(known.map(|known| known.service.as_str()), Some(service), "{line}");
        *messages.entry((service, line["message"].as_str().unwrap())).or_insert(0) += 1;
    }
    let expected = [
        ("agent", "agent is thinking"),
        ("agent", "asking the database"),
        ("agent", "call finished"),
        ("agent", "query finished"),
        ("client", "asking"),
        ("client", "call finished"),
        ("client", "client has a request"),
        ("client", "request finished"),
        ("client", "tool finished"),
        ("tool-server", "asking"),
        ("tool-server", "call finished"),
        ("tool-server", "request finished"),
        ("tool-server", "tool finished"),
        ("tool-server", "tool is working"),
    ];
    assert_eq!(messages, expected.map(|at| (at, 1)).into());
}
