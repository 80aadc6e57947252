//! How the service is observed: obskit's start, and what only this service can say.

use std::sync::Arc;
use std::time::Duration;

use analyst::database::{Database, check_database};
use analyst::error::AnalystError;
use analyst::telemetry::Telemetry;
use obskit::alerts::{Operator, Signal, ThresholdRule};
use obskit::errors::Details;
use obskit::health::{Check, CheckOutcome};
use obskit::model::Severity;
use obskit::query::Selector;
use obskit::{Obskit, StartError};

/// Starts obskit. A file (`OBSKIT_CONFIG`) and the environment change what is set here.
pub(crate) async fn start() -> Result<Obskit, StartError> {
    obskit::init("analyst")
        .version(env!("CARGO_PKG_VERSION"))
        .defaults(|settings| {
            settings.metrics.namespace = String::from("analyst");
            settings.alerts.check_interval = Duration::from_secs(5);
        })
        .alert_rule(failing_analyses())
        .start()
        .await
}

/// More than one analysis in twenty fails: the load client's own mix is enough to set it off.
fn failing_analyses() -> ThresholdRule {
    let executions = Selector::metric("analyst_workflow_executions_total");
    let failed = executions.clone().equal("status", "error");
    ThresholdRule {
        for_: Duration::from_secs(10),
        severity: Severity::High,
        description: String::from("more than 5 % of the analyses of the last minute failed"),
        ..ThresholdRule::new(
            "analyst-failures",
            "AnalysesFail",
            Signal::ratio(failed, executions, Duration::from_secs(60)),
            Operator::Greater,
            0.05,
        )
    }
}

/// The service's own measurements, with every failed analysis tracked as an error.
pub(crate) fn telemetry(obs: &Obskit) -> Telemetry {
    let telemetry = Telemetry::new(obs.registry()).with_business_metrics(obs.business_metrics());
    let Some(errors) = obs.errors().cloned() else { return telemetry };
    telemetry.on_failure(Arc::new(move |error: &AnalystError, input: &str| {
        let details = Details { input: Some(&input), ..Details::default() };
        errors.capture_with(error, details);
    }))
}

/// Asks the database something small; it fails while the file is locked.
pub(crate) fn database_check(database: Database) -> Check {
    Check::new("database", move || {
        let database = database.clone();
        async move {
            match check_database(&database).await {
                Ok(took) => CheckOutcome::healthy()
                    .with_message("the flights table answers")
                    .with_detail("query_ms", took.as_secs_f64() * 1_000.0),
                Err(error) => CheckOutcome::unhealthy(error.to_string()),
            }
        }
    })
    .with_timeout(Duration::from_secs(2))
}
