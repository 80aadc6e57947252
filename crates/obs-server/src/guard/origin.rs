//! Where a request says it comes from: its `Host`, its `Origin`, and what the browser adds.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, Uri, header};

/// Whether the request names loopback as its host, and names one host only.
pub(super) fn names_loopback(headers: &HeaderMap) -> bool {
    host_of(headers).and_then(host_name).is_some_and(is_loopback_name)
}

/// Whether the request says no origin, or says this listener's.
pub(super) fn is_absent_or_own(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let Some(origin) = origins.next() else { return true };
    let Some(host) = host_of(headers) else { return false };
    let own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    own && origins.next().is_none()
}

/// Whether a browser says that another site's page fetched this, other than by navigating to it.
pub(super) fn was_fetched_by_another_site(headers: &HeaderMap) -> bool {
    let says = |name: &'static str, value: &str| {
        headers
            .get(HeaderName::from_static(name))
            .is_some_and(|given| given.as_bytes() == value.as_bytes())
    };
    says("sec-fetch-site", "cross-site") && !says("sec-fetch-mode", "navigate")
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
fn host_name(host: &str) -> Option<String> {
    let uri: Uri = format!("http://{host}/").parse().ok()?;
    let authority = uri.authority()?;
    if authority.as_str() != host || host.contains('@') {
        // Something other than a host and a port was smuggled in.
        return None;
    }
    let name = authority.host();
    Some(name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase())
}

fn is_loopback_name(name: String) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || name.parse::<Ipv6Addr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass_as_the_host() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:9464", true),
            ("app.localhost:80", true),
            ("127.0.0.1:9464", true),
            ("127.1.2.3", true),
            ("[::1]:9464", true),
            ("[::ffff:127.0.0.1]", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evillocalhost", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("192.0.2.1", false),
            ("localhost/x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(names_loopback(&headers), expected, "{host:?}");
        }
        assert!(!names_loopback(&HeaderMap::new()));
    }

    #[test]
    fn an_origin_must_be_this_listener() {
        for (origin, expected) in [
            (None, true),
            (Some("http://localhost:9464"), true),
            (Some("https://LOCALHOST:9464"), true),
            (Some("http://localhost:9465"), false),
            (Some("http://evil.example"), false),
            (Some("null"), false),
            (Some("http://localhost:9464.evil.example"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:9464".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_absent_or_own(&headers), expected, "{origin:?}");
        }
    }
}
