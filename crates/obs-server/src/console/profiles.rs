//! `GET /debug/pprof/`: what can be profiled, and how to read it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use maud::html;

use super::layout;
use crate::reply;
use crate::router::App;

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    #[cfg(feature = "profiling")]
    let enabled = app.state.profiler().is_some();
    #[cfg(not(feature = "profiling"))]
    let enabled = false;
    // The host is the reader's own word for this listener; it is only ever shown back, escaped.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("HOST:PORT");
    let secret = if app.guard.asks_for_a_token() { ":TOKEN@" } else { "" };
    let command =
        format!("go tool pprof -http=: 'http://{secret}{host}/debug/pprof/profile?seconds=30'");
    let body = html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head { h2 { "CPU profile" } span.aside { "pprof form, one at a time" } }
            @if enabled {
                p { "A profile shows where the service spends its processor time while it is taken." }
                table {
                    thead { tr { th { "Download" } th { "Duration" } th { "Samples a second" } } }
                    tbody {
                        @for (seconds, hz) in [(5, 100), (30, 100), (60, 250)] {
                            @let href = format!("/debug/pprof/profile?seconds={seconds}&hz={hz}");
                            tr {
                                td { a href=(href) download { "profile, " (seconds) " s" } }
                                td.nowrap { (seconds) " s" }
                                td.nowrap { (hz) }
                            }
                        }
                    }
                }
                h3.sub { "Or read it at once" }
                pre { (command) }
            } @else {
                div.empty {
                    p { "Profiling is switched off." }
                    p { "It is on when the service hands a CPU profiler to the admin listener." }
                }
            }
        }
    };
    reply::page(StatusCode::OK, layout::framed("Profile", &app.frame(None), body))
}
