//! Who may read the protected paths.
//!
//! `/metrics`, the health paths, the sign-in form and the console's style sheet and script are open. All
//! else is protected:
//!
//! - **A token is configured.** A request must carry it as `Authorization: Bearer TOKEN`, or as the password
//!   of HTTP Basic with any user name (the user name alone will do when there is no password, so that
//!   `go tool pprof http://TOKEN@host/…` works as well as `http://:TOKEN@host/…`), or it must carry the
//!   session cookie that the form at `/login` sets. The cookie holds a random id, never the token; it is
//!   `HttpOnly` and `SameSite=Strict` and ends after twelve hours or with the process.
//! - **No token is configured.** The listener must be on a loopback address, and the request's `Host` must
//!   name loopback: otherwise a web page could point a name of its own at 127.0.0.1 and read the answers
//!   (DNS rebinding). A request that a browser says another site started is refused, too, unless it is a
//!   plain navigation.
//!
//! In both cases a request that is not GET or HEAD is refused when its `Origin` is not this listener.
//!
//! Tokens are compared in constant time. An address that presents a wrong token ten times gets a 429 until
//! one attempt has become free again, which takes five seconds; what it presents meanwhile is not looked
//! at. Every wrong or refused attempt is counted in `obskit_admin_auth_failures_total{reason}`. A stale
//! cookie is not an attempt.

mod attempts;
mod credentials;
mod origin;
mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use obs_model::Clock;

use crate::config::{Secret, ServerConfig};
use crate::reply::ApiError;

pub(crate) use session::{SESSION_COOKIE, SESSION_LIFETIME};

/// The keeper of the protected paths.
pub(crate) struct Guard {
    token: Option<Secret>,
    sessions: session::Sessions,
    attempts: attempts::Attempts,
    clock: Arc<dyn Clock>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It carries no credentials.
    NoCredentials,
    /// It carries wrong ones.
    WrongToken,
    /// Its address has presented too many wrong ones.
    TooManyAttempts(Duration),
    /// Its `Host` does not name loopback, and there is no token to protect the listener.
    ForeignHost,
    /// Another site's page sent it.
    ForeignOrigin,
}

impl Guard {
    pub(crate) fn new(config: &ServerConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            token: config.token.clone(),
            sessions: session::Sessions::default(),
            attempts: attempts::Attempts::default(),
            clock,
        }
    }

    /// Whether callers have to sign in at all.
    pub(crate) fn asks_for_a_token(&self) -> bool {
        self.token.is_some()
    }

    /// Decides on a request to a protected path.
    pub(crate) fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(), Denied> {
        self.check_origin(method, headers)?;
        let Some(token) = &self.token else {
            return if !origin::names_loopback(headers) {
                Err(Denied::ForeignHost)
            } else if origin::was_fetched_by_another_site(headers) {
                Err(Denied::ForeignOrigin)
            } else {
                Ok(())
            };
        };
        if session::ids_in(headers).any(|id| self.sessions.is_open(id, self.clock.monotonic())) {
            return Ok(());
        }
        let presented = credentials::presented(headers);
        if presented.is_empty() {
            return Err(Denied::NoCredentials);
        }
        self.try_tokens(token, &presented, peer)
    }

    /// Opens a session when `given` is the token, and says the session's id.
    pub(crate) fn sign_in(
        &self,
        given: &str,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<String, Denied> {
        self.check_origin(&Method::POST, headers)?;
        let Some(token) = &self.token else { return Err(Denied::WrongToken) };
        self.try_tokens(token, &[given.to_owned()], peer)?;
        Ok(self.sessions.open(self.clock.monotonic()))
    }

    /// Ends the session whose cookie the request carries.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> Result<(), Denied> {
        self.check_origin(&Method::POST, headers)?;
        session::ids_in(headers).for_each(|id| self.sessions.close(id));
        Ok(())
    }

    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
        let only_reads = matches!(*method, Method::GET | Method::HEAD);
        if only_reads || origin::is_absent_or_own(headers) {
            Ok(())
        } else {
            Err(Denied::ForeignOrigin)
        }
    }

    fn try_tokens(
        &self,
        token: &Secret,
        presented: &[String],
        peer: Option<IpAddr>,
    ) -> Result<(), Denied> {
        let now = self.clock.monotonic();
        if let Some(wait) = self.attempts.wait(peer, now) {
            metrics::counter!("obskit_admin_auth_failures_total", "reason" => "rate_limited")
                .increment(1);
            return Err(Denied::TooManyAttempts(wait));
        }
        if presented.iter().any(|given| token.matches(given)) {
            return Ok(());
        }
        self.attempts.failed(peer, now);
        metrics::counter!("obskit_admin_auth_failures_total", "reason" => "wrong_token")
            .increment(1);
        Err(Denied::WrongToken)
    }
}

impl Denied {
    /// What people and programs are told.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "this path needs the admin token, as Authorization: Bearer TOKEN or as the password of \
                 HTTP Basic"
            }
            Self::WrongToken => "this is not the admin token",
            Self::TooManyAttempts(_) => {
                "too many wrong tokens from this address; wait and try again"
            }
            Self::ForeignHost => {
                "the Host header does not name this machine's loopback address: use localhost or \
                 127.0.0.1, or set an admin token"
            }
            Self::ForeignOrigin => "a page of another site may not send this request",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NoCredentials | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::ForeignHost | Self::ForeignOrigin => StatusCode::FORBIDDEN,
        }
    }

    /// The answer for a person at a page: the sign-in form, when that would help.
    pub(crate) fn page_response(self, path_and_query: &str) -> Response {
        if self == Self::NoCredentials {
            let next = credentials::query_escaped(path_and_query);
            return Redirect::to(&format!("/login?next={next}")).into_response();
        }
        self.into_response()
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let code = match self {
            Self::NoCredentials | Self::WrongToken => "unauthorized",
            Self::TooManyAttempts(_) => "too_many_attempts",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
        };
        let mut error = ApiError::new(self.status(), code, self.message());
        if let Self::TooManyAttempts(wait) = self {
            error = error.with_retry_after(wait);
        }
        let mut response = error.into_response();
        if self.status() == StatusCode::UNAUTHORIZED {
            for challenge in
                [r#"Bearer realm="obskit""#, r#"Basic realm="obskit", charset="UTF-8""#]
            {
                response.headers_mut().append(
                    header::WWW_AUTHENTICATE,
                    axum::http::HeaderValue::from_static(challenge),
                );
            }
        }
        response
    }
}

#[cfg(test)]
mod tests;
