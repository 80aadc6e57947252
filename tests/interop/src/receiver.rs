//! Servers that are sent metrics: started, stopped and started again where they were.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Process, eventually, free_port, get};

/// A sort of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's Prometheus, which takes remote write.
    Prometheus,
    /// Debian's VictoriaMetrics, which stores a sample that is sent twice once.
    VictoriaMetrics,
    /// Debian's Pushgateway.
    Pushgateway,
}

/// A server with a folder and a port of its own.
#[derive(Debug)]
pub struct Receiver {
    kind: Kind,
    folder: tempfile::TempDir,
    address: String,
    process: Option<Process>,
}

impl Receiver {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    ///
    /// It cannot be started, or does not answer within a minute.
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let address = format!("127.0.0.1:{}", free_port());
        let mut receiver = Self { kind, folder, address, process: None };
        receiver.restart();
        receiver
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of remote write.
    #[must_use]
    pub fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.interrupt();
        }
    }

    /// Starts it again with the data and the port that it had.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn restart(&mut self) {
        let mut command = command(self.kind, self.folder.path(), &self.address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process::start(&mut command));
        let path = match self.kind {
            Kind::Prometheus | Kind::Pushgateway => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        };
        eventually("the receiver's first answer", Duration::from_secs(60), || {
            (get(&self.address, path)?.status == 200).then_some(())
        });
    }

    /// The result of an instant query: the part of the answer below `data.result`.
    ///
    /// # Panics
    ///
    /// It does not answer, or not with success.
    #[must_use]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/api/v1/query?query={encoded}");
        let Some(answer) = get(&self.address, &path) else { panic!("no answer to {query}") };
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()["data"]["result"].as_array().cloned().unwrap_or_default()
    }
}

fn command(kind: Kind, folder: &Path, address: &str) -> Command {
    let data = folder.join("data");
    match kind {
        Kind::Prometheus => {
            let config = folder.join("prometheus.yml");
            if let Err(error) = std::fs::write(&config, "global: {}\n") {
                panic!("{} cannot be written: {error}", config.display());
            }
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--web.enable-remote-write-receiver", "--query.lookback-delta=1m"])
                .arg("--enable-feature=native-histograms,exemplar-storage");
            command
        }
        Kind::VictoriaMetrics => {
            let mut command = Command::new("victoria-metrics");
            command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr={address}"))
                // A request whose answer got lost is sent again: with this a sample counts once all the same.
                .args(["-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s"])
                // Answers are not taken from before the receiver was stopped.
                .args(["-search.disableCache", "-retentionPeriod=1"]);
            command
        }
        Kind::Pushgateway => {
            let mut command = Command::new("prometheus-pushgateway");
            command.arg(format!("--web.listen-address={address}"));
            command
        }
    }
}
