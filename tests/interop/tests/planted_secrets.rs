//! The main job under load with secrets in whatever a client can send: none of them is in anything that leaves it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::{Options, Service, encoded, eventually};

const THREADS: usize = 4;
const ROUNDS: usize = 15;

/// How many of the secrets are known by their form, wherever they stand. The others are known by what stands beside them.
const KNOWN_BY_FORM: usize = 7;

/// What must not be seen anywhere, by what it is.
const SECRETS: [(&str, &str); 12] = [
    ("mail address", "ann.lee@mailbox.example.org"),
    ("card number", "4111 1111 1111 1111"),
    ("bank account", "DE89370400440532013000"),
    ("phone number", "+1 415 555 0132"),
    ("web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg"),
    ("cloud key", "AKIAIOSFODNN7EXAMPLE"),
    ("service key", "ghp_1234567890abcdefghijABCDEFGHIJ123456"),
    ("bearer token", "b3arer-t0ken-of-ann-0123456789"),
    ("password", "correct-horse-battery"),
    ("cookie", "sess-9f8e7d6c5b4a"),
    ("api key", "k3y-material-0123456789"),
    ("url password", "ur1-passw0rd"),
];

fn secret(what: &str) -> &'static str {
    SECRETS.iter().find(|(name, _)| *name == what).map_or("", |(_, secret)| secret)
}

/// A server that answers every request with 200 and keeps every body as it came.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let keep = Arc::clone(&keep);
            std::thread::spawn(move || serve(&stream, &keep));
        }
    });
    (url, kept)
}

fn serve(stream: &TcpStream, keep: &Mutex<Vec<u8>>) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        keep.lock().unwrap().extend_from_slice(&body);
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// Sends each secret in each place that it could come in by.
fn attack(service: &Service) {
    let bearer = format!("Bearer {}", secret("bearer token"));
    let cookie = format!("session={}; theme=dark", secret("cookie"));
    for (number, (_, secret)) in SECRETS.into_iter().enumerate() {
        let form = if number < KNOWN_BY_FORM { secret } else { "it" };
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Cookie", cookie.as_str()),
            ("X-Api-Key", self::secret("api key")),
            ("X-Correlation-ID", form),
        ];
        let password = self::secret("password");
        for body in [
            serde_json::json!({"question": format!("what did {form} fly, password={password}?")}),
            serde_json::json!({"sql": format!("SELECT nothing FROM flights WHERE note = 'api_key={secret}'")}),
            serde_json::json!({"sql": format!("SELECT '{form}' FROM https://ann:{}@db", self::secret("url password"))}),
            serde_json::json!({"api_key": secret, "authorization": bearer}),
        ] {
            // OK because whether the service can answer is not what this is about.
            let _ = service.analyse(&headers, &body.to_string());
        }
        let path =
            format!("/api/v2/questions?api_key={}&password={}", encoded(secret), encoded(secret));
        let _ = interop::request(service.api(), "GET", &path, &headers, b"");
    }
}

/// Which secrets are in a text.
fn found(text: &[u8]) -> Vec<&'static str> {
    let holds = |secret: &str| text.windows(secret.len()).any(|part| part == secret.as_bytes());
    // The mask keeps no part of a secret, so that half of a long one must not be there either.
    let half = |secret: &'static str| {
        if secret.len() >= 24 { &secret[..secret.len() / 2] } else { secret }
    };
    SECRETS.iter().filter(|(_, secret)| holds(half(secret))).map(|(what, _)| *what).collect()
}

#[test]
fn nothing_secret_is_in_any_sink_of_the_main_job_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.log");
    let (collector, kept) = collector();
    let service = Service::start(
        Options::default()
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector)
            .variable("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
            .variable("OTEL_METRIC_EXPORT_INTERVAL", "1000")
            .variable("OBSKIT_LOG_OUTPUTS", &format!("stdout,file:{}", file.display()))
            .variable("LOG_LEVEL", "debug"),
    );
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..ROUNDS).for_each(|_| attack(&service)));
        }
    });

    let mut shown = Vec::new();
    for path in [
        "/metrics",
        "/",
        "/logs?limit=1000",
        "/operations",
        "/api/obskit/v1/logs?limit=1000",
        "/api/obskit/v1/spans",
        "/api/obskit/v1/spans/finished?limit=1000",
        "/api/obskit/v1/errors",
        "/api/obskit/v1/alerts",
        "/api/v1/label/__name__/values",
        "/api/v1/series?match[]=%7B__name__%3D~%22.%2B%22%7D",
    ] {
        shown.push((path.to_owned(), service.admin_get(path)));
    }
    let groups = service.admin_get("/api/obskit/v1/errors").json();
    for group in groups["groups"].as_array().unwrap() {
        for path in ["/errors/", "/api/obskit/v1/errors/"] {
            let path = format!("{path}{}", group["fingerprint"].as_str().unwrap());
            let answer = service.admin_get(&path);
            shown.push((path, answer));
        }
    }
    for (path, answer) in &shown {
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(found(&answer.body), Vec::<&str>::new(), "in {path}");
    }
    assert!(shown.iter().any(|(path, _)| path.starts_with("/errors/")), "no error was captured");

    let (status, stdout, stderr) = service.interrupt();
    assert!(status.success(), "{status}");
    let lines = eventually("the file", Duration::from_secs(10), || {
        std::fs::read(&file).ok().filter(|lines| !lines.is_empty())
    });
    let sent = kept.lock().unwrap().clone();
    // What is looked through is not nothing: each request leaves several lines and spans.
    let requests = THREADS * ROUNDS * SECRETS.len() * 5;
    let (written, kept) = (stdout.lines().count(), lines.len());
    assert!(
        written > requests && kept > requests * 100,
        "{requests}: {written} lines, {kept} bytes"
    );
    assert!(sent.len() > requests * 100, "{} bytes were exported", sent.len());
    assert!(stdout.contains(obs_model::REDACTED));
    for (name, text) in [
        ("standard output", stdout.as_bytes()),
        ("standard error", stderr.as_bytes()),
        ("the file", &lines),
        ("what was exported", &sent),
    ] {
        assert_eq!(found(text), Vec::<&str>::new(), "in {name}");
    }
}
