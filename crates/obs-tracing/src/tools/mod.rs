//! Calls of tools, as in the Model Context Protocol (MCP): a span, the ids in `_meta`, and metrics, on both sides.
//!
//! ```
//! use obs_model::{Context, CorrelationId};
//! use obs_tracing::tools::{self, Meta};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // The server: `meta` is `params._meta` of the request `tools/call`.
//! async fn search(meta: &Meta) -> Result<Option<CorrelationId>, std::io::Error> {
//!     let work = async { Ok(Context::current().correlation().cloned()) };
//!     tools::serve("search", Some(meta), work).await
//! }
//!
//! // The caller: what it gets belongs into `params._meta`, beside whatever else stands there.
//! let _entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
//! let seen = tools::call("search", async |meta| search(&meta).await).await?;
//! assert_eq!(seen.unwrap().as_str(), "req-42");
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```
//!
//! In `_meta` stand `traceparent` and, as far as it may be sent, `baggage`, as in the headers of W3C, and `correlationId`. Of what comes in, an id that
//! is not valid is replaced, and counts in `obskit_correlation_replaced_total`; other members are left alone. An answer
//! may have such a `_meta` too: [`inject`] fills it.
//!
//! Each call, once:
//!
//! - runs in a span `tool.call` (kind client) or `tool.serve` (kind server), named `tools/call {tool}`, with
//!   `mcp.method.name`, `gen_ai.operation.name`, `gen_ai.tool.name` and `error.type`, and under a context that names the
//!   tool. The server's span belongs to the caller's; where the call came in by a request that is observed and belongs to
//!   the same trace, it belongs to that request's span, which is a part of the caller's;
//! - writes a line at DEBUG when it has ended, or at WARN when it failed;
//! - counts by how it ended, `success`, `error`, `cancelled` or `panicked`:
//!
//! | the caller | the server | |
//! |---|---|---|
//! | `tool_calls_total` | `tool_executions_total` | by `tool_name` and `status` |
//! | `tool_call_duration_seconds` | `tool_duration_seconds` | by `tool_name` |
//! | `tool_call_errors_total` | `tool_errors_total` | by `tool_name` and `error_type` |
//!
//! With [`Tools::new`] the names begin with a namespace. Those of the server are then the families of
//! `obs_metrics::catalog::ToolMetrics`: a tool that is tracked there should not be served here too. The first 200 tools
//! are labels; further ones are `other`. A result that only says inside that it is an error, as those of MCP do by
//! `isError`, counts as one where [`Tools::failing_if`] says how it is told.

mod meta;
mod run;

pub use meta::{Meta, inject};
pub use run::{AsReturned, JudgeResult, Tools, call, serve};
