//! Log lines reach Debian's rsyslog with every field as it was written.

use std::sync::Arc;
use std::time::Duration;

use interop::{Rsyslog, eventually};
use obs_delivery::{Pem, TlsConfig};
use obs_model::{ManualClock, Resource, Timestamp};
use obs_tracing::sink::{Facility, LogSink, SyslogBody, SyslogConfig};
use obs_tracing::{LogConfig, LogOutput};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(20);

/// How many lines go over each transport; few enough that no datagram finds the receiver's buffer full.
const LINES: u64 = 100;

/// Logs in a request, to one server.
fn log(config: SyslogConfig) {
    let mut logs = LogConfig::new(Resource::new("shop").with_host("host-1"));
    logs.output = LogOutput::None;
    logs.clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123)));
    logs.sinks.push(LogSink::new("syslog", config).with_field("zone", "eu-1"));
    let (dispatch, handle) = obs_tracing::build(logs).expect("the settings are right");
    tracing::dispatcher::with_default(&dispatch, || {
        for number in 0..LINES {
            let span = tracing::info_span!(target: "shop::pay", "pay", user_id = "u-17");
            let _entered = span.enter();
            tracing::error!(
                target: "shop::pay",
                number,
                total = 9.5,
                quoted = r#"a "b" \ [c] = d"#,
                error = "card [declined]",
                "Größe „XL“:\n\"paid\" ] \\ #{number}"
            );
        }
    });
    handle.shutdown_blocking(DEADLINE).expect("everything is sent");
}

/// The parameters of the one element, without the escapes of RFC 5424.
fn parameters(data: &str) -> Vec<(String, String)> {
    let inner = data.strip_prefix("[obskit@32473").and_then(|rest| rest.strip_suffix(']'));
    let mut rest = inner.unwrap_or_else(|| panic!("{data} is not our element"));
    let mut parameters = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.chars();
        loop {
            match characters.next().expect("a value has an end") {
                '"' => break,
                '\\' => value.extend(characters.next()),
                other => value.push(other),
            }
        }
        parameters.push((name.trim_start().to_owned(), value));
        rest = characters.as_str();
    }
    assert_eq!(rest, "", "{data} has more than parameters");
    parameters
}

fn check(messages: &[Value]) {
    for (number, message) in messages.iter().enumerate() {
        // The facility local3 and the severity 3.
        assert_eq!(message["priority"], "155");
        assert_eq!(message["version"], "1");
        assert_eq!(message["at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(message["hostname"], "host-1");
        assert_eq!(message["app"], "shop");
        assert_eq!(message["process"], std::process::id().to_string());
        assert_eq!(message["id"], "shop::pay");
        let text = format!("Größe „XL“:\n\"paid\" ] \\ #{number}");
        assert_eq!(message["message"], text);
        let data = parameters(message["data"].as_str().expect("text"));
        let of = |name: &str| {
            let mut found = data.iter().filter(|(is, _)| is == name);
            let value = found.next().map(|(_, value)| value.as_str());
            assert!(found.next().is_none(), "{name} is there twice");
            value
        };
        assert_eq!(of("number"), Some(number.to_string().as_str()));
        for (name, value) in [
            ("target", "shop::pay"),
            ("userId", "u-17"),
            ("zone", "eu-1"),
            ("total", "9.5"),
            ("quoted", r#"a "b" \ [c] = d"#),
            ("error.message", "card [declined]"),
        ] {
            assert_eq!(of(name), Some(value), "{name} of {message}");
        }
        assert_eq!(of("traceId").map(str::len), Some(32));
        assert_eq!(of("spanId").map(str::len), Some(16));
    }
}

#[test]
fn rsyslog_receives_over_udp_tcp_tls_and_a_unix_socket_what_was_sent_with_its_fields_intact() {
    let server = Rsyslog::start();
    let inputs = ["imudp", "imptcp", "imtcp", "imuxsock"];
    for (url, input) in server.urls().into_iter().zip(inputs) {
        let mut config = SyslogConfig::new(url);
        config.facility = Facility::Local3;
        config.tls = TlsConfig::new()
            .with_roots(Pem::file(server.pem("root")))
            .with_identity(Pem::file(server.pem("client")), Pem::file(server.pem("client-key")));
        log(config);
        let messages = eventually(input, DEADLINE, || {
            Some(server.received(input)).filter(|messages| messages.len() as u64 >= LINES)
        });
        assert_eq!(messages.len() as u64, LINES, "{input}");
        check(&messages);
    }
}

#[test]
fn rsyslog_receives_whole_lines_as_json_and_keeps_a_byte_order_mark() {
    let server = Rsyslog::start();
    let [_, tcp, ..] = server.urls();
    for (round, mark) in [false, true].into_iter().enumerate() {
        let mut config = SyslogConfig::new(tcp.clone());
        config.body = SyslogBody::Json;
        config.byte_order_mark = mark;
        log(config);
        let before = round * LINES as usize;
        let messages = eventually("all lines", DEADLINE, || {
            let messages = server.received("imptcp");
            (messages.len() >= before + LINES as usize).then_some(messages)
        });
        for (number, message) in messages[before..].iter().enumerate() {
            let text = message["message"].as_str().expect("text");
            let json = text.strip_prefix('\u{feff}').unwrap_or(text);
            assert_eq!(json.len() != text.len(), mark, "{message}");
            let line: Value = serde_json::from_str(json).expect("a line is JSON");
            assert_eq!(line["metadata"]["number"], number);
            assert_eq!((&line["level"], &line["userId"]), (&"ERROR".into(), &"u-17".into()));
            assert_eq!(message["data"], "-");
        }
    }
}
