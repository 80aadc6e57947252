//! What Linux says of this process, under `/proc`.

use std::fs;
use std::path::Path;

use super::Accounts;
use crate::collect::text::Text;
use crate::collect::units::Units;
use crate::error::Error;

/// Reads this process's accounts.
pub(super) struct Source {
    units: Units,
    /// When the machine started, in seconds since the epoch.
    booted: Option<f64>,
    text: Text,
}

impl Source {
    pub(super) fn new() -> Self {
        let mut text = Text::default();
        let booted = text.read(Path::new("/proc/stat")).ok().and_then(parse_boot_time);
        Self { units: Units::read(), booted, text }
    }

    pub(super) fn read(&mut self) -> Result<Accounts, Error> {
        let stat = Path::new("/proc/self/stat");
        let text = self.text.read(stat).map_err(|error| Error::unreadable_file(stat, &error))?;
        let mut accounts = parse_stat(text, self.units, self.booted)
            .ok_or_else(|| Error::unreadable("/proc/self/stat", "it has too few fields"))?;
        if let Ok(text) = self.text.read(Path::new("/proc/self/limits")) {
            accounts.max_open_files = soft_limit(text, "Max open files");
            accounts.max_virtual_bytes = soft_limit(text, "Max address space");
        }
        accounts.open_files = open_files();
        Ok(accounts)
    }
}

/// How many files are open.
fn open_files() -> Option<u64> {
    let folder = Path::new("/proc/self/fd");
    // Since Linux 6.2 the size of the folder is their number; before, it is zero.
    match fs::metadata(folder).ok()?.len() {
        // The one that is needed for counting is left out.
        0 => Some((fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

fn parse_boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Reads the one line of `/proc/PID/stat`; fields are numbered as in proc(5).
fn parse_stat(text: &str, units: Units, booted: Option<f64>) -> Option<Accounts> {
    // The command's name, field 2, is in parentheses and may hold anything, parentheses too.
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = [0; 22];
    let mut count = 0;
    for (field, text) in fields.iter_mut().zip(after_name.split_ascii_whitespace()) {
        // OK because the fields that are not natural numbers are not asked for.
        *field = text.parse::<u64>().unwrap_or(0);
        count += 1;
    }
    let field = |number: usize| fields[number - 3];
    let seconds = |ticks: u64| ticks as f64 / units.ticks_per_second;
    (count == fields.len()).then(|| Accounts {
        cpu_seconds: Some(seconds(field(14) + field(15))),
        threads: Some(field(20)),
        start_time_seconds: booted.map(|booted| booted + seconds(field(22))),
        virtual_bytes: Some(field(23)),
        resident_bytes: Some(field(24) * units.page_bytes),
        ..Accounts::default()
    })
}

/// A limit of `/proc/PID/limits`; what is unlimited is the largest number.
fn soft_limit(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units { ticks_per_second: 100.0, page_bytes: 4_096 };

    #[test]
    fn a_stat_line_is_read_whatever_the_command_is_called() {
        let line = "26231 (a) b (c)) R 5392 7446 5392 34835 7446 4218880 32533 309516 26 82 1677 44 \
                    158 99 20 0 3 0 82375 56274944 1981 18446744073709551615 4194304 6294284\n";
        assert_eq!(
            parse_stat(line, UNITS, Some(1_000.0)),
            Some(Accounts {
                cpu_seconds: Some(17.21),
                threads: Some(3),
                start_time_seconds: Some(1_823.75),
                virtual_bytes: Some(56_274_944),
                resident_bytes: Some(1_981 * 4_096),
                ..Accounts::default()
            })
        );
        for cut in ["", "1 (a", "1 (a) R 1 2", &line[..80]] {
            assert_eq!(parse_stat(cut, UNITS, None), None);
        }
        assert_eq!(parse_boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1.7e9));
        assert_eq!(parse_boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn the_soft_limit_is_read_and_unlimited_is_the_largest_number() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(soft_limit(text, "Max open files"), Some(1_024));
        assert_eq!(soft_limit(text, "Max address space"), Some(u64::MAX));
        assert_eq!(soft_limit("nonsense", "Max open files"), None);
    }
}
