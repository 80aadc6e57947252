//! `GET /errors/{fingerprint}`: one group of errors and its latest events.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use obs_errors::ErrorGroup;
use obs_model::{Context, ErrorEvent, StackFrame, Timestamp};

use super::layout::{self, moment};
use crate::api::errors::find;
use crate::params::PathText;
use crate::reply;
use crate::router::App;

/// How many events the page shows.
const MAX_EVENTS: usize = 20;

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, PathText(fingerprint): PathText) -> Response {
    match find(&app, &fingerprint) {
        Ok((group, events)) => {
            let frame = app.frame(None);
            let body = markup(&group, &events, frame.now);
            reply::page(StatusCode::OK, layout::framed(&group.error_type, &frame, body))
        }
        Err(error) => error.into_response(),
    }
}

/// `events` are the newest first.
fn markup(group: &ErrorGroup, events: &[Arc<ErrorEvent>], now: Timestamp) -> Markup {
    html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            h2.group-title { (group.error_type) }
            p.event-message { (group.message) }
            dl.figures {
                div { dt { "Count" } dd.strong { (super::format::number(group.count as f64)) } }
                div { dt { "First seen" } dd { (moment(group.first_seen, now)) } }
                div { dt { "Last seen" } dd { (moment(group.last_seen, now)) } }
                div { dt { "Fingerprint" } dd.mono { (group.fingerprint) } }
            }
        }
        section.card {
            div.card-head {
                h2 { "Latest events" }
                span.aside { (events.len().min(MAX_EVENTS)) " of " (events.len()) " kept" }
            }
            @if events.is_empty() {
                div.empty { p { "The events of this group have made room for newer ones of other groups." } }
            }
            @for event in events.iter().take(MAX_EVENTS) { (event_markup(event, now)) }
        }
    }
}

fn event_markup(event: &ErrorEvent, now: Timestamp) -> Markup {
    html! {
        article.event {
            div.event-head {
                span.strong { (moment(event.timestamp, now)) }
                span.muted { (event.timestamp) }
                span.tag { (event.mechanism.as_str()) }
            }
            p.event-message { (event.message) }
            @if !event.chain.is_empty() {
                ul.chain { @for cause in &event.chain { li { "caused by: " (cause) } } }
            }
            (context_markup(event))
            @if let Some(input) = &event.input {
                details id=(format!("input-{}", event.id)) { summary { "Input" } pre { (input) } }
            }
            (stack_markup(event))
        }
    }
}

fn stack_markup(event: &ErrorEvent) -> Markup {
    match &event.stack[..] {
        [] => html! {},
        [frame] => html! { p.place.mono { "at " (place(frame)) } },
        frames => html! {
            details id=(format!("stack-{}", event.id)) {
                summary { "Stack, " (frames.len()) " frames" }
                pre { @for frame in frames { (place(frame)) "\n" } }
            }
        },
    }
}

/// The function of a frame and where it stands, as far as they are known.
fn place(frame: &StackFrame) -> String {
    let mut place = frame.function.clone();
    if let Some(file) = &frame.file {
        let separator = if place.is_empty() { "" } else { " in " };
        place += &format!("{separator}{file}");
        place += &frame.line.map(|line| format!(":{line}")).unwrap_or_default();
    }
    place
}

fn context_markup(event: &ErrorEvent) -> Markup {
    let ids = ids_of(&event.context);
    html! {
        dl.context {
            @for (name, link, value) in ids {
                div { dt { (name) " " } dd { (linked(link, value)) } }
            }
            @for (name, value) in event.context.texts() {
                // A user leads to what else was done for them.
                @let link = if name == "user" { Link::Lines("user") } else { Link::None };
                div { dt { (name) " " } dd { (linked(link, value.to_owned())) } }
            }
            @if let Some(version) = &event.version { div { dt { "version " } dd { (version) } } }
            @if let Some(environment) = &event.environment { div { dt { "environment " } dd { (environment) } } }
        }
    }
}

/// Where an id leads.
#[derive(Clone, Copy)]
enum Link {
    None,
    /// To the log lines that have it, by this parameter of their search.
    Lines(
        #[cfg_attr(
            not(feature = "tracing"),
            expect(dead_code, reason = "without log lines there is nowhere to lead to")
        )]
        &'static str,
    ),
    /// To the trace.
    Trace,
}

/// The ids of an event, each with where it leads.
fn ids_of(context: &Context) -> Vec<(&'static str, Link, String)> {
    [
        (
            "correlation id",
            Link::Lines("correlation"),
            context.correlation().map(ToString::to_string),
        ),
        ("trace id", Link::Trace, context.trace().map(|id| id.to_string())),
        ("span id", Link::None, context.span().map(|id| id.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, link, id)| Some((name, link, id?)))
    .collect()
}

/// An id that leads to what else is known of it.
fn linked(link: Link, id: String) -> Markup {
    #[cfg(feature = "tracing")]
    let href = match link {
        Link::None => None,
        Link::Lines(parameter) => Some(super::logs::link(&[(parameter, &id)])),
        Link::Trace => Some(format!("/traces/{id}")),
    };
    #[cfg(not(feature = "tracing"))]
    let href: Option<String> = match link {
        Link::None | Link::Lines(_) | Link::Trace => None,
    };
    match href {
        Some(href) => html! { a href=(href) { (id) } },
        None => html! { (id) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_written_as_far_as_it_is_known() {
        let frame = |function: &str, file: Option<&str>, line| StackFrame {
            function: function.to_owned(),
            file: file.map(str::to_owned),
            line,
        };
        for (frame, expected) in [
            (frame("shop::pay", Some("src/shop.rs"), Some(7)), "shop::pay in src/shop.rs:7"),
            (frame("shop::pay", Some("src/shop.rs"), None), "shop::pay in src/shop.rs"),
            (frame("", Some("src/shop.rs"), Some(7)), "src/shop.rs:7"),
            (frame("shop::pay", None, Some(7)), "shop::pay"),
        ] {
            assert_eq!(place(&frame), expected);
        }
    }
}
