//! The analyst service, started as a user starts it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Answer, Process, binary, eventually, get, post};

/// How to start the service.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More arguments.
    pub arguments: Vec<String>,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
}

impl Options {
    /// With more arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running analyst service with files of its own.
#[derive(Debug)]
pub struct Service {
    process: Process,
    folder: tempfile::TempDir,
    api: String,
    admin: String,
}

impl Service {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not answer within 60 s.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let create = |name: &str| match File::create(folder.path().join(name)) {
            Ok(file) => Stdio::from(file),
            Err(error) => panic!("{name} cannot be created: {error}"),
        };
        let mut command = Command::new(binary("analyst"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(["--database".as_ref(), folder.path().join("analyst.db").as_os_str()])
            .args(options.arguments)
            .env("METRICS_PORT", "0")
            .envs(options.environment)
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"));
        let process = Process::start(&mut command);
        let mut service = Self { process, folder, api: String::new(), admin: String::new() };
        // The system chooses both ports, and the service says which: a port that a test had picked could be taken
        // by anyone before the service binds it.
        eventually("the service's first answer", Duration::from_secs(60), || {
            service.assert_alive();
            service.admin = service.announced("obskit is running")?;
            service.api = service.announced("the analyst serves")?;
            // Nothing is asked of the service itself: it would count that, and the tests compare its counts.
            (get(&service.admin, "/api/health/startup")?.status == 200).then_some(())
        });
        service
    }

    /// Fails at once, with what it wrote, when the process has ended.
    fn assert_alive(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("the service ended with {status}: {}{}", self.stdout(), self.stderr());
        }
    }

    /// The address in the first log line whose message starts with `message`.
    fn announced(&self, message: &str) -> Option<String> {
        self.stdout().lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let address = line["metadata"]["address"].as_str()?;
            line["message"].as_str()?.starts_with(message).then(|| address.to_owned())
        })
    }

    /// Where the service itself listens: `host:port`.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Where the admin listener is: `host:port`.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The database's file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("analyst.db")
    }

    /// All that it wrote on standard output so far: its log lines.
    #[must_use]
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stdout")).unwrap_or_default()
    }

    /// All that it wrote on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Asks for an analysis.
    ///
    /// # Panics
    ///
    /// Nobody answers.
    #[must_use]
    pub fn analyse(&self, headers: &[(&str, &str)], json: &str) -> Answer {
        match post(&self.api, "/api/v2/analyses", headers, json) {
            Some(answer) => answer,
            None => panic!("no answer from the service; it wrote: {}", self.stderr()),
        }
    }

    /// Gets a page of the admin listener.
    ///
    /// # Panics
    ///
    /// Nobody answers.
    #[must_use]
    pub fn admin_get(&self, path: &str) -> Answer {
        match get(&self.admin, path) {
            Some(answer) => answer,
            None => panic!("no answer from the admin listener to {path}"),
        }
    }

    /// The sum of all samples of `/metrics` whose line starts with `name` and contains each of `parts`.
    #[must_use]
    pub fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        self.admin_get("/metrics")
            .text()
            .lines()
            .filter(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && parts.iter().all(|part| line.contains(part))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Ends it as `kill -9` does.
    pub fn kill(self) {
        drop(self);
    }

    /// Ends it as Ctrl-C does; returns how it ended, with all its output.
    ///
    /// # Panics
    ///
    /// It does not end within 30 s.
    pub fn interrupt(self) -> (std::process::ExitStatus, String, String) {
        let Self { process, folder, .. } = self;
        let status = process.interrupt();
        let read =
            |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        (status, read("stdout"), read("stderr"))
    }
}
