//! The units in which the kernel counts, asked of the C library.

/// The units in which Linux counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) ticks_per_second: f64,
    pub(super) page_bytes: u64,
}

impl Units {
    pub(super) fn read() -> Self {
        // SAFETY: `sysconf` takes a plain number, touches no memory of ours and may be called from any thread.
        let (ticks, page) =
            unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
        // What is not known is -1; these are the values of every Linux port where they could be unknown.
        let ticks = if ticks > 0 { ticks } else { 100 };
        Self { ticks_per_second: ticks as f64, page_bytes: u64::try_from(page).unwrap_or(4_096) }
    }
}
