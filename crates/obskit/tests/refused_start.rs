//! A start that is refused leaves the process as it was.

use std::time::Duration;

use obskit::alerts::{Operator, Signal, ThresholdRule};
use obskit::config::WebhookSettings;
use obskit::query::Selector;

fn rule(id: &str, threshold: f64) -> ThresholdRule {
    ThresholdRule::new(id, id, Signal::Last(Selector::metric("x")), Operator::Greater, threshold)
}

#[tokio::test]
async fn a_refused_start_names_every_problem_and_changes_nothing() {
    let error = obskit::init("")
        .without_environment()
        .settings(|settings| {
            settings.log.level = String::from("loud");
            settings.metrics.retention = Duration::ZERO;
            settings.otlp.tls.root_file = Some("/nowhere/root.pem".into());
            settings.alerts.webhooks =
                vec![WebhookSettings::new("a", "http://h"), WebhookSettings::new("a", "http://h")];
        })
        .start()
        .await
        .unwrap_err();
    let problems = error.config().unwrap().problems().len();
    assert_eq!(problems, 5, "{error}");

    let error = obskit::init("rules")
        .without_environment()
        .settings(|settings| settings.admin.port = 0)
        .alert_rule(rule("same", 1.0))
        .alert_rule(rule("same", 2.0))
        .alert_rule(rule("not-a-number", f64::NAN))
        .start()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("same") && text.contains("not-a-number"), "{text}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = obskit::init("port")
        .without_environment()
        .settings(move |settings| settings.admin.port = port)
        .start()
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains(&port.to_string()), "{error}: {cause}");

    assert!(!tracing::dispatcher::has_been_set(), "a refused start installed a subscriber");
    assert!(obskit::errors::global().is_none(), "a refused start installed an error tracker");
    // OK: that a recorder can still be installed shows that none was.
    obskit::metrics::Registry::default().install().unwrap();
}
