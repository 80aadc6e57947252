//! `GET /`: the service at a glance.

#[cfg(feature = "alerts")]
mod alerts;
#[cfg(feature = "errors")]
mod errors;
#[cfg(feature = "health")]
mod health;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
#[cfg(any(feature = "alerts", feature = "errors"))]
use obs_model::Timestamp;

use super::figures::{Figures, figures};
use super::format::Unit;
use super::layout::{self, Pill};
use crate::AdminState;
use crate::reply::{self, ApiError};
use crate::router::App;

/// How many rows a table of the first page has at most.
#[cfg(any(feature = "alerts", feature = "errors"))]
const MAX_ROWS: usize = 10;

/// Everything that the first page shows, read once.
struct Overview {
    #[cfg(any(feature = "alerts", feature = "errors"))]
    now: Timestamp,
    #[cfg(feature = "health")]
    health: Option<obs_model::HealthReport>,
    #[cfg(feature = "alerts")]
    alerts: Option<alerts::Alerts>,
    #[cfg(feature = "errors")]
    errors: Option<Vec<obs_errors::ErrorGroup>>,
    figures: Option<Figures>,
}

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>) -> Response {
    match read(&app.state).await {
        Ok(overview) => {
            let body = overview.render();
            let frame = app.frame(Some(overview.status()));
            reply::page(StatusCode::OK, layout::framed("", &frame, body))
        }
        Err(error) => error.into_response(),
    }
}

async fn read(state: &AdminState) -> Result<Overview, ApiError> {
    #[cfg(feature = "health")]
    let health = match state.health() {
        Some(registry) => Some(registry.report().await),
        None => None,
    };
    let now = state.clock().now();
    let store = state.store().cloned();
    // Reading the charts' series takes milliseconds, which belong on a thread that may block.
    let figures = tokio::task::spawn_blocking(move || {
        store.map(|store| figures(&*store, now, store.config().sample_interval))
    });
    let figures = figures.await.map_err(|_| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the charts could not be made; the service's log says why",
        )
    })?;
    Ok(Overview {
        #[cfg(any(feature = "alerts", feature = "errors"))]
        now,
        #[cfg(feature = "health")]
        health,
        #[cfg(feature = "alerts")]
        alerts: state.alerts().map(|engine| alerts::Alerts::read(engine)),
        #[cfg(feature = "errors")]
        errors: state.errors().map(obs_errors::ErrorTracker::groups),
        figures,
    })
}

impl Overview {
    /// The word beside the service's name: the worse of what health and alerts say.
    fn status(&self) -> Pill {
        #[cfg(feature = "health")]
        let health = self.health.as_ref().map(|report| report.status);
        #[cfg(feature = "health")]
        if health == Some(obs_model::HealthStatus::Unhealthy) {
            return Pill { tone: "bad", text: "Unhealthy" };
        }
        #[cfg(feature = "alerts")]
        if let Some(severity) = self.alerts.as_ref().and_then(alerts::Alerts::worst) {
            return Pill { tone: alerts::tone(severity), text: "Alerts firing" };
        }
        #[cfg(feature = "health")]
        match health {
            Some(obs_model::HealthStatus::Degraded) => {
                return Pill { tone: "warn", text: "Degraded" };
            }
            Some(_) => return Pill { tone: "ok", text: "Healthy" },
            None => {}
        }
        Pill { tone: "", text: "Running" }
    }

    fn render(&self) -> Markup {
        html! {
            (self.tiles())
            div.pair {
                (self.alerts_card())
                (self.health_card())
            }
            (self.charts())
            (self.errors_card())
        }
    }

    fn tiles(&self) -> Markup {
        let figure = |read: fn(&Figures) -> Option<f64>| self.figures.as_ref().and_then(read);
        let error_percent = figure(|figures| figures.error_percent);
        let tone = match error_percent {
            Some(percent) if percent >= 10.0 => "bad",
            Some(percent) if percent >= 1.0 => "warn",
            _ => "",
        };
        html! {
            dl.tiles {
                (self.alerts_tile())
                (tile("Requests", figure(|figures| figures.request_rate), Unit::PerSecond, "", "last minute"))
                (tile("Failed", error_percent, Unit::Percent, tone, "of requests, last minute"))
                (tile("Response time", figure(|figures| figures.latency_p95), Unit::Milliseconds, "", "p95, last minute"))
                (tile("Memory", figure(|figures| figures.memory), Unit::Bytes, "", "resident"))
            }
        }
    }

    fn charts(&self) -> Markup {
        let Some(figures) = &self.figures else {
            return html! {
                section.card {
                    div.card-head { h2 { "Charts" } }
                    div.empty {
                        p { "There is no series store." }
                        p { "Charts appear when the service hands one to the admin listener." }
                    }
                }
            };
        };
        html! {
            section aria-label="The last 15 minutes" {
                div.card-head { h2 { "Last 15 minutes" } span.aside { "times in UTC" } }
                div.charts { @for chart in &figures.charts { (chart.render()) } }
            }
        }
    }
}

fn tile(name: &str, value: Option<f64>, unit: Unit, tone: &str, about: &str) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            @match value {
                Some(value) => dd { span class=(tone) { (unit.write(value)) } },
                None => dd.none { "–" },
            }
            p { @if value.is_some() { (about) } @else { "no data yet" } }
        }
    }
}

/// The parts whose pillar may not be built in.
impl Overview {
    #[cfg(feature = "alerts")]
    fn alerts_tile(&self) -> Markup {
        alerts::tile(self.alerts.as_ref())
    }

    #[cfg(not(feature = "alerts"))]
    fn alerts_tile(&self) -> Markup {
        tile_off("Alerts firing")
    }

    #[cfg(feature = "alerts")]
    fn alerts_card(&self) -> Markup {
        alerts::card(self.alerts.as_ref(), self.now)
    }

    #[cfg(not(feature = "alerts"))]
    fn alerts_card(&self) -> Markup {
        off_card("Alerts", "Alerting is not built into this service.")
    }

    #[cfg(feature = "health")]
    fn health_card(&self) -> Markup {
        health::card(self.health.as_ref())
    }

    #[cfg(not(feature = "health"))]
    fn health_card(&self) -> Markup {
        off_card("Health", "Health checks are not built into this service.")
    }

    #[cfg(feature = "errors")]
    fn errors_card(&self) -> Markup {
        errors::card(self.errors.as_deref(), self.now)
    }

    #[cfg(not(feature = "errors"))]
    fn errors_card(&self) -> Markup {
        off_card("Errors", "Error tracking is not built into this service.")
    }
}

fn tile_off(name: &str) -> Markup {
    html! { div.tile { dt { (name) } dd.none { "–" } p { "switched off" } } }
}

fn off_card(title: &str, text: &str) -> Markup {
    html! {
        section.card {
            div.card-head { h2 { (title) } }
            div.empty { p { (text) } }
        }
    }
}

/// A link to all rows when a table does not show them all.
#[cfg(any(feature = "alerts", feature = "errors"))]
fn more(total: usize, href: &str) -> Markup {
    html! {
        @if total > MAX_ROWS { p.note { a href=(href) { "All " (total) } " as JSON" } }
    }
}

#[cfg(any(feature = "alerts", feature = "health", feature = "errors"))]
fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
