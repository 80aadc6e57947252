//! Debian's PostgreSQL, with a cluster of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Process, eventually, free_port, run};

/// The user of the system as whom servers run that refuse to run as root.
const UNPRIVILEGED: &str = "postgres";

/// A server with a port and a folder of its own, which trusts whoever asks from this machine.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    process: Option<Process>,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster, starts its server and waits until it takes connections.
    ///
    /// # Panics
    ///
    /// PostgreSQL is not installed, or does not listen within a minute.
    #[must_use]
    pub fn start() -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let data = folder.path().join("data");
        if is_root() {
            succeed(Command::new("chown").arg(UNPRIVILEGED).arg(folder.path()));
        }
        succeed(program("initdb", folder.path()).arg("--pgdata").arg(&data).args([
            "--username=tester",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        ]));
        let port = free_port();
        let mut server = program("postgres", folder.path());
        server
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "-k"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::start(&mut server);
        let mut is_ready = program("pg_isready", folder.path());
        is_ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        eventually("PostgreSQL's answer", Duration::from_secs(60), || {
            TcpStream::connect(("127.0.0.1", port)).ok()?;
            run(&mut is_ready).0.then_some(())
        });
        Self { port, process: Some(process), _folder: folder }
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://tester@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    /// Ends the server as Ctrl-C does: one that is killed leaves its own processes to the system.
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.interrupt();
        }
    }
}

/// One of PostgreSQL's programs, of the newest version that is there, as a user that may run a server.
fn program(name: &str, folder: &Path) -> Command {
    let program = newest(name);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--init-groups", "--"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    // Whoever runs it need not be allowed into the folder of the test.
    command.current_dir(folder);
    command
}

/// Debian keeps the programs of each version in a folder of its own, outside of the path.
fn newest(name: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = folders.filter_map(|folder| {
        // OK to leave others out: since 10, which is of 2017, a version is a whole number.
        let version: u32 = folder.file_name().to_str()?.parse().ok()?;
        Some((version, folder.path().join("bin").join(name)))
    });
    match programs.filter(|(_, program)| program.is_file()).max() {
        Some((_, program)) => program,
        None => panic!("PostgreSQL's {name} is not installed: run `cargo xtask peers`"),
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).1.trim() == "0"
}

fn succeed(command: &mut Command) {
    let (has_succeeded, text) = run(command);
    assert!(has_succeeded, "{command:?} failed: {text}");
}
