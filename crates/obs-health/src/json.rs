//! The report as JSON, for the admin API and for a service's own router.
//!
//! ```json
//! {
//!   "status": "degraded",
//!   "timestamp": "2026-11-22T04:35:39.007Z",
//!   "version": "1.4.2",
//!   "checks": {
//!     "database": {"status": "healthy", "message": "", "latency": 1.25, "details": {"connections": 3}}
//!   },
//!   "metrics": {"uptime": 86400.5, "requestsPerMinute": 120.0, "averageResponseTime": 3.5, "activeUsers": null}
//! }
//! ```
//!
//! `latency` and `averageResponseTime` are milliseconds, `uptime` is seconds, `activeUsers` counts the last five
//! minutes. A figure that nothing measures is `null`, and so is the version when none is set.

use std::time::Duration;

use obs_model::{CheckReport, FieldValue, HealthReport, HealthStatus};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The `Content-Type` of the report.
pub const CONTENT_TYPE: &str = "application/json";

/// The HTTP status that answers a probe: 503 when the service is unhealthy, else 200.
///
/// A degraded service still works, so an orchestrator must neither restart it nor keep work from it.
#[must_use]
pub const fn http_status(status: HealthStatus) -> u16 {
    match status {
        HealthStatus::Healthy | HealthStatus::Degraded => 200,
        HealthStatus::Unhealthy => 503,
    }
}

/// The report on one line.
#[must_use]
pub fn to_string(report: &HealthReport) -> String {
    // OK because nothing in a report fails to serialize: its keys are texts, and a NaN becomes null.
    serde_json::to_string(&Report::from(report)).unwrap_or_default()
}

/// The report as a value, to be put into a larger one.
#[must_use]
pub fn to_value(report: &HealthReport) -> serde_json::Value {
    // OK for the same reason as above.
    serde_json::to_value(Report::from(report)).unwrap_or_default()
}

#[derive(serde::Serialize)]
struct Report<'a> {
    status: &'static str,
    timestamp: String,
    version: Option<&'a str>,
    checks: Checks<'a>,
    metrics: Metrics,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    uptime: f64,
    requests_per_minute: Option<f64>,
    average_response_time: Option<f64>,
    active_users: Option<u64>,
}

struct Checks<'a>(&'a HealthReport);

#[derive(serde::Serialize)]
struct CheckJson<'a> {
    status: &'static str,
    message: &'a str,
    latency: f64,
    details: Details<'a>,
}

struct Details<'a>(&'a [(String, FieldValue)]);

struct Value<'a>(&'a FieldValue);

impl<'a> From<&'a HealthReport> for Report<'a> {
    fn from(report: &'a HealthReport) -> Self {
        let figures = &report.figures;
        Self {
            status: report.status.as_str(),
            timestamp: report.timestamp.to_string(),
            version: report.version.as_deref(),
            checks: Checks(report),
            metrics: Metrics {
                uptime: millis(figures.uptime) / 1_000.0,
                requests_per_minute: figures.requests_per_minute,
                average_response_time: figures.average_response_time.map(millis),
                active_users: figures.active_users,
            },
        }
    }
}

impl<'a> From<&'a CheckReport> for CheckJson<'a> {
    fn from(check: &'a CheckReport) -> Self {
        Self {
            status: check.status.as_str(),
            message: &check.message,
            latency: millis(check.latency),
            details: Details(&check.details),
        }
    }
}

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.checks.iter().map(|(name, check)| (name, CheckJson::from(check))))
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Value(value))?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldValue::Bool(value) => serializer.serialize_bool(*value),
            FieldValue::I64(value) => serializer.serialize_i64(*value),
            FieldValue::U64(value) => serializer.serialize_u64(*value),
            FieldValue::F64(value) => serializer.serialize_f64(*value),
            FieldValue::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use obs_model::{ServiceFigures, Timestamp};

    fn report() -> HealthReport {
        let check = |status, message: &str, micros, details| CheckReport {
            status,
            critical: true,
            message: message.to_owned(),
            latency: Duration::from_micros(micros),
            details,
        };
        HealthReport {
            status: HealthStatus::Degraded,
            timestamp: Timestamp::from_millis(1_795_322_139_007),
            version: Some("1.4.2".into()),
            checks: BTreeMap::from([
                (
                    "database".to_owned(),
                    check(
                        HealthStatus::Healthy,
                        "",
                        1_250,
                        vec![
                            ("connections".to_owned(), 3_u64.into()),
                            ("primary".to_owned(), true.into()),
                            ("lag".to_owned(), 0.5.into()),
                            ("drift".to_owned(), (-2_i64).into()),
                            ("host".to_owned(), "db-1".into()),
                            ("ratio".to_owned(), f64::NAN.into()),
                        ],
                    ),
                ),
                (
                    "mail".to_owned(),
                    check(HealthStatus::Degraded, "slow \"relay\"", 90_000, vec![]),
                ),
            ]),
            figures: ServiceFigures {
                uptime: Duration::from_millis(86_400_500),
                requests_per_minute: Some(120.0),
                average_response_time: Some(Duration::from_micros(3_500)),
                active_users: None,
            },
        }
    }

    #[test]
    fn the_report_has_the_keys_and_units_that_are_documented() {
        let expected = concat!(
            r#"{"status":"degraded","timestamp":"2026-11-22T04:35:39.007Z","version":"1.4.2","#,
            r#""checks":{"database":{"status":"healthy","message":"","latency":1.25,"#,
            r#""details":{"connections":3,"primary":true,"lag":0.5,"drift":-2,"host":"db-1","ratio":null}},"#,
            r#""mail":{"status":"degraded","message":"slow \"relay\"","latency":90.0,"details":{}}},"#,
            r#""metrics":{"uptime":86400.5,"requestsPerMinute":120.0,"averageResponseTime":3.5,"#,
            r#""activeUsers":null}}"#,
        );
        assert_eq!(to_string(&report()), expected);
        assert_eq!(
            to_value(&report()),
            serde_json::from_str::<serde_json::Value>(expected).unwrap()
        );
    }

    #[test]
    fn an_empty_report_has_all_keys_too() {
        let empty = HealthReport {
            status: HealthStatus::Unhealthy,
            version: None,
            checks: BTreeMap::new(),
            figures: ServiceFigures::default(),
            ..report()
        };
        let expected = concat!(
            r#"{"status":"unhealthy","timestamp":"2026-11-22T04:35:39.007Z","version":null,"checks":{},"#,
            r#""metrics":{"uptime":0.0,"requestsPerMinute":null,"averageResponseTime":null,"activeUsers":null}}"#,
        );
        assert_eq!(to_string(&empty), expected);
    }

    #[test]
    fn only_an_unhealthy_service_answers_503() {
        let statuses = [HealthStatus::Healthy, HealthStatus::Degraded, HealthStatus::Unhealthy];
        assert_eq!(statuses.map(http_status), [200, 200, 503]);
    }
}
