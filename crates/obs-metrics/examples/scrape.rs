//! A few metrics behind an HTTP listener that answers every scrape in the format that it asks for.
//!
//! ```text
//! cargo run -p obs-metrics --example scrape -- 127.0.0.1:9464
//! curl -H 'Accept: application/openmetrics-text' http://127.0.0.1:9464/metrics
//! ```
//!
//! A service uses the listener of obs-server instead; this one shows what such a listener does.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use obs_metrics::Registry;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| String::from("127.0.0.1:0"));
    let registry = Registry::default();
    register(&registry);
    let listener = TcpListener::bind(address)?;
    writeln!(io::stdout(), "http://{}/metrics", listener.local_addr()?)?;
    for stream in listener.incoming() {
        // One scraper that hangs up early is no reason to stop.
        if let Err(error) = stream.and_then(|stream| answer(&registry, stream)) {
            writeln!(io::stderr(), "{error}")?;
        }
    }
    Ok(())
}

fn register(registry: &Registry) {
    registry.describe("jobs_total", "Jobs that ended.");
    registry.describe("job_seconds", "How long jobs took.");
    registry.describe("build_info", "What was built.");
    registry.describe("energy_kwh_total", "Energy used.");
    registry.describe("many_total", "Enough series to see how a large family is written.");
    registry.describe("queue.length", "Jobs that wait, by \"queue\".");
    for kind in ["mail", "report", "größer \"als\" \\ das"] {
        registry.counter("jobs_total", &[("kind", kind)]).increment(3);
        let seconds = registry.histogram("job_seconds", &[("kind", kind)]);
        for tenth in 0..50 {
            seconds.record(f64::from(tenth) / 10.0);
        }
        registry.gauge("queue.length", &[("queue.name", kind)]).set(-0.5);
    }
    registry.gauge("build_info", &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
    registry.float_counter("energy_kwh_total", &[]).increment(0.1);
    for id in 0..5_000 {
        registry.counter("many_total", &[("id", &format!("{id:030}"))]).increment(id);
    }
}

fn answer(registry: &Registry, mut stream: TcpStream) -> io::Result<()> {
    let mut accept = None;
    let mut accept_encoding = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "accept" => accept = Some(value.trim().to_owned()),
            "accept-encoding" => accept_encoding = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let exposition = registry.negotiate(accept.as_deref(), accept_encoding.as_deref());
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n")?;
    write!(stream, "Content-Type: {}\r\n", exposition.content_type())?;
    if let Some(encoding) = exposition.encoding().as_header() {
        write!(stream, "Content-Encoding: {encoding}\r\n")?;
    }
    write!(stream, "\r\n")?;
    exposition.write(&mut stream)
}
