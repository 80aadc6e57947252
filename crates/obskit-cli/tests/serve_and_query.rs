//! `obskit serve` and `obskit query` as a user runs them.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A running `obskit serve`.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_obskit"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").unwrap().trim().to_owned();
        Self { child, url }
    }

    fn query(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(&[&["query", "--server", &self.url], arguments].concat())
    }

    fn stop(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // OK because a process that has ended cannot be killed, and is then only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_obskit")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_query_is_shown_as_a_number_a_table_or_a_chart() {
    let server = Server::start(&[]);
    let good = |out: &str| (Some(0), out.to_owned(), String::new());
    assert_eq!(server.query(&["1 + 1"]), good("2\n"));
    assert_eq!(
        server.query(&["label_replace(vector(7), 'a', 'b', '', '')"]),
        good("a  value\nb  7\n")
    );
    assert_eq!(server.query(&["nothing"]), good("no series\n"));
    assert_eq!(
        server.query(&["--time", "90", "--json", "time()"]),
        good(
            "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[90,\"90\"]}}\n"
        )
    );
    let (status, out, _) =
        server.query(&["--start", "0", "--end", "60", "--step", "1s", "vector(time())"]);
    assert_eq!(status, Some(0));
    assert!(
        out.starts_with("1970-01-01T00:00:00.000Z to 1970-01-01T00:01:00.000Z\n{}\n  ▁"),
        "{out}"
    );
    assert!(out.ends_with("█  min 0  max 60  last 60\n"), "{out}");
    assert_eq!(server.stop("-TERM"), Some(0));
}

#[test]
fn a_mistake_is_marked_and_a_silent_service_is_named() {
    let server = Server::start(&[]);
    let (status, out, error) = server.query(&["sum by (a) (rate(x))"]);
    assert_eq!((status, &*out), (Some(1), ""));
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("1:18: "), "{error}");
    assert_eq!(lines[1..], ["  sum by (a) (rate(x))", "                   ^"], "{error}");

    let (status, _, error) = server.query(&["--step", "1m", "1"]);
    assert_eq!((status, &*error), (Some(2), "a range needs --start or --last\n"));
    let url = server.url.clone();
    assert_eq!(server.stop("-INT"), Some(0));
    let (status, _, error) = run(&["query", "--server", &url, "1"]);
    assert_eq!(status, Some(2));
    assert!(error.starts_with("no answer: "), "{error}");
}

#[test]
fn a_service_with_a_token_asks_for_it() {
    let token = "0123456789abcdef0123456789abcdef";
    let server = Server::start(&["--token", token]);
    let (status, _, error) = server.query(&["1"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("401"), "{error}");
    assert_eq!(server.query(&["--token", token, "1"]).1, "1\n");
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let (status, _, error) = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(status, Some(2));
    assert!(error.contains("OBSKIT_ADMIN_TOKEN"), "{error}");
}
