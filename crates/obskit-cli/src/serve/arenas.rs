//! How many arenas the allocator has.

/// Fewer than glibc's eight for each processor.
///
/// Each arena keeps free memory for itself. Requests are read by one thread and stored by another, and which ones these
/// are changes, so that with many arenas what a request needs for a moment stays in several of them, beside samples.
const ARENAS: i32 = 2;

/// Bounds the allocator's arenas; to be called before there are threads.
pub(super) fn bound() {
    // SAFETY: `mallopt` takes two numbers, and no other thread runs yet. It answers 0 where it changes nothing, which
    // only costs memory.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}
