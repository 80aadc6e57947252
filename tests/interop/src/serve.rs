//! Servers that take remote writes and answer queries: `obskit serve`, and Prometheus.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Answer, Process, binary, eventually, free_port, get, request};

/// A running server.
#[derive(Debug)]
pub struct QueryServer {
    address: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl QueryServer {
    /// Starts `obskit serve` with remote write, and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not answer.
    #[must_use]
    pub fn obskit(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary("obskit"));
        command.arg("serve").arg("--enable-remote-write").args(arguments);
        Self::start(command, "--listen", "/api/v1/status/buildinfo")
    }

    /// Kills it with SIGKILL, which leaves it no time to save anything, and waits until it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Starts Prometheus with remote write and without anything to scrape, and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not answer.
    #[must_use]
    pub fn prometheus() -> Self {
        let mut command = Command::new("prometheus");
        command.args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.enable-remote-write-receiver",
            "--enable-feature=promql-at-modifier,promql-negative-offset,exemplar-storage",
        ]);
        Self::start(command, "--web.listen-address", "/-/ready")
    }

    fn start(mut command: Command, listen: &str, ready: &str) -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let config = folder.path().join("prometheus.yml");
        if let Err(error) = std::fs::write(&config, "global:\n  scrape_interval: 1m\n") {
            panic!("{} cannot be written: {error}", config.display());
        }
        let address = format!("127.0.0.1:{}", free_port());
        command
            .arg(format!("{listen}={address}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        eventually("the server's answer", Duration::from_secs(60), || {
            get(&address, ready).filter(|answer| answer.status == 200)
        });
        Self { address, _process: process, _folder: folder }
    }

    /// Where it listens: host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks a path of the API with parameters in a form.
    ///
    /// # Panics
    ///
    /// It does not answer.
    #[must_use]
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let form: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let path = format!("/api/v1/{path}");
        let answer = request(&self.address, "POST", &path, &headers, form.join("&").as_bytes());
        answer.as_ref().map_or_else(|| panic!("{} does not answer", self.address), Answer::json)
    }
}

/// A text as part of a form or of an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
