//! Work that is tracked to its end, whichever end that is.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use obs_metrics::catalog::{
    DatabaseMetrics, LlmMetrics, ToolMetrics, WorkflowMetrics, WorkflowOwner,
};
use obs_metrics::{Outcome, Registry};

#[derive(Debug, PartialEq)]
struct ToolError(u32);

const ACTIVE: &str = "t_workflow_active_executions";

fn executions(registry: &Registry, status: &str) -> Option<f64> {
    let labels = [("status", status), ("user_id", "u"), ("organization_id", "o")];
    registry.value("t_workflow_executions_total", &labels)
}

fn durations(registry: &Registry, status: &str, step: &str) -> Option<f64> {
    registry.value("t_workflow_duration_seconds_count", &[("status", status), ("step", step)])
}

fn steps(registry: &Registry, step: &str, status: &str) -> Option<f64> {
    let labels = [("step_name", step), ("status", status)];
    registry.value("t_workflow_step_executions_total", &labels)
}

fn setup() -> (Registry, WorkflowMetrics) {
    let registry = Registry::default();
    let workflows = WorkflowMetrics::new(&registry, "t");
    (registry, workflows)
}

fn owner() -> WorkflowOwner {
    WorkflowOwner::new("u", "o")
}

#[tokio::test]
async fn a_workflow_is_active_while_it_runs_and_counted_with_its_last_step() {
    let (registry, workflows) = setup();
    let result: Result<u32, ToolError> = workflows
        .track(owner(), async {
            assert_eq!(registry.value(ACTIVE, &[]), Some(1.0));
            workflows.track_step("plan", ready(Ok::<_, ToolError>(()))).await?;
            tokio::task::yield_now().await;
            workflows.track_step("query", ready(Ok(7))).await
        })
        .await;
    assert_eq!(result, Ok(7));
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
    assert_eq!(executions(&registry, "success"), Some(1.0));
    assert_eq!(durations(&registry, "success", "query"), Some(1.0));
    assert_eq!(steps(&registry, "plan", "success"), Some(1.0));
    assert_eq!(steps(&registry, "query", "success"), Some(1.0));
    let labels = [("step_name", "plan")];
    assert_eq!(registry.value("t_workflow_step_duration_seconds_count", &labels), Some(1.0));
}

#[tokio::test]
async fn an_error_is_counted_and_passed_through_untouched() {
    let (registry, workflows) = setup();
    let tools = ToolMetrics::new(&registry, "t");
    let result: Result<(), ToolError> = workflows
        .track(
            owner(),
            workflows.track_step("call", tools.track("search", ready(Err(ToolError(5))))),
        )
        .await;
    assert_eq!(result, Err(ToolError(5)));
    assert_eq!(executions(&registry, "error"), Some(1.0));
    assert_eq!(durations(&registry, "error", "call"), Some(1.0));
    assert_eq!(steps(&registry, "call", "error"), Some(1.0));
    let tool =
        |name: &str, label: (&str, &str)| registry.value(name, &[("tool_name", "search"), label]);
    assert_eq!(tool("t_tool_executions_total", ("status", "error")), Some(1.0));
    assert_eq!(tool("t_tool_errors_total", ("error_type", "ToolError")), Some(1.0));
    assert_eq!(
        registry.value("t_tool_duration_seconds_count", &[("tool_name", "search")]),
        Some(1.0)
    );
}

#[tokio::test]
async fn a_boxed_error_is_classified_by_the_caller() {
    let registry = Registry::default();
    let tools = ToolMetrics::new(&registry, "t");
    let failing = ready(Err::<(), Box<dyn std::error::Error>>("no".into()));
    let result = tools.track_classified("x", failing, |error| error.to_string().into()).await;
    assert_eq!(result.unwrap_err().to_string(), "no");
    let labels = [("tool_name", "x"), ("error_type", "no")];
    assert_eq!(registry.value("t_tool_errors_total", &labels), Some(1.0));
}

#[test]
fn a_cancelled_future_counts_as_cancelled_and_the_gauge_comes_down() {
    let (registry, workflows) = setup();
    let tools = ToolMetrics::new(&registry, "t");
    let never = pending::<Result<(), ToolError>>();
    let work = workflows.track(owner(), workflows.track_step("wait", tools.track("slow", never)));
    {
        let mut work = pin!(work);
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(registry.value(ACTIVE, &[]), Some(1.0));
    }
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
    assert_eq!(executions(&registry, "cancelled"), Some(1.0));
    assert_eq!(durations(&registry, "cancelled", "wait"), Some(1.0));
    assert_eq!(steps(&registry, "wait", "cancelled"), Some(1.0));
    let labels = [("tool_name", "slow"), ("status", "cancelled")];
    assert_eq!(registry.value("t_tool_executions_total", &labels), Some(1.0));
    assert!(!registry.render_text().contains("t_tool_errors_total{"));
}

#[test]
fn a_future_that_is_never_polled_is_not_counted() {
    let (registry, workflows) = setup();
    drop(workflows.track(owner(), ready(Ok::<_, ToolError>(()))));
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
    assert!(!registry.render_text().contains("t_workflow_executions_total"));
}

#[tokio::test]
async fn a_panic_counts_as_panicked_and_goes_on() {
    let (registry, workflows) = setup();
    let tools = ToolMetrics::new(&registry, "t");
    let exploding = async {
        tokio::task::yield_now().await;
        if tools_are_broken() {
            panic!("tool exploded");
        }
        Ok::<(), ToolError>(())
    };
    let work = workflows.track(owner(), workflows.track_step("call", tools.track("x", exploding)));
    let panic = tokio::spawn(work).await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"tool exploded"));
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
    assert_eq!(executions(&registry, "panicked"), Some(1.0));
    assert_eq!(durations(&registry, "panicked", "call"), Some(1.0));
    assert_eq!(steps(&registry, "call", "panicked"), Some(1.0));
    let labels = [("tool_name", "x"), ("error_type", "panic")];
    assert_eq!(registry.value("t_tool_errors_total", &labels), Some(1.0));
    assert_eq!(executions(&registry, "cancelled"), None);
}

/// Always; a function so that the code after the panic is not seen as dead.
fn tools_are_broken() -> bool {
    std::hint::black_box(true)
}

#[test]
fn work_that_another_ones_panic_drops_was_cancelled() {
    let (registry, workflows) = setup();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut work = Box::pin(workflows.track(owner(), pending::<Result<(), ToolError>>()));
        let _ = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        panic!("elsewhere");
    }));
    assert!(result.is_err());
    assert_eq!(executions(&registry, "cancelled"), Some(1.0));
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
}

#[test]
fn guards_count_work_that_is_not_a_future() {
    let (registry, workflows) = setup();
    let run = workflows.start(owner());
    run.reach("by hand");
    run.finish(Outcome::Success);
    drop(workflows.start(owner()));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _run = workflows.start(owner());
        let _step = workflows.start_step("lonely");
        panic!("here");
    }));
    assert!(panicked.is_err());
    assert_eq!(durations(&registry, "success", "by hand"), Some(1.0));
    assert_eq!(durations(&registry, "cancelled", "none"), Some(1.0));
    assert_eq!(durations(&registry, "panicked", "none"), Some(1.0));
    assert_eq!(steps(&registry, "lonely", "panicked"), Some(1.0));
    assert_eq!(registry.value(ACTIVE, &[]), Some(0.0));
}

#[tokio::test]
async fn workflows_that_take_turns_on_one_thread_keep_their_own_steps() {
    let (registry, workflows) = setup();
    let one = |step: &'static str| {
        let workflows = workflows.clone();
        async move {
            let inner = workflows.clone();
            let work = async move {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                    inner.track_step(step, ready(Ok::<_, ToolError>(()))).await?;
                }
                Ok::<_, ToolError>(())
            };
            workflows.track(owner(), work).await
        }
    };
    let (first, second) = tokio::join!(one("a"), one("b"));
    assert_eq!((first, second), (Ok(()), Ok(())));
    // A step outside of any workflow belongs to none.
    workflows.start_step("stray").finish(Outcome::Success);
    for step in ["a", "b"] {
        assert_eq!(durations(&registry, "success", step), Some(1.0));
    }
    assert_eq!(durations(&registry, "success", "stray"), None);
}

#[tokio::test]
async fn a_step_after_a_workflow_within_a_workflow_is_the_outer_ones() {
    let (registry, workflows) = setup();
    let step = |name| workflows.track_step(name, ready(Ok::<_, ToolError>(())));
    let inner = || workflows.track(WorkflowOwner::new("u", "inner"), step("deep"));
    let outer = async {
        step("before").await?;
        inner().await?;
        step("after").await
    };
    assert_eq!(workflows.track(owner(), outer).await, Ok(()));
    assert_eq!(durations(&registry, "success", "after"), Some(1.0));
    assert_eq!(durations(&registry, "success", "deep"), Some(1.0));
    assert_eq!(durations(&registry, "success", "before"), None);
}

#[tokio::test]
async fn an_unknown_owner_is_none_and_the_context_can_name_it() {
    let (registry, workflows) = setup();
    let _ = workflows.track(WorkflowOwner::default(), ready(Ok::<_, ToolError>(()))).await;
    let entered = obs_model::Context::new().with_user("u").with_organization("o").enter();
    let owner = WorkflowOwner::current();
    drop(entered);
    let _ = workflows.track(owner, ready(Ok::<_, ToolError>(()))).await;
    let labels = [("status", "success"), ("user_id", "none"), ("organization_id", "none")];
    assert_eq!(registry.value("t_workflow_executions_total", &labels), Some(1.0));
    assert_eq!(executions(&registry, "success"), Some(1.0));
}

#[tokio::test]
async fn a_future_that_is_not_send_can_be_tracked() {
    let (registry, workflows) = setup();
    let seen = Rc::new(Cell::new(0));
    let inside = Rc::clone(&seen);
    let work = workflows.track(owner(), async move {
        tokio::task::yield_now().await;
        inside.set(1);
        Ok::<_, ToolError>(())
    });
    assert_eq!(work.await, Ok(()));
    assert_eq!((seen.get(), executions(&registry, "success")), (1, Some(1.0)));
}

#[tokio::test]
async fn queries_and_requests_to_models_are_tracked_too() {
    let registry = Registry::default();
    let database = DatabaseMetrics::new(&registry);
    let llm = LlmMetrics::new(&registry);
    assert_eq!(
        database.track("select", ready(Err::<(), _>(ToolError(1)))).await,
        Err(ToolError(1))
    );
    assert_eq!(llm.track("m", "a", ready(Err::<(), _>(ToolError(2)))).await, Err(ToolError(2)));
    assert_eq!(llm.track("m", "a", ready(Ok::<_, ToolError>(3))).await, Ok(3));
    for (name, labels) in [
        ("database_query_duration_seconds_count", &[("operation", "select")][..]),
        ("database_errors_total", &[("error_type", "ToolError")]),
        ("llm_errors_total", &[("model", "m"), ("error_type", "ToolError")]),
        ("llm_requests_total", &[("model", "m"), ("agent", "a"), ("status", "error")]),
        ("llm_requests_total", &[("model", "m"), ("agent", "a"), ("status", "success")]),
    ] {
        assert_eq!(registry.value(name, labels), Some(1.0), "{name}");
    }
}
