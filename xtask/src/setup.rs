//! What a fresh Debian machine needs before the checks can run.

use std::process::Command;

use crate::process::{Outcome, answers, cargo, output, run};

/// Programs that the build and the tests call, with the Debian package that brings each.
const BUILD: [(&str, &str); 3] = [("cc", "build-essential"), ("git", "git"), ("kill", "procps")];

/// The real peers that interoperability tests use.
const PEERS: [(&str, &str); 11] = [
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("prometheus-pushgateway", "prometheus-pushgateway"),
    ("victoria-metrics", "victoria-metrics"),
    ("rsyslogd", "rsyslog"),
    // It is a plugin of rsyslog's, without a program of its own.
    ("rsyslogd", "rsyslog-gnutls"),
    ("python3", "python3-venv"),
    ("go", "golang-go"),
    ("chromium", "chromium"),
    ("sqlite3", "sqlite3"),
    ("pg_isready", "postgresql"),
];

/// Installs what is missing for building and testing.
pub(crate) fn machine() -> Outcome {
    install(&BUILD)?;
    if !answers("cargo-nextest", "--version") {
        cargo(["install", "--locked", "cargo-nextest"])?;
    }
    peers()
}

/// Installs the real peers.
pub(crate) fn peers() -> Outcome {
    install(&PEERS)
}

fn install(wanted: &[(&str, &str)]) -> Outcome {
    let mut missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root || !on_path("apt-get") {
        return Err(format!(
            "these packages are missing, install them and run again: {}",
            missing.join(" ")
        ));
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "--quiet=2"])?;
    let mut arguments = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        // Servers stand where only the administrator's path leads.
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        folders.into_iter().any(|folder| folder.join(program).is_file())
    })
}
