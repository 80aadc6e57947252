//! The frame of every page: head, top bar, foot.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};
use obs_model::{Resource, Timestamp};

use super::format;

/// How well something is, as a colour and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pill {
    pub(super) tone: &'static str,
    pub(super) text: &'static str,
}

/// What the frame shows around a page.
pub(crate) struct Frame<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) uptime: Duration,
    pub(crate) now: Timestamp,
    /// The overall status, when there is one.
    pub(crate) status: Option<Pill>,
    /// Whether somebody is signed in, and so can sign out.
    pub(crate) signed_in: bool,
}

/// A page without the frame.
pub(super) fn bare(title: &str, body: Markup) -> Markup {
    document(title, false, body)
}

/// A page of the console; it refreshes itself where script runs.
pub(super) fn framed(title: &str, frame: &Frame<'_>, body: Markup) -> Markup {
    let name = frame.resource.service_name();
    let title = if title.is_empty() { name.to_owned() } else { format!("{title} · {name}") };
    document(
        &title,
        true,
        html! {
            (top(frame))
            main.wrap { (body) }
            footer.foot.wrap {
                span { "Updated " (format::time_of_day_with_seconds(frame.now)) " UTC" }
                span.stale role="status" { "The service does not answer; this is what it said last." }
                span { "obskit " (env!("CARGO_PKG_VERSION")) }
            }
        },
    )
}

fn top(frame: &Frame<'_>) -> Markup {
    let resource = frame.resource;
    html! {
        header.top {
            div.wrap {
                h1 { a href="/" { (resource.service_name()) } }
                @if let Some(pill) = frame.status { (pill.render()) }
                div.facts {
                    @if let Some(version) = resource.service_version() { span { "Version " b { (version) } } }
                    @if let Some(environment) = resource.environment() {
                        span { "Environment " b { (environment) } }
                    }
                    span { "Up " b { (format::duration(frame.uptime)) } }
                }
                nav aria-label="Elsewhere" {
                    @if cfg!(feature = "tracing") { a href="/logs" { "Logs" } }
                    @if cfg!(feature = "tracing") { a href="/traces" { "Traces" } }
                    @if cfg!(feature = "tracing") { a href="/operations" { "Operations" } }
                    a href="/metrics" { "Metrics" }
                    a href="/api/health" { "Health" }
                    a href="/debug/pprof/" { "Profile" }
                    @if frame.signed_in {
                        form method="post" action="/logout" { button.plain-button type="submit" { "Sign out" } }
                    }
                }
            }
        }
    }
}

fn document(title: &str, refreshes: bool, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="stylesheet" href="/assets/console.css";
                link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                @if refreshes { script src="/assets/console.js" defer {} }
            }
            body { (body) }
        }
    }
}

impl Pill {
    pub(super) fn render(self) -> Markup {
        html! { span.pill.(self.tone) { (self.text) } }
    }
}

/// A moment as "3 min ago", with the exact time for who asks.
#[cfg(any(feature = "alerts", feature = "errors", feature = "tracing"))]
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    html! { time.nowrap datetime=(at) title=(at) { (format::ago(at, now)) } }
}
