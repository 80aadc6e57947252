//! The sign-in form and the session it opens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use crate::guard::{Denied, SESSION_COOKIE, SESSION_LIFETIME};
use crate::params::Params;
use crate::reply::{self, ApiError};
use crate::router::App;

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct SignIn {
    token: String,
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub(crate) async fn form(State(app): State<Arc<App>>, params: Params) -> Response {
    let next = own_path(params.text("next").unwrap_or_default());
    if !app.guard.asks_for_a_token() {
        return Redirect::to(next).into_response();
    }
    reply::page(StatusCode::OK, markup(app.state.resource().service_name(), next, None))
}

/// `POST /login`
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    extensions: Extensions,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let Form(form) = match form {
        Ok(form) => form,
        Err(rejection) => {
            let message = "expected a form with the field token (and next)";
            return ApiError::new(rejection.status(), "bad_request", message).into_response();
        }
    };
    let next = own_path(&form.next);
    if !app.guard.asks_for_a_token() {
        return Redirect::to(next).into_response();
    }
    match app.guard.sign_in(form.token.trim(), &headers, peer_of(&extensions)) {
        Ok(id) => {
            let seconds = SESSION_LIFETIME.as_secs();
            let cookie = format!(
                "{SESSION_COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}"
            );
            with_cookie(Redirect::to(next).into_response(), &cookie)
        }
        Err(denied) => refused(&app, next, denied),
    }
}

/// `POST /logout`
pub(crate) async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(denied) = app.guard.sign_out(&headers) {
        return denied.into_response();
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    with_cookie(Redirect::to("/login").into_response(), &cookie)
}

/// The address that a request came from, when it came over a connection.
pub(crate) fn peer_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

fn refused(app: &App, next: &str, denied: Denied) -> Response {
    // The status, the challenge and the time to wait are those of any other refusal, but not Basic's
    // challenge: it would make the browser open a window of its own over the form.
    let plain = denied.into_response();
    let page = markup(app.state.resource().service_name(), next, Some(denied.message()));
    let mut response = reply::page(plain.status(), page);
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = plain.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    // OK because the cookie is made of ASCII that this module wrote.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// `path` when it is a path of this server, else `/`: the form must not send anybody elsewhere.
fn own_path(path: &str) -> &str {
    let mut bytes = path.bytes();
    let own = bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if own { path } else { "/" }
}

fn markup(service: &str, next: &str, problem: Option<&str>) -> Markup {
    layout::bare(
        &format!("Sign in · {service}"),
        html! {
            main.narrow {
                div.card {
                    h1 { (service) }
                    p.muted { "Sign in with this service's admin token." }
                    @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
                    form method="post" action="/login" {
                        input type="hidden" name="next" value=(next);
                        label for="token" { "Admin token" }
                        input id="token" name="token" type="password" autocomplete="current-password"
                            required autofocus;
                        button.primary type="submit" { "Sign in" }
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn the_form_sends_nobody_to_another_site() {
        for (given, expected) in [
            ("/", "/"),
            ("/errors/0a?b=c", "/errors/0a?b=c"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\tevil", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
        ] {
            assert_eq!(own_path(given), expected, "{given:?}");
        }
    }
}
