//! Templates of routes, kept so that a request need not count a reference to its own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::LazyLock;

use axum::extract::MatchedPath;
use parking_lot::Mutex;

/// The most templates that are kept; those that come later are shared with the router.
const MOST: usize = 4_096;

/// The templates that a thread has at hand; one more takes the place of another.
const AT_HAND: usize = 64;

/// The route of a request.
#[derive(Clone)]
pub(super) enum Route {
    /// One that lives as long as the process: all workers would count references to the router's own in one place, which
    /// would move from core to core with every request.
    Kept(&'static str),
    /// One of a router that has too many of them.
    Shared(MatchedPath),
}

struct AtHand {
    /// Held so that its place in memory is not used for another template: they are told apart by where they are.
    own: MatchedPath,
    kept: &'static str,
}

thread_local! {
    static ROUTES: RefCell<[Option<AtHand>; AT_HAND]> = const { RefCell::new([const { None }; AT_HAND]) };
}

impl Route {
    /// What stands for requests that no route matches.
    const UNMATCHED: &'static str = "unmatched";

    pub(super) fn of(path: Option<&MatchedPath>) -> Self {
        let Some(path) = path else { return Self::Kept(Self::UNMATCHED) };
        let (place, length) = address(path);
        let slot = ((place >> 4) ^ (place >> 10) ^ length) % AT_HAND;
        // OK because a thread whose locals are gone still finds it, only more slowly.
        let at_hand = ROUTES.try_with(|routes| {
            let mut routes = routes.try_borrow_mut().ok()?;
            let at_hand = &mut routes[slot];
            if let Some(found) = at_hand.as_ref().filter(|one| address(&one.own) == (place, length))
            {
                return Some(found.kept);
            }
            let kept = keep(path.as_str())?;
            *at_hand = Some(AtHand { own: path.clone(), kept });
            Some(kept)
        });
        match at_hand.unwrap_or_else(|_| keep(path.as_str())) {
            Some(kept) => Self::Kept(kept),
            None => Self::Shared(path.clone()),
        }
    }

    /// The template, where it lives as long as the process.
    pub(super) const fn kept(&self) -> Option<&'static str> {
        match self {
            Self::Kept(template) => Some(template),
            Self::Shared(_) => None,
        }
    }

    /// The template.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Kept(template) => template,
            Self::Shared(path) => path.as_str(),
        }
    }
}

/// Where a template is.
fn address(path: &MatchedPath) -> (usize, usize) {
    (path.as_str().as_ptr().addr(), path.as_str().len())
}

/// The template as it is kept, unless there are too many.
#[cold]
fn keep(template: &str) -> Option<&'static str> {
    static ALL: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut all = ALL.lock();
    if let Some(kept) = all.get(template) {
        return Some(kept);
    }
    if all.len() >= MOST {
        return None;
    }
    let kept: &'static str = Box::leak(template.into());
    all.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use http::Request;
    use tower::ServiceExt;

    async fn seen(path: MatchedPath) -> impl IntoResponse {
        let route = Route::of(Some(&path));
        let kind = if matches!(route, Route::Kept(_)) { "kept" } else { "shared" };
        format!("{kind} {}", route.as_str())
    }

    /// The answer of a router that has this one route.
    async fn answer(template: &str, path: &str) -> String {
        let router = axum::Router::new().route(template, get(seen));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_route_is_told_by_its_own_template_however_many_there_are() {
        assert_eq!(Route::of(None).as_str(), "unmatched");
        // Routers come and go, so that places in memory are used again.
        for number in 0..MOST + 100 {
            let template = format!("/r{number}/{{id}}");
            let answer = answer(&template, &format!("/r{number}/7")).await;
            assert_eq!(answer.split_once(' ').unwrap().1, template);
        }
        assert_eq!(answer("/r0/{id}", "/r0/7").await, "kept /r0/{id}");
        assert_eq!(answer("/late/{id}", "/late/7").await, "shared /late/{id}");
    }
}
