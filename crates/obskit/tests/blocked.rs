//! An operation that holds up its thread is named by the log of a service, with the place in its code.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use obskit::logs::LogOutput;
use tracing::Instrument as _;

/// What the service logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Holds its thread until the log says so.
#[inline(never)]
fn hold_the_thread(lines: &Lines) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !lines.text().contains("holds up its thread") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_where_an_operation_holds_up_its_thread() {
    let lines = Lines::default();
    let obs = obskit::init("blocked")
        .without_environment()
        .settings(|settings| settings.admin.enabled = false)
        .log_output(LogOutput::Writer(Box::new(lines.clone())))
        .start()
        .await
        .unwrap();
    let seen = lines.clone();
    let import = async move { hold_the_thread(&seen) }.instrument(tracing::info_span!("import"));
    tokio::spawn(import).await.unwrap();
    obs.shutdown().await.unwrap();
    let text = lines.text();
    let line = text.lines().find(|line| line.contains("holds up its thread"));
    let line = line.unwrap_or_else(|| panic!("no line about it in {text}"));
    assert!(line.contains(r#""operation":"import""#) && line.contains("traceId"), "{line}");
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert!(line.contains("blocked::hold_the_thread"), "{line}");
    }
}
