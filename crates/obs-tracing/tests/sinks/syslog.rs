//! Lines sent to syslog servers over every transport but TLS.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use obs_tracing::sink::{Facility, LogSink, SyslogBody, SyslogConfig, SyslogFraming};
use serde_json::Value;

use crate::support::{Logs, standing_clock};
use crate::syslog_receiver::{Framing, Received, datagrams, streams, tcp, tcp_once, udp};

pub(crate) fn log(numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        tracing::warn!(number, zone = "eu \"1\"", "counted\nin two lines, Grüße");
    }
}

/// What is wrong with lines that `log` wrote and these are not.
#[track_caller]
pub(crate) fn check(received: &Received, count: u64, line_feed: &str) {
    let header =
        format!("<132>1 2023-11-14T22:13:20.123Z host-1 test {} sinks::syslog", std::process::id());
    for (number, message) in (0..count).zip(received.take(count as usize)) {
        assert_eq!(message.header, header);
        assert_eq!(message.number(), number);
        assert_eq!(message.parameter("target"), Some("sinks::syslog"));
        assert!(message.rest.contains(" zone=\"eu \\\"1\\\"\""), "{message:?}");
        assert_eq!(message.text(), format!("counted{line_feed}in two lines, Grüße"));
    }
}

fn config(url: String) -> SyslogConfig {
    let mut config = SyslogConfig::new(url);
    config.facility = Facility::Local0;
    config
}

fn send(url: String, count: u64, framing: SyslogFraming) {
    let mut config = config(url);
    config.framing = framing;
    let logs = Logs::new(config, standing_clock());
    logs.send(|| log(0..count));
    logs.close();
}

#[test]
fn every_line_is_a_datagram_of_udp() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(socket) = UdpSocket::bind(any) else { continue };
        let url = format!("syslog://{}", socket.local_addr().unwrap());
        let received = udp(socket, 50);
        send(url, 50, SyslogFraming::Auto);
        check(&received, 50, "\n");
    }
}

#[test]
fn lines_are_counted_out_in_a_stream_of_tcp() {
    for (framing, reads, line_feed) in [
        (SyslogFraming::Auto, Framing::Counted, "\n"),
        (SyslogFraming::LineFeed, Framing::Lines, "#012"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
        let received = tcp(listener, reads);
        send(url, 3_000, framing);
        check(&received, 3_000, line_feed);
    }
}

#[test]
#[cfg(unix)]
fn a_unix_socket_gets_datagrams_or_a_stream_whichever_it_is() {
    use std::os::unix::net::{UnixDatagram, UnixListener};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let url = format!("syslog+unix://{}", path.display());

    let socket = UnixDatagram::bind(&path).unwrap();
    let received = datagrams(move |room| socket.recv(room), 500);
    send(url.clone(), 500, SyslogFraming::Auto);
    check(&received, 500, "\n");
    std::fs::remove_file(&path).unwrap();

    for (framing, reads, line_feed) in [
        (SyslogFraming::Auto, Framing::Lines, "#012"),
        (SyslogFraming::OctetCounting, Framing::Counted, "\n"),
    ] {
        let listener = UnixListener::bind(&path).unwrap();
        let accept = move || listener.accept().ok().map(|(stream, _)| stream);
        let received = streams(accept, reads, usize::MAX);
        send(url.clone(), 500, framing);
        check(&received, 500, line_feed);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn lines_wait_while_a_server_is_away_and_none_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let logs = Logs::new(config(format!("syslog+tcp://{address}")), standing_clock());
    let received = tcp_once(listener, 100);
    logs.send(|| log(0..100));
    assert_eq!(received.rest().len(), 100, "the server has closed the connection");
    logs.log(|| log(100..2_000));
    logs.handle.flush_blocking(Duration::from_millis(100)).unwrap_err();
    let received = tcp_once(TcpListener::bind(address).unwrap(), 1_950);
    logs.send(|| log(2_000..2_050));
    assert_eq!(received.numbers(1_950), (100..2_050).collect::<Vec<_>>());
    logs.close();
}

#[test]
#[cfg(target_os = "linux")]
fn datagrams_that_the_machine_refuses_are_sent_again() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let logs = Logs::new(config(format!("syslog://{address}")), standing_clock());
    drop(socket);
    logs.log(|| log(0..100));
    logs.handle.flush_blocking(Duration::from_millis(100)).unwrap_err();
    let received = udp(UdpSocket::bind(address).unwrap(), 100);
    logs.handle.flush_blocking(crate::support::PATIENCE).unwrap();
    assert_eq!(received.numbers(100), (0..100).collect::<Vec<_>>());
    logs.close();
}

#[test]
fn the_next_server_is_sent_to_while_the_first_is_away() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(format!("syslog+tcp://{away}"))
        .or(format!("syslog+tcp://{}", there.local_addr().unwrap()));
    let received = tcp(there, Framing::Counted);
    let logs = Logs::new(config, standing_clock());
    logs.send(|| log(0..100));
    check(&received, 100, "\n");
    logs.close();
}

#[test]
fn the_text_may_be_the_whole_line_and_is_cut_at_the_limit() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = config(format!("syslog://{}", socket.local_addr().unwrap()));
    config.body = SyslogBody::Json;
    config.byte_order_mark = true;
    config.max_bytes = Some(480);
    config.app_name = Some("shop".into());
    config.message_id = Some("pay".into());
    config.hostname = Some("h".into());
    let received = udp(socket, 2);
    let logs = Logs::new(config, standing_clock());
    logs.send(|| {
        tracing::info!(number = 1, "short");
        tracing::info!(number = 2, "{}", "long ".repeat(200));
    });
    let messages = received.take(2);
    let process = std::process::id();
    assert_eq!(messages[0].header, format!("<134>1 2023-11-14T22:13:20.123Z h shop {process} pay"));
    let json = messages[0].rest.strip_prefix("- \u{feff}").unwrap();
    let line: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&line["message"], &line["metadata"]["number"]), (&"short".into(), &1.into()));
    let cut = &messages[1];
    assert!(cut.rest.contains("…[truncated ") && cut.rest.ends_with(" bytes]"), "{}", cut.rest);
    let length = cut.header.len() + 1 + cut.rest.len();
    assert!((440..=480).contains(&length), "{length}");
    logs.close();
}

#[test]
fn all_that_is_wrong_with_the_settings_is_said_at_once() {
    let mut config = SyslogConfig::new("http://host").or("syslog+unix://relative");
    config.max_bytes = Some(100);
    config.connect_timeout = Duration::ZERO;
    let error =
        Logs::with(LogSink::new("syslog", config), standing_clock()).map(|_| ()).unwrap_err();
    assert!(error.is_config());
    let text = error.to_string();
    for part in
        ["has another scheme", "no absolute path", "max_bytes is 100", "connect_timeout is 0"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut config = SyslogConfig::new("syslog+tls://host");
    config.framing = SyslogFraming::LineFeed;
    let error =
        Logs::with(LogSink::new("syslog", config), standing_clock()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("expected octet counting over TLS"), "{error}");
}
