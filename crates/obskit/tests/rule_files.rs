//! Rule files in the settings; a process of its own, as the recorder is global.

use std::time::{Duration, Instant};

use obskit::query::Selector;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RULES: &str = r#"
groups:
- name: work
  interval: 100ms
  rules:
  - record: job:done:double
    expr: 2 * done_total
  - alert: MuchDone
    expr: job:done:double > 9
    labels: {severity: page}
    annotations: {summary: "{{ $value }} of {{ $labels.kind }}"}
"#;

/// The body of an answer of the admin listener.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_files_of_the_settings_are_evaluated_and_bad_ones_refuse_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = file("good.yml", RULES);
    let bad = file(
        "bad.yml",
        "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(\n  - alert: b\n",
    );
    let gone = folder.path().join("gone.yml");
    let settings = |files: &[&std::path::Path]| {
        let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        let text = format!(
            "[alerts]\nrule_files = {:?}\ndefault_rules = false\n[metrics]\nsample_interval = \"100ms\"\n\
             [query]\nmax_samples = 1000\ntimeout = \"5s\"\nmax_concurrent = 3\n[admin]\nport = 0\n",
            files.join(", ")
        );
        file("obskit.toml", &text)
    };

    let refused = settings(&[&good, &bad, &gone]);
    let error = obskit::init("rules")
        .without_environment()
        .config_file(&refused)
        .unwrap()
        .start()
        .await
        .unwrap_err();
    let problems: Vec<_> =
        error.config().unwrap().problems().iter().map(ToString::to_string).collect();
    assert!(problems[0].starts_with(&format!("{}:5:", bad.display())), "{problems:?}");
    assert!(
        problems.iter().any(|problem| problem.starts_with(&format!("{}:6:", bad.display()))),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.starts_with(&format!("{}: cannot be read", gone.display()))),
        "{problems:?}"
    );

    let accepted = settings(&[&good]);
    let obs = obskit::init("rules")
        .without_environment()
        .config_file(&accepted)
        .unwrap()
        .start()
        .await
        .unwrap();
    metrics::counter!("done_total", "kind" => "mail").increment(7);
    let address = obs.admin_address().unwrap();
    let begun = Instant::now();
    let alerts = loop {
        let alerts = get(address, "/api/v1/alerts").await;
        if alerts.contains("MuchDone") {
            break alerts;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the alert does not fire: {alerts}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(alerts.contains(r#""summary":"14 of mail""#), "{alerts}");
    let now = obs.store().stats().newest.unwrap();
    assert_eq!(obs.store().latest(&Selector::metric("job:done:double"), now).sum(), Some(14.0));
    assert_eq!(obs.rule_groups().unwrap().len(), 1);
    let rules = get(address, "/api/v1/rules").await;
    assert!(rules.contains(r#""name":"job:done:double""#) && rules.contains("good.yml"), "{rules}");
    let flags = get(address, "/api/v1/status/flags").await;
    for expected in [
        r#""query.max-concurrency":"3""#,
        r#""query.max-samples":"1000""#,
        r#""query.timeout":"5s""#,
    ] {
        assert!(flags.contains(expected), "{flags}");
    }
    obs.shutdown().await.unwrap();
}
