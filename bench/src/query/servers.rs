//! The servers that are measured, each with a folder of its own that goes when it ends.

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::client::Client;

/// How often the rules are evaluated: rarely, so that they hardly disturb what else is measured.
const RULE_INTERVAL: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `obskit serve`.
    Obskit,
    /// Prometheus.
    Prometheus,
    /// VictoriaMetrics, without its cache of results.
    Victoria,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Obskit, Self::Prometheus, Self::Victoria];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Obskit => "obskit",
            Self::Prometheus => "Prometheus",
            Self::Victoria => "VictoriaMetrics",
        }
    }
}

/// A running server.
pub(crate) struct Server {
    kind: Kind,
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Server {
    /// Starts it with remote write and with rules, and waits until it answers.
    pub(crate) fn start(kind: Kind, rules: &[String]) -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!(
            "obskit-bench-{}-{}",
            std::process::id(),
            kind.name()
        ));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("rules.yml"), rule_file(rules))?;
        let config = "global:\n  scrape_interval: 1m\nrule_files: [rules.yml]\n";
        std::fs::write(folder.join("prometheus.yml"), config)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = match kind {
            Kind::Obskit => {
                let mut command = Command::new(std::env::current_exe()?.with_file_name("obskit"));
                command.args(["serve", "--enable-remote-write", "--max-memory", "8192"]);
                command.args(["--rules", "rules.yml", "--listen", &address]);
                command
            }
            Kind::Prometheus => {
                let mut command = Command::new("prometheus");
                command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
                command.arg("--web.enable-remote-write-receiver");
                command.arg(format!("--web.listen-address={address}"));
                command
            }
            Kind::Victoria => {
                let mut command = Command::new("victoria-metrics");
                command.args(["-storageDataPath=data", "-search.disableCache"]);
                command.args(["-retentionPeriod=1y", "-search.latencyOffset=0s"]);
                command.arg(format!("-httpListenAddr={address}"));
                command
            }
        };
        command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", kind.name()))?;
        let server = Self { kind, child, address, folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), Box<dyn Error>> {
        let path = match self.kind {
            Kind::Obskit => "/api/v1/status/buildinfo",
            Kind::Prometheus => "/-/ready",
            Kind::Victoria => "/health",
        };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let answer =
                Client::connect(&self.address).and_then(|mut client| client.get(path)).is_ok();
            if answer {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{} does not answer at {}", self.kind.name(), self.address).into())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Makes everything that was sent visible to queries.
    pub(crate) fn flush(&self, client: &mut Client) -> Result<(), Box<dyn Error>> {
        if self.kind == Kind::Victoria {
            client.get("/internal/force_flush")?;
        }
        Ok(())
    }

    /// What the process has in memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.ok_or("the kernel does not say how much memory is resident")?;
        Ok(text.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1_024)
    }

    /// How long its own evaluation of the rules took the next time; `None` for a server without rules.
    pub(crate) fn rule_group_time(&self) -> Result<Option<Duration>, Box<dyn Error>> {
        if self.kind == Kind::Victoria {
            return Ok(None);
        }
        // The one that is under way may have begun beside other work.
        std::thread::sleep(RULE_INTERVAL + Duration::from_secs(2));
        let mut client = Client::connect(&self.address)?;
        let json: serde_json::Value =
            serde_json::from_str(&client.get("/api/v1/rules?type=alert")?)?;
        let seconds = json["data"]["groups"][0]["evaluationTime"].as_f64();
        let seconds = seconds.ok_or("the server does not say how long its rules took")?;
        Ok(Some(Duration::from_secs_f64(seconds)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // OK because a process that has ended cannot be killed, and a folder that stays is in the system's place for
        // what may be removed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn rule_file(rules: &[String]) -> String {
    let mut text =
        format!("groups:\n- name: bench\n  interval: {}s\n  rules:\n", RULE_INTERVAL.as_secs());
    for (index, rule) in rules.iter().enumerate() {
        text.push_str(&format!("  - alert: Rule{index}\n    expr: '{rule}'\n"));
    }
    text
}
