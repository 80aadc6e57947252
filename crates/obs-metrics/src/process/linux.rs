//! What Linux says of this process, under `/proc`.

use std::fs;

/// A process's accounts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Accounts {
    pub(super) cpu_seconds: f64,
    pub(super) threads: u64,
    /// Seconds since the machine started.
    pub(super) started_after_boot: f64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_bytes: u64,
}

/// Limits that are set; what is unlimited is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) open_files: Option<u64>,
    pub(super) address_space_bytes: Option<u64>,
}

/// The units in which the kernel counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) ticks_per_second: f64,
    pub(super) page_bytes: u64,
}

pub(super) fn accounts(units: Units) -> Option<Accounts> {
    parse_stat(&fs::read_to_string("/proc/self/stat").ok()?, units)
}

pub(super) fn limits() -> Limits {
    fs::read_to_string("/proc/self/limits").map(|text| parse_limits(&text)).unwrap_or_default()
}

/// How many files are open, the one that is needed for counting left out.
pub(super) fn open_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(count.saturating_sub(1))
}

/// When the machine started, in seconds since the epoch.
pub(super) fn boot_time_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Reads the one line of `/proc/PID/stat`; fields are numbered as in proc(5).
fn parse_stat(text: &str, units: Units) -> Option<Accounts> {
    // The command's name, field 2, is in parentheses and may hold anything, parentheses too.
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |ticks: u64| ticks as f64 / units.ticks_per_second;
    Some(Accounts {
        cpu_seconds: seconds(field(14)? + field(15)?),
        threads: field(20)?,
        started_after_boot: seconds(field(22)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * units.page_bytes,
    })
}

fn parse_limits(text: &str) -> Limits {
    let soft = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    Limits { open_files: soft("Max open files"), address_space_bytes: soft("Max address space") }
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
            parse_stat(line, UNITS),
            Some(Accounts {
                cpu_seconds: 17.21,
                threads: 3,
                started_after_boot: 823.75,
                virtual_bytes: 56_274_944,
                resident_bytes: 1_981 * 4_096,
            })
        );
        for cut in ["", "1 (a", "1 (a) R 1 2", &line[..80]] {
            assert_eq!(parse_stat(cut, UNITS), None);
        }
    }

    #[test]
    fn the_soft_limit_is_read_and_unlimited_is_absent() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(
            parse_limits(text),
            Limits { open_files: Some(1_024), address_space_bytes: None }
        );
        assert_eq!(parse_limits("nonsense"), Limits::default());
    }
}
