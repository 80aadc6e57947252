//! `parse_query` and `format_query`: what a query's text means, and how it is written well.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use obs_query::promql;

use super::answer::{self, Refusal};
use super::form::Form;
use crate::router::App;

/// `parse_query`: the syntax tree.
pub(super) async fn tree(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    parsed(&app, &form, |expr| answer::serialized(&promql::json(expr))).await
}

/// `format_query`: the query over several lines, as Prometheus lays it out.
pub(super) async fn pretty(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    parsed(&app, &form, |expr| answer::serialized(&promql::format(expr))).await
}

/// Reads the query where it does not hold up others: it may be long.
async fn parsed(
    app: &App,
    form: &Form,
    show: impl FnOnce(&promql::Expr) -> Result<Response, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let query = form.text("query").unwrap_or_default().to_owned();
    let engine = &app.prometheus.engine;
    let (options, timeout) = (engine.parse, engine.timeout);
    let work = move |_| {
        let expr =
            promql::parse(&query, options).map_err(|error| Refusal::parameter("query", error))?;
        show(&expr)
    };
    app.queries.run(timeout, work).await
}
