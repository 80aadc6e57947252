//! Processes that end with the value that stands for them.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running process.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{command:?} could not be started: {error}"),
        }
    }

    /// The standard input, once.
    pub fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.0.stdin.take()
    }

    /// Asks it to end as Ctrl-C does, and waits for it.
    ///
    /// # Panics
    ///
    /// It is still there after 30 s.
    pub fn interrupt(mut self) -> std::process::ExitStatus {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.0.try_wait() {
                return status;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the process ignores an interrupt"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // OK because a process that ended by itself cannot be killed again, and is then only waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a program of this workspace was built: beside this test.
///
/// # Panics
///
/// It was not: `cargo xtask interop` builds what the tests start.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop(); // the test's own name
    folder.pop(); // deps
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built: run `cargo xtask interop`", path.display());
    path
}

/// A port that was free a moment ago.
///
/// # Panics
///
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    match TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}

/// Runs a program to its end: whether it succeeded, and all that it printed.
pub fn run(command: &mut Command) -> (bool, String) {
    run_with_input(command, b"")
}

/// Runs a program with something on its standard input.
///
/// # Panics
///
/// It cannot be started.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> (bool, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?} could not be started: {error}"),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // OK because a program that does not read its input closes it, and its answer is what counts.
        let _ = stdin.write_all(input);
    }
    match child.wait_with_output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => panic!("{command:?} could not be waited for: {error}"),
    }
}
