//! Tests of the rules, as tables.

use obs_model::ManualClock;

use super::*;

const TOKEN: &str = "s3cr3t-of-the-admin-listener";

fn guard(token: Option<&str>) -> (Guard, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let config = ServerConfig { token: token.map(Secret::from), ..ServerConfig::default() };
    (Guard::new(&config, Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn peer() -> Option<IpAddr> {
    Some("192.0.2.9".parse().unwrap())
}

#[test]
fn what_a_request_needs_when_a_token_is_set() {
    use Denied::{ForeignOrigin, NoCredentials, WrongToken};
    let bearer = format!("Bearer {TOKEN}");
    // The token as the password, as the user name without a password, and a wrong password.
    let as_password = "Basic OnMzY3IzdC1vZi10aGUtYWRtaW4tbGlzdGVuZXI=";
    let as_user = "Basic czNjcjN0LW9mLXRoZS1hZG1pbi1saXN0ZW5lcjo=";
    for (method, given, expected) in [
        (Method::GET, vec![], Err(NoCredentials)),
        (Method::GET, vec![("host", "localhost")], Err(NoCredentials)),
        (Method::GET, vec![("authorization", &*bearer)], Ok(())),
        (Method::HEAD, vec![("authorization", &*bearer)], Ok(())),
        (Method::GET, vec![("authorization", as_password)], Ok(())),
        (Method::GET, vec![("authorization", as_user)], Ok(())),
        (Method::GET, vec![("authorization", "Basic Ondyb25n")], Err(WrongToken)),
        (Method::GET, vec![("authorization", "Bearer wrong")], Err(WrongToken)),
        (Method::GET, vec![("authorization", "Bearer")], Err(WrongToken)),
        (Method::GET, vec![("authorization", "Digest x")], Err(WrongToken)),
        (Method::GET, vec![("cookie", "obskit_session=unknown")], Err(NoCredentials)),
        (Method::GET, vec![("authorization", &*bearer), ("host", "evil.example")], Ok(())),
        (Method::GET, vec![("authorization", &*bearer), ("origin", "http://evil.example")], Ok(())),
        (Method::POST, vec![("authorization", &*bearer), ("host", "a:1")], Ok(())),
        (
            Method::POST,
            vec![("authorization", &*bearer), ("host", "a:1"), ("origin", "http://a:1")],
            Ok(()),
        ),
        (
            Method::POST,
            vec![("authorization", &*bearer), ("host", "a:1"), ("origin", "http://a:2")],
            Err(ForeignOrigin),
        ),
    ] {
        let (guard, _) = guard(Some(TOKEN));
        assert_eq!(guard.check(&method, &headers(&given), peer()), expected, "{method} {given:?}");
    }
}

#[test]
fn what_a_request_needs_when_no_token_is_set() {
    use Denied::{ForeignHost, ForeignOrigin};
    let local = ("host", "127.0.0.1:9464");
    let cross = ("sec-fetch-site", "cross-site");
    for (method, given, expected) in [
        (Method::GET, vec![local], Ok(())),
        (Method::GET, vec![("host", "localhost:9464")], Ok(())),
        (Method::GET, vec![("host", "[::1]:9464")], Ok(())),
        (Method::GET, vec![], Err(ForeignHost)),
        (Method::GET, vec![("host", "rebound.evil.example:9464")], Err(ForeignHost)),
        (Method::GET, vec![("host", "192.168.1.5:9464")], Err(ForeignHost)),
        (Method::GET, vec![local, ("host", "evil.example")], Err(ForeignHost)),
        (Method::GET, vec![local, ("authorization", "Bearer anything")], Ok(())),
        (Method::GET, vec![local, cross, ("sec-fetch-mode", "no-cors")], Err(ForeignOrigin)),
        (Method::GET, vec![local, cross, ("sec-fetch-mode", "navigate")], Ok(())),
        (Method::GET, vec![local, ("sec-fetch-site", "same-origin")], Ok(())),
        (Method::POST, vec![local], Ok(())),
        (Method::POST, vec![local, ("origin", "http://127.0.0.1:9464")], Ok(())),
        (Method::POST, vec![local, ("origin", "http://127.0.0.1:8080")], Err(ForeignOrigin)),
        (Method::POST, vec![local, ("origin", "null")], Err(ForeignOrigin)),
    ] {
        let (guard, _) = guard(None);
        assert_eq!(guard.check(&method, &headers(&given), peer()), expected, "{method} {given:?}");
    }
}

#[test]
fn a_session_opens_with_the_token_and_ends_by_signing_out_or_with_time() {
    let (guard, clock) = guard(Some(TOKEN));
    assert_eq!(guard.sign_in("wrong", &headers(&[]), peer()), Err(Denied::WrongToken));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(guard.sign_in(TOKEN, &headers(&[]), peer()).unwrap());
    }
    let carrying = |id: &str| headers(&[("cookie", &format!("{SESSION_COOKIE}={id}"))]);
    assert!(ids.iter().all(|id| !id.contains(TOKEN)));
    assert_eq!(guard.check(&Method::GET, &carrying(&ids[0]), peer()), Ok(()));
    guard.sign_out(&carrying(&ids[0])).unwrap();
    assert_eq!(guard.check(&Method::GET, &carrying(&ids[0]), peer()), Err(Denied::NoCredentials));
    assert_eq!(guard.check(&Method::GET, &carrying(&ids[1]), peer()), Ok(()));
    clock.advance(SESSION_LIFETIME);
    assert_eq!(guard.check(&Method::GET, &carrying(&ids[1]), peer()), Err(Denied::NoCredentials));
}

#[test]
fn after_too_many_wrong_tokens_even_the_right_one_waits_but_other_addresses_do_not() {
    let (guard, clock) = guard(Some(TOKEN));
    let right = headers(&[("authorization", &format!("Bearer {TOKEN}"))]);
    let wrong = headers(&[("authorization", "Bearer wrong")]);
    for _ in 0..10 {
        assert_eq!(guard.check(&Method::GET, &wrong, peer()), Err(Denied::WrongToken));
    }
    let wait = Duration::from_secs(5);
    assert_eq!(guard.check(&Method::GET, &right, peer()), Err(Denied::TooManyAttempts(wait)));
    let other = Some("192.0.2.10".parse().unwrap());
    assert_eq!(guard.check(&Method::GET, &right, other), Ok(()));
    clock.advance(wait);
    assert_eq!(guard.check(&Method::GET, &right, peer()), Ok(()));
}

#[test]
fn a_stale_cookie_or_no_credentials_is_not_an_attempt() {
    let (guard, _) = guard(Some(TOKEN));
    for _ in 0..100 {
        let stale = headers(&[("cookie", "obskit_session=stale")]);
        assert_eq!(guard.check(&Method::GET, &stale, peer()), Err(Denied::NoCredentials));
    }
    let right = headers(&[("authorization", &format!("Bearer {TOKEN}"))]);
    assert_eq!(guard.check(&Method::GET, &right, peer()), Ok(()));
}
