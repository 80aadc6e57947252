//! The time of the processors, by what they did with it.

/// Seconds that all processors together spent in each mode since the machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTimes {
    /// Ordinary processes, guests included.
    pub user: f64,
    /// Processes of lower priority.
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Nothing to do.
    pub idle: f64,
    /// Nothing to do but to wait for disks.
    pub iowait: f64,
    /// Hardware interrupts.
    pub irq: f64,
    /// Software interrupts.
    pub softirq: f64,
    /// Time that the hypervisor gave to other machines.
    pub steal: f64,
}

impl CpuTimes {
    /// The names of the modes.
    pub const MODES: [&'static str; 8] =
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

    /// The seconds in the order of [`CpuTimes::MODES`].
    #[must_use]
    pub fn in_order(&self) -> [f64; 8] {
        [
            self.user,
            self.nice,
            self.system,
            self.idle,
            self.iowait,
            self.irq,
            self.softirq,
            self.steal,
        ]
    }

    /// The share of the time since `before` that was neither idle nor waiting for disks, 0 to 1; nothing when no
    /// time passed.
    #[must_use]
    pub fn busy_ratio_since(&self, before: &Self) -> Option<f64> {
        let total = |of: &Self| of.in_order().iter().sum::<f64>();
        let passed = total(self) - total(before);
        let idle = (self.idle + self.iowait) - (before.idle + before.iowait);
        (passed > 0.0).then(|| (1.0 - idle / passed).clamp(0.0, 1.0))
    }

    /// The first line of `/proc/stat`, and how many processors it is about.
    pub(super) fn parse(text: &str, ticks_per_second: f64) -> Option<(Self, usize)> {
        let mut lines = text.lines();
        let mut times = [0.0; 8];
        let fields = lines.next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
        let mut count = 0;
        for (time, ticks) in times.iter_mut().zip(fields) {
            *time = ticks.parse::<f64>().ok()? / ticks_per_second;
            count += 1;
        }
        // Linux 2.4 has four of them; later ones came one by one.
        let [user, nice, system, idle, iowait, irq, softirq, steal] = times;
        let cpus = lines.take_while(|line| line.starts_with("cpu")).count();
        (count >= 4)
            .then_some((Self { user, nice, system, idle, iowait, irq, softirq, steal }, cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_stat_is_all_processors_together() {
        let text =
            "cpu  300 20 100 400 50 0 20 10 5 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\ncpu9 1\n";
        let (times, count) = CpuTimes::parse(text, 100.0).unwrap();
        assert_eq!(times.in_order(), [3.0, 0.2, 1.0, 4.0, 0.5, 0.0, 0.2, 0.1]);
        assert_eq!(count, 2);
        for text in ["", "cpu 1 2 3", "cpu  1 2 x 4", "intr 1 2 3 4"] {
            assert_eq!(CpuTimes::parse(text, 100.0), None, "{text}");
        }
    }

    #[test]
    fn the_busy_share_is_what_is_neither_idle_nor_waiting() {
        let before = CpuTimes { user: 10.0, idle: 80.0, iowait: 10.0, ..CpuTimes::default() };
        let after = CpuTimes { user: 13.0, idle: 85.0, iowait: 12.0, ..CpuTimes::default() };
        assert_eq!(after.busy_ratio_since(&before), Some(0.30000000000000004));
        assert_eq!(after.busy_ratio_since(&after), None);
        assert_eq!(before.busy_ratio_since(&after), None);
    }
}
