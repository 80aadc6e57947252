//! The metrics that services in this field need, by their exact names, as typed handles.
//!
//! A group is made once from a [`Registry`](crate::Registry) and cloned to where it is used. Making it describes its metrics
//! and sets their buckets, unless the user did before; series appear with their first use, except for gauges of
//! what is active, which start at zero.
//!
//! Where the work can be a future, a `track…` method does everything; where it cannot, `start…` returns a guard.
//! Both count work that fails, panics or is cancelled too: see [`Outcome`](crate::Outcome).

mod agent;
mod business;
mod custom;
mod database;
mod described;
mod http;
mod labelled;
mod llm;
mod model;
mod network;
mod resource;
mod server;
mod tool;
mod workflow;

pub use self::agent::{AgentMetrics, AgentRun};
pub use self::business::BusinessMetrics;
pub use self::custom::{CustomCounter, CustomMetrics, record_business_metric, record_metric};
pub use self::database::{DatabaseMetrics, QueryRun};
pub use self::described::{describe_api, describe_logs};
pub use self::http::{HttpMetrics, HttpRun};
pub(crate) use self::labelled::Labelled;
pub use self::llm::{LlmCall, LlmMetrics, LlmRun};
pub use self::model::ModelMetrics;
pub use self::network::NetworkMetrics;
pub use self::resource::ResourceMetrics;
pub use self::server::{CacheLookup, ServerMetrics};
pub use self::tool::{ToolMetrics, ToolRun};
pub use self::workflow::{StepRun, WorkflowMetrics, WorkflowOwner, WorkflowRun};

use crate::names;

/// A label's value when there is nothing to say.
const NONE: &str = "none";

/// A metric's name in a namespace, which may be empty and may end with its underscore.
fn in_namespace(namespace: &str, name: &str) -> String {
    let namespace = namespace.trim_end_matches('_');
    if namespace.is_empty() {
        name.to_owned()
    } else {
        names::metric_name(&format!("{namespace}_{name}")).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_joined_by_one_underscore_and_made_valid() {
        for (namespace, expected) in
            [("analyst", "analyst_x"), ("analyst_", "analyst_x"), ("", "x"), ("my-app", "my_app_x")]
        {
            assert_eq!(in_namespace(namespace, "x"), expected);
        }
    }
}
