//! `obskit loglevel` as a user runs it, against a service in this process.

use std::net::SocketAddr;
use std::process::Command;

use obskit::logs::LogOutput;

/// What the command says when it is run against a service.
async fn run(address: SocketAddr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obskit"));
    command.args(["loglevel", "--server", &address.to_string()]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_is_set_for_a_while_and_taken_back_by_command() {
    let obs = obskit::init("loglevel")
        .without_environment()
        .settings(|settings| settings.admin.port = 0)
        .log_output(LogOutput::Writer(Box::new(std::io::sink())))
        .start()
        .await
        .unwrap();
    let address = obs.admin_address().unwrap();
    let good = |out: &str| (Some(0), out.to_owned(), String::new());

    assert_eq!(run(address, &[]).await, good("filter  info\n"));
    let set = run(address, &["shop::db=debug", "--for", "10m"]).await;
    assert_eq!(set.0, Some(0), "{set:?}");
    assert!(set.1.starts_with("filter  info\nshop::db=DEBUG  goes back in "), "{set:?}");
    assert_eq!(obs.logs().control().effective_filter(), "info,shop::db=DEBUG");
    let set = run(address, &["warn"]).await.1;
    assert!(set.ends_with("all others=WARN  until it is reset\n"), "{set}");
    let reset = run(address, &["--reset", "shop::db"]).await;
    assert_eq!(reset, good("filter  info\nall others=WARN  until it is reset\n"));
    assert_eq!(run(address, &["--reset"]).await, good("filter  info\n"));

    let gone = run(address, &["--reset", "shop::db"]).await;
    assert_eq!((gone.0, &*gone.2), (Some(1), "no level is set for \"shop::db\"\n"));
    let (status, _, error) = run(address, &["shop::db=loud"]).await;
    assert!(status == Some(2) && error.contains("unknown level"), "{error}");
    let (status, _, error) = run(address, &["debug", "--for", "25h"]).await;
    assert!(status == Some(1) && error.contains("1s to 24h"), "{error}");
    obs.shutdown().await.unwrap();
    let (status, _, error) = run(address, &[]).await;
    assert!(status == Some(2) && error.starts_with("no answer: "), "{error}");
}
