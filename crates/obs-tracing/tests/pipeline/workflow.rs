//! Workflows and their steps as spans and lines.

use std::future::pending;
use std::io;
use std::time::Duration;

use http::StatusCode;
use obs_model::{Context, WithContext};
use obs_tracing::workflow::{Workflow, step};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::export::{any, collector, pipeline_to};
use crate::support::PATIENCE;

/// The values of these attributes; `-` for one that is not there.
fn attributes(span: &Span, names: &[&str]) -> Vec<String> {
    let value = |name: &&str| {
        let found = span.attributes.iter().find(|pair| pair.key == *name);
        found.map_or_else(|| "-".to_owned(), any)
    };
    names.iter().map(value).collect()
}

#[tokio::test]
async fn each_step_is_a_span_within_its_execution_and_names_both() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let run = Workflow::new("analysis").execution("run-42").run(async {
        step("plan", async {
            step("read schema", async { Ok::<_, io::Error>(()) }).await?;
            // A task of its own is still a part of the execution.
            let apart = step("model", async { Ok::<_, io::Error>(()) });
            obs_tracing::spawn(apart).await.unwrap()
        })
        .await?;
        step("query", async { Err::<(), _>(io::Error::other("no such table")) }).await
    });
    let context = Context::new().with_user("u-17").with_agent("planner");
    assert_eq!(run.in_context(context).await.unwrap_err().to_string(), "no such table");

    let given_up = Workflow::new("report").run(step("wait", pending::<Result<(), io::Error>>()));
    assert!(tokio::time::timeout(Duration::ZERO, given_up).await.is_err());

    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let whole = received.span("workflow analysis");
    let names = ["workflow", "execution_id", "step", "status", "error.type"];
    assert_eq!(attributes(&whole, &names), ["analysis", "run-42", "-", "error", "io::Error"]);
    for (name, parent, expected) in [
        ("analysis plan", "workflow analysis", ["plan", "success", "-"]),
        ("analysis read schema", "analysis plan", ["read schema", "success", "-"]),
        ("analysis model", "analysis plan", ["model", "success", "-"]),
        ("analysis query", "workflow analysis", ["query", "error", "io::Error"]),
    ] {
        let span = received.span(name);
        assert_eq!(attributes(&span, &names[..2]), ["analysis", "run-42"], "{name}");
        assert_eq!(attributes(&span, &names[2..]), expected, "{name}");
        assert_eq!(span.parent_span_id, received.span(parent).span_id, "{name}");
        assert_eq!(span.trace_id, whole.trace_id, "{name}");
    }
    let waiting = received.span("report wait");
    assert_eq!(attributes(&waiting, &names[2..]), ["wait", "cancelled", "cancelled"]);
    let [of_step, of_whole] = [&waiting, &received.span("workflow report")]
        .map(|span| attributes(span, &["execution_id"]).remove(0));
    assert_eq!((of_step.len(), &of_step), (36, &of_whole), "an id is made where none is given");

    let lines = pipeline.lines.json();
    let failed: Vec<_> = lines.iter().filter(|line| line["error"].is_object()).collect();
    let said: Vec<_> = failed.iter().map(|line| (&line["level"], &line["message"])).collect();
    assert_eq!(
        said,
        [(&"WARN".into(), &"step failed".into()), (&"ERROR".into(), &"workflow failed".into())]
    );
    for line in failed {
        assert_eq!(
            (&line["workflow"], &line["metadata"]["execution_id"]),
            (&"analysis".into(), &"run-42".into())
        );
        assert_eq!((&line["userId"], &line["agentId"]), (&"u-17".into(), &"planner".into()));
        assert_eq!(line["error"]["message"], "no such table");
    }
}
