//! Planning by a model, against a small stand-in for its server.

use std::sync::{Arc, Mutex};

use crate::support::Service;
use analyst::model::ModelConfig;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use obskit::metrics::Registry;
use serde_json::{Value, json};

/// What the stand-in was asked, and what it says next.
#[derive(Clone, Default)]
struct StandIn {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    next: Arc<Mutex<Option<(u16, String)>>>,
}

impl StandIn {
    fn says(&self, status: u16, body: impl Into<String>) {
        *self.next.lock().expect("no panic") = Some((status, body.into()));
    }

    fn proposes(&self, content: &str) {
        let body = json!({
            "choices": [{ "message": { "role": "assistant", "content": content } }],
            "usage": { "prompt_tokens": 700, "completion_tokens": 40, "total_tokens": 740 },
        });
        self.says(200, body.to_string());
    }
}

async fn complete(
    State(stand_in): State<StandIn>,
    headers: HeaderMap,
    Json(ask): Json<Value>,
) -> Response {
    let key = headers["authorization"].to_str().expect("a text").to_owned();
    stand_in.asked.lock().expect("no panic").push((key, ask));
    let (status, body) = stand_in.next.lock().expect("no panic").clone().expect("something to say");
    (StatusCode::from_u16(status).expect("a status"), body).into_response()
}

async fn start() -> (Service, StandIn) {
    let stand_in = StandIn::default();
    let routes = Router::new().route("/v1/chat/completions", post(complete));
    let address = crate::support::serve(routes.with_state(stand_in.clone())).await;
    let model = ModelConfig {
        base_url: format!("http://{address}/v1/"),
        api_key: Some("secret".to_owned()),
        model: "small".to_owned(),
    };
    (Service::start(Registry::default(), Some(model), |router| router).await, stand_in)
}

#[tokio::test]
async fn a_model_plans_the_statement_and_its_use_is_counted() {
    let (service, stand_in) = start().await;
    stand_in.proposes(
        "Here it is:\n```json\n{\"sql\": \"SELECT state, count(*) AS n FROM airports GROUP BY state ORDER BY n DESC LIMIT 3\", \
         \"chart\": \"bar\", \"title\": \"Airports\"}\n```",
    );
    let ask = |text: &str| json!({ "question": text, "session_id": "s" }).to_string();
    let answer = service.post(ask("Where are most airports?")).await;
    assert_eq!((answer.status, &answer.body["planner"]), (200, &json!("model")), "{}", answer.body);
    assert_eq!(answer.body["rows"][0], json!(["AK", 263]));
    assert_eq!(answer.body["chart"]["title"], "Airports");
    service.post(ask("And after that?")).await;

    let asked = stand_in.asked.lock().expect("no panic").clone();
    assert_eq!((asked[0].0.as_str(), &asked[0].1["model"]), ("Bearer secret", &json!("small")));
    let messages = asked[1].1["messages"].as_array().expect("messages");
    let roles: Vec<_> =
        messages.iter().map(|message| message["role"].as_str().unwrap_or("")).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert!(messages[0]["content"].as_str().is_some_and(|text| text.contains("birdstrikes(")));
    assert_eq!(messages[3]["content"], "And after that?");

    let requests = [("model", "small"), ("agent", "planner"), ("status", "success")];
    assert_eq!(service.count("llm_requests_total", &requests), 2.0);
    assert_eq!(
        service.count("llm_tokens_used_sum", &[("model", "small"), ("type", "input")]),
        1_400.0
    );
    assert_eq!(
        service.count("llm_tokens_used_sum", &[("model", "small"), ("type", "output")]),
        80.0
    );
    let agent = [("model", "small"), ("agent", "planner")];
    assert_eq!(service.count("llm_request_duration_seconds_count", &agent), 2.0);
}

#[tokio::test]
async fn every_way_a_model_can_fail_has_its_name() {
    let (service, stand_in) = start().await;
    let cases = [
        (429, "slow down", 502, "model_rate_limited"),
        (401, "who are you?", 502, "model_rejected"),
        (500, "oh no", 502, "model_failed"),
        (200, "no JSON", 502, "model_answer"),
        (200, "{\"choices\": []}", 502, "model_answer"),
    ];
    for (status, says, expected, name) in cases {
        stand_in.says(status, says);
        let answer = service.post(json!({ "question": "Anything" }).to_string()).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["type"]),
            (expected, &json!(name)),
            "{says}"
        );
    }
    stand_in.proposes("I would rather not.");
    let answer = service.post(json!({ "question": "Anything" }).to_string()).await;
    assert_eq!(answer.body["error"]["type"], "model_answer");
    // A model's statement is held to the same rules as anybody's.
    stand_in.proposes("{\"sql\": \"DROP TABLE flights\"}");
    let answer = service.post(json!({ "question": "Anything" }).to_string()).await;
    assert_eq!((answer.status, &answer.body["error"]["type"]), (400, &json!("read_only")));

    let requests = [("model", "small"), ("agent", "planner"), ("status", "error")];
    assert_eq!(service.count("llm_requests_total", &requests), 6.0);
    for (name, expected) in
        [("model_answer", 3.0), ("model_rate_limited", 1.0), ("model_failed", 1.0)]
    {
        let labels = [("model", "small"), ("error_type", name)];
        assert_eq!(service.count("llm_errors_total", &labels), expected, "{name}");
    }
    assert_eq!(
        service.count("llm_tokens_used_count", &[("model", "small"), ("type", "input")]),
        2.0
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_so() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base_url = format!("http://{}", gone.local_addr().expect("it is bound"));
    drop(gone);
    let model = ModelConfig { base_url, api_key: None, model: "small".to_owned() };
    let service = Service::start(Registry::default(), Some(model), |router| router).await;
    let answer = service.post(json!({ "question": "Anything" }).to_string()).await;
    assert_eq!((answer.status, &answer.body["error"]["type"]), (502, &json!("model_connection")));
    // A statement needs no model.
    assert_eq!(service.post(json!({ "sql": "SELECT 1" }).to_string()).await.status, 200);
}
