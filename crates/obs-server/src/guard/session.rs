//! Sessions of people at the console: random ids in a cookie, open for twelve hours.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The name of the cookie.
pub(crate) const SESSION_COOKIE: &str = "obskit_session";
/// How long a session stays open.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// How many sessions may be open; the oldest makes room for a further one.
const MAX_SESSIONS: usize = 64;

/// The open sessions, oldest first.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

struct Session {
    id: String,
    opened: Duration,
}

impl Sessions {
    /// Opens a session and says its id.
    pub(super) fn open(&self, now: Duration) -> String {
        // Two random UUIDs are 244 bits from a cryptographic generator.
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut sessions = self.0.lock();
        sessions.retain(|session| session.is_open(now));
        if sessions.len() >= MAX_SESSIONS {
            sessions.remove(0);
        }
        sessions.push(Session { id: id.clone(), opened: now });
        id
    }

    pub(super) fn is_open(&self, id: &str, now: Duration) -> bool {
        self.0.lock().iter().any(|session| session.is_open(now) && session.has_id(id))
    }

    pub(super) fn close(&self, id: &str) {
        self.0.lock().retain(|session| !session.has_id(id));
    }
}

impl Session {
    fn is_open(&self, now: Duration) -> bool {
        now.saturating_sub(self.opened) < SESSION_LIFETIME
    }

    fn has_id(&self, id: &str) -> bool {
        self.id.as_bytes().ct_eq(id.as_bytes()).into()
    }
}

/// The session ids in the request's cookies.
pub(super) fn ids_in(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(SESSION_COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_after_its_lifetime_or_when_it_is_closed() {
        let sessions = Sessions::default();
        let (first, second) = (sessions.open(Duration::ZERO), sessions.open(Duration::ZERO));
        assert_ne!(first, second);
        assert!(sessions.is_open(&first, SESSION_LIFETIME - Duration::from_millis(1)));
        assert!(!sessions.is_open(&first, SESSION_LIFETIME));
        sessions.close(&second);
        assert!(!sessions.is_open(&second, Duration::ZERO));
        assert!(!sessions.is_open("", Duration::ZERO));
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open(Duration::ZERO);
        for _ in 0..MAX_SESSIONS {
            sessions.open(Duration::from_secs(1));
        }
        assert!(!sessions.is_open(&first, Duration::from_secs(1)));
        assert_eq!(sessions.0.lock().len(), MAX_SESSIONS);
    }

    #[test]
    fn ids_are_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; obskit_session=one".parse().unwrap());
        headers.append(header::COOKIE, "obskit_session=two;obskit_sessions=three".parse().unwrap());
        assert_eq!(ids_in(&headers).collect::<Vec<_>>(), ["one", "two"]);
    }
}
