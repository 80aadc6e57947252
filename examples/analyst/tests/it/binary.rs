//! The program itself: it starts, says why when it cannot, and stops in order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn analyst(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_analyst"))
        .args(arguments)
        // The admin listener takes a free port, so that tests do not meet.
        .env("METRICS_PORT", "0")
        .env_remove("OPENAI_BASE_URL")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

#[test]
fn a_port_in_use_is_named_and_the_exit_code_is_one() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = analyst(&["--listen", &address]).wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    assert!(stderr.contains("in use"), "{stderr}");
}

#[test]
fn a_short_load_leaves_a_summary_on_standard_error_and_json_on_standard_output() {
    let address = free_address();
    let arguments = ["--listen", &address, "--load", "50", "--for", "1s", "--seed", "4", "--exit"];
    let output = analyst(&arguments).wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("answered              50 (100.00 %)"), "{stderr}");
    assert!(!stderr.contains("DIFFERS"), "{stderr}");
    for line in BufReader::new(&*output.stdout).lines() {
        let line = line.expect("a text");
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_request_to_end_stops_the_service_in_order() {
    let address = free_address();
    let mut child = analyst(&["--listen", &address]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut answer = String::new();
    loop {
        assert!(Instant::now() < deadline, "the service does not come up");
        let Ok(mut stream) = TcpStream::connect(&address) else {
            std::thread::yield_now();
            continue;
        };
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is connected");
        stream.read_to_string(&mut answer).expect("it answers");
        break;
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "{status}");
}
