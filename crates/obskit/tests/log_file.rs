//! A log file has the form and the permissions that are set, and is opened anew when the process is told to.
#![cfg(unix)]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_its_form_and_mode_and_is_opened_anew_at_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    let config = folder.path().join("obskit.toml");
    let text = format!(
        r#"
        [admin]
        enabled = false
        [[log.output]]
        url = "file:{}"
        format = "logfmt"
        mode = 0o600
        sync = "write"
        reopen_on_sighup = true
        "#,
        path.display()
    );
    std::fs::write(&config, text).unwrap();
    let obs = obskit::init("shop").without_environment().config_file(&config).unwrap();
    let obs = obs.start().await.unwrap();
    let logs = obs.logs().clone();
    let written = |message: &'static str| {
        let (logs, path) = (logs.clone(), path.clone());
        tokio::task::spawn_blocking(move || {
            tracing::info!(target: "shop::pay", cents = 950, "{message}");
            logs.flush_blocking(Duration::from_secs(10)).unwrap();
            std::fs::read_to_string(&path).unwrap()
        })
    };
    let text = written("paid in full").await.unwrap();
    let line = text.lines().find(|line| line.contains("shop::pay")).expect("it is there");
    assert!(line.starts_with("timestamp=2"), "{line}");
    assert!(line.ends_with(r#"message="paid in full" service=shop target=shop::pay cents=950"#));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    // What somebody else has left half written is only seen, and ended, when the file is opened.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"torn").unwrap();
        let hangup = format!("kill -HUP {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &hangup]).status().unwrap().success());
        let text = written("again").await.unwrap();
        if text.contains("torn\ntimestamp=") {
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
    }
    obs.shutdown().await.unwrap();
}
