//! One call of a tool, on either side.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use metrics::SharedString;
use obs_model::{Context, CorrelationId, WithContext};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::meta::{self, Meta};
use crate::duration::milliseconds;
use crate::incoming::Incoming;
use crate::names::NameCap;
use crate::operation::{Ended, Observer, watch};
use crate::outgoing;

/// How many tools have a label of their own.
const TOOLS: usize = 200;

const TARGET: &str = "obskit::tool";

/// The type of the error of a result that says itself that it is one, by OpenTelemetry's conventions for MCP.
const TOOL_ERROR: &str = "tool_error";

/// Opens the span of one side of a call.
macro_rules! tool_span {
    ($span:literal, $kind:literal, $tool:expr $(, parent: $parent:expr)?) => {
        tracing::info_span!(
            target: TARGET,
            $(parent: $parent,)?
            $span,
            otel.name = format_args!("tools/call {}", $tool),
            otel.kind = $kind,
            otel.status_code = Empty,
            mcp.method.name = "tools/call",
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = $tool,
            error.type = Empty,
        )
    };
}

/// The tools whose metrics have no namespace.
static PLAIN: LazyLock<Tools> = LazyLock::new(|| Tools::new(""));

/// Calls the tool `name`: `send` gets what belongs into `_meta` of the request.
///
/// # Errors
///
/// Those of the call, unchanged.
pub async fn call<F, T, E>(name: &str, send: impl FnOnce(Meta) -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: fmt::Display,
{
    PLAIN.call(name, send).await
}

/// Serves a call of the tool `name`, whose request had this `_meta`.
///
/// # Errors
///
/// Those of the tool, unchanged.
pub async fn serve<T, E>(
    name: &str,
    meta: Option<&Meta>,
    tool: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: fmt::Display,
{
    PLAIN.serve(name, meta, tool).await
}

/// Tools whose metrics share a namespace; cheap to clone.
///
/// ```
/// use obs_tracing::tools::Tools;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Counts in `analyst_tool_executions_total`.
/// let tools = Tools::new("analyst");
/// let rows = tools.serve("query", None, async { Ok::<_, std::io::Error>(3) }).await?;
/// assert_eq!(rows, 3);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Tools<R = AsReturned> {
    inner: Arc<Inner>,
    results: R,
}

/// Says of a result that was returned as a success whether it is one.
pub trait JudgeResult<T> {
    /// Whether the tool failed.
    fn is_error(&self, result: &T) -> bool;
}

/// Takes what is returned for what it is: `Ok` is a success.
#[derive(Clone, Copy, Debug)]
pub struct AsReturned;

impl<T> JudgeResult<T> for AsReturned {
    fn is_error(&self, _: &T) -> bool {
        false
    }
}

impl<T, F: Fn(&T) -> bool> JudgeResult<T> for F {
    fn is_error(&self, result: &T) -> bool {
        self(result)
    }
}

#[derive(Debug)]
struct Inner {
    called: Families,
    served: Families,
    names: NameCap,
}

/// The names of the metrics of one side.
#[derive(Clone, Debug)]
struct Families {
    ended: SharedString,
    duration: SharedString,
    errors: SharedString,
}

impl Families {
    fn new(prefix: &str, names: [&str; 3]) -> Self {
        let [ended, duration, errors] =
            names.map(|name| SharedString::from_owned(format!("{prefix}{name}")));
        Self { ended, duration, errors }
    }
}

impl Tools {
    /// Tools whose metrics begin with `{namespace}_`, or with nothing when that is empty.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        let prefix = match namespace.trim_end_matches('_') {
            "" => String::new(),
            namespace => format!("{namespace}_"),
        };
        let called = ["tool_calls_total", "tool_call_duration_seconds", "tool_call_errors_total"];
        let served = ["tool_executions_total", "tool_duration_seconds", "tool_errors_total"];
        let inner = Arc::new(Inner {
            called: Families::new(&prefix, called),
            served: Families::new(&prefix, served),
            names: NameCap::new(TOOLS),
        });
        Self { inner, results: AsReturned }
    }

    /// Tools whose results say themselves whether they are errors, as those of MCP do by `isError`: one that does counts
    /// as an error of the type `tool_error`, which is OpenTelemetry's name for it.
    ///
    /// ```
    /// use obs_tracing::tools::Tools;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// struct CallToolResult {
    ///     is_error: Option<bool>,
    /// }
    ///
    /// let tools = Tools::new("").failing_if(|result: &CallToolResult| result.is_error == Some(true));
    /// let refused = async { Ok::<_, std::io::Error>(CallToolResult { is_error: Some(true) }) };
    /// // Counts in `tool_errors_total{error_type="tool_error"}`, and is returned as it is.
    /// assert!(tools.serve("query", None, refused).await?.is_error.unwrap());
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn failing_if<T, F: Fn(&T) -> bool>(self, is_error: F) -> Tools<F> {
        Tools { inner: self.inner, results: is_error }
    }
}

impl<R> Tools<R> {
    /// As [`call`], counted in this namespace.
    ///
    /// # Errors
    ///
    /// Those of the call, unchanged.
    pub async fn call<F, T, E>(&self, name: &str, send: impl FnOnce(Meta) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: fmt::Display,
        R: JudgeResult<T>,
    {
        let context = outgoing::calling_context().with_tool(name);
        let (span, future) = {
            let _entered = context.clone().enter();
            let span = tool_span!("tool.call", "client", name);
            let future = span.in_scope(|| {
                let mut meta = Meta::new();
                meta::inject(&mut meta);
                send(meta)
            });
            (span, future)
        };
        self.watch(&self.inner.called, name, span, context, future).await
    }

    /// As [`serve`], counted in this namespace.
    ///
    /// # Errors
    ///
    /// Those of the tool, unchanged.
    pub async fn serve<T, E>(
        &self,
        name: &str,
        meta: Option<&Meta>,
        tool: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: fmt::Display,
        R: JudgeResult<T>,
    {
        let (span, context) = open(name, meta);
        self.watch(&self.inner.served, name, span, context, tool).await
    }

    async fn watch<T, E>(
        &self,
        families: &Families,
        name: &str,
        span: Span,
        context: Context,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: fmt::Display,
        R: JudgeResult<T>,
    {
        let run = Run {
            results: &self.results,
            families: families.clone(),
            tool: self.inner.names.label(name),
            span: span.clone(),
            context: context.clone(),
            started: Instant::now(),
        };
        watch(run, future.in_context(context).instrument(span)).await
    }
}

/// The span and the context of a call that is served.
fn open(name: &str, meta: Option<&Meta>) -> (Span, Context) {
    let ambient = Context::current();
    let around = outgoing::parent(&ambient).map(|parent| parent.trace);
    let caller = meta.and_then(meta::caller);
    let trace = caller.and_then(|caller| caller.parent).map(|(trace, _)| trace);
    let correlation = meta
        .and_then(meta::correlation)
        .or_else(|| ambient.correlation().cloned())
        .unwrap_or_else(CorrelationId::generate);
    let baggage = meta.and_then(meta::taken_baggage);
    // A request that belongs to the caller's trace is a part of the call, and so the tool's work is a part of it.
    if around.is_some() && (trace.is_none() || trace == around) {
        let mut context = ambient.with_correlation(correlation).with_tool(name);
        if let Some(baggage) = baggage {
            context = context.with_baggage(baggage);
        }
        let _entered = context.clone().enter();
        return (tool_span!("tool.serve", "server", name), context.clone());
    }
    let incoming = Incoming::new(correlation, caller, baggage);
    let span = incoming.open(name, |_| tool_span!("tool.serve", "server", name, parent: None));
    let context = incoming.context_within(&span).with_tool(name).or(&ambient);
    (span, context)
}

/// A call that runs.
struct Run<'a, R> {
    results: &'a R,
    families: Families,
    tool: SharedString,
    span: Span,
    context: Context,
    started: Instant,
}

impl<R> Run<'_, R> {
    fn count_error(&self, error_type: SharedString) {
        self.span.record("error.type", &*error_type);
        self.span.record("otel.status_code", "ERROR");
        metrics::counter!(
            self.families.errors.clone(),
            "tool_name" => self.tool.clone(), "error_type" => error_type
        )
        .increment(1);
    }

    /// Tells of a result that says that it is an error.
    fn tell_refusal(&self, duration_ms: f64) {
        let name = TOOL_ERROR;
        self.within(
            || tracing::warn!(target: TARGET, duration_ms, error.name = name, "tool failed"),
        );
        self.count_error(SharedString::const_str(name));
    }

    fn within(&self, log: impl FnOnce()) {
        let _entered = self.context.clone().enter();
        self.span.in_scope(log);
    }
}

impl<T, E: fmt::Display, R: JudgeResult<T>> Observer<T, E> for Run<'_, R> {
    fn end(self, how: Ended<'_, T, E>) {
        let took = self.started.elapsed();
        let duration_ms = milliseconds(took);
        let is_refusal = matches!(how, Ended::Done(result) if self.results.is_error(result));
        let status = if is_refusal { "error" } else { how.status() };
        metrics::counter!(
            self.families.ended.clone(),
            "tool_name" => self.tool.clone(), "status" => status
        )
        .increment(1);
        metrics::histogram!(self.families.duration.clone(), "tool_name" => self.tool.clone())
            .record(took);
        match how {
            Ended::Done(_) if is_refusal => self.tell_refusal(duration_ms),
            Ended::Done(_) => self.within(|| {
                tracing::debug!(target: TARGET, duration_ms, "tool finished");
            }),
            Ended::Failed(error) => {
                let name = obs_model::type_name_of::<E>();
                self.within(|| {
                    tracing::warn!(
                        target: TARGET,
                        duration_ms,
                        error.name = &*name,
                        error.message = %error,
                        "tool failed"
                    );
                });
                self.count_error(name.into());
            }
            Ended::Cancelled => {
                self.span.record("error.type", "cancelled");
            }
            Ended::Panicked => self.count_error("panic".into()),
        }
    }
}
