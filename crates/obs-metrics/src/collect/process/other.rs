//! What `sysinfo` says of this process, where the system is not Linux.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::Accounts;
use crate::error::Error;

/// Asks for one process's accounts.
pub(super) struct Source(Option<(System, Pid)>);

impl Source {
    pub(super) fn new() -> Self {
        Self(System::new().ok().zip(sysinfo::get_current_pid().ok()))
    }

    pub(super) fn read(&mut self) -> Result<Accounts, Error> {
        let unreadable = || Error::unreadable("this process's accounts", "sysinfo has none");
        let (system, pid) = self.0.as_mut().ok_or_else(unreadable)?;
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), false, what);
        let process = system.process(*pid).ok_or_else(unreadable)?;
        Ok(Accounts {
            cpu_seconds: Some(process.accumulated_cpu_time() as f64 / 1_000.0),
            threads: None,
            open_files: process.open_files().map(|count| count as u64),
            max_open_files: process.open_files_limit().map(|count| count as u64),
            virtual_bytes: Some(process.virtual_memory()),
            max_virtual_bytes: None,
            resident_bytes: Some(process.memory()),
            start_time_seconds: Some(process.start_time() as f64),
        })
    }
}
