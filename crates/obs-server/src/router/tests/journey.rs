//! From an alert by links alone to everything that explains it.

use std::fmt;

use obs_alerts::{AlertConfig, AlertEngine, Rule};
use obs_errors::{ErrorConfig, ErrorTracker};
use obs_model::{Context, Severity};
use obs_tracing::{LogConfig, LogOutput};

use super::*;

#[derive(Debug)]
struct Refused(std::io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank refused")
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The addresses that a page leads to.
fn links(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let hrefs = page.text().split("href=\"").skip(1);
    hrefs.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")).collect()
}

/// Follows the first link that begins like this.
async fn follow(admin: &Admin, page: &Answer, start: &str) -> Answer {
    let links = links(page);
    let found = links.iter().find(|link| link.starts_with(start));
    let found = found.unwrap_or_else(|| panic!("{start} is not among {links:?}"));
    admin.get(found).await
}

fn contains(page: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(page.text().contains(part), "{part} is missing in {}", page.text());
    }
}

/// A service in which an order of a user failed, after one that did not, and an alert fires about it.
fn admin() -> Admin {
    let admin = Admin::new();
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::None;
    config.clock = Arc::clone(&admin.clock) as _;
    config.line_memory = Some(1 << 20);
    config.span_memory = Some(1 << 20);
    let (dispatch, handle) = obs_tracing::build(config).unwrap();
    let tracker = ErrorTracker::new(ErrorConfig::default(), Arc::clone(&admin.clock) as _);
    let user = Context::new().with_user("u-17");
    tracing::dispatcher::with_default(&dispatch, || {
        {
            let _entered = user.clone().enter();
            tracing::info_span!("browse").in_scope(|| tracing::info!("looked at shoes"));
        }
        let of_order = user.with_trace("0af7651916cd43dd8448eb211c80319c".parse().unwrap());
        let _entered = of_order.enter();
        let order = tracing::info_span!("order").entered();
        let refused = Refused(std::io::Error::other("card expired"));
        let _ = tracker.capture(&refused);
        tracing::error!(error = &refused as &dyn std::error::Error, "order failed");
        admin.clock.advance(Duration::from_millis(700));
        drop(order);
    });
    handle.flush_blocking(Duration::from_secs(10)).unwrap();
    let engine =
        AlertEngine::new(AlertConfig::default(), store(), Arc::clone(&admin.clock) as _).unwrap();
    engine.add_rule(Rule::closure("orders", "Orders fail", Severity::High, |_| Ok(true))).unwrap();
    engine.evaluate(admin.clock.now());
    admin
        .with(|state| state.with_tracing(handle).with_errors(tracker).with_alerts(Arc::new(engine)))
}

#[tokio::test]
async fn an_alert_leads_by_links_to_the_failing_trace_its_lines_the_users_journey_and_the_error_chain()
 {
    let admin = admin();
    let overview = admin.get("/").await;
    contains(&overview, &["Orders fail"]);

    let failing = follow(&admin, &overview, "/traces?status=error").await;
    contains(&failing, &["order", "Failed", "700 ms"]);
    assert!(!failing.text().contains("browse"), "{}", failing.text());

    let trace = follow(&admin, &failing, "/traces/0af7651916cd43dd8448eb211c80319c").await;
    contains(&trace, &["order failed"]);
    let journey = follow(&admin, &trace, "/logs?user=u-17").await;
    contains(&journey, &["looked at shoes", "order failed"]);
    let error = follow(&admin, &trace, "/errors/").await;
    contains(&error, &["caused by: ", "card expired"]);
    // The error leads back to the trace, and on to the user as well.
    assert!(links(&error).contains(&"/traces/0af7651916cd43dd8448eb211c80319c".to_owned()));
    contains(&follow(&admin, &error, "/logs?user=u-17").await, &["looked at shoes"]);
    // So do the lines from before the alert, and the slowest traces.
    contains(&follow(&admin, &overview, "/logs?level=warn").await, &["order failed"]);
    let slowest = follow(&admin, &overview, "/traces?sort=duration").await;
    let (order, browse) = (slowest.text().find(">order<"), slowest.text().find(">browse<"));
    assert!(order.is_some() && order < browse, "{}", slowest.text());
}

#[tokio::test]
async fn a_search_for_traces_finds_what_it_names_and_says_what_it_does_not_understand() {
    let admin = admin();
    for (query, found) in [
        ("", ["order", "browse"].as_slice()),
        ("name=browse", &["browse"]),
        ("user=u-17&min_duration_ms=500", &["order"]),
        ("user=nobody", &[]),
    ] {
        let page = admin.get(&format!("/traces?{query}")).await;
        let shown = ["order", "browse"].map(|name| page.text().contains(&format!(">{name}<")));
        assert_eq!(shown, ["order", "browse"].map(|name| found.contains(&name)), "{query}");
    }
    contains(&admin.get("/traces?name=nothing").await, &["No span that is kept matches."]);
    for query in ["sort=colour", "status=odd", "from=yesterday", "min_duration_ms=-1"] {
        contains(&admin.get(&format!("/traces?{query}")).await, &["accepted"]);
    }
    contains(&Admin::new().get("/traces").await, &["No finished spans are kept."]);
}
