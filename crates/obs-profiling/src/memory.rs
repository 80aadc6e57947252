//! Giving back the memory that finding names takes.

/// Frees what finding names has loaded and cached, and returns it to the system.
///
/// The debug information of a large service takes hundreds of megabytes while names are looked up. The `backtrace`
/// crate would keep it for good, and glibc would keep the freed memory for itself.
pub(crate) fn give_back() {
    backtrace::clear_symbol_cache();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes no pointer and may be called at any time from any thread. It takes the allocator's
    // own locks. With another allocator in its place it finds nothing to do.
    unsafe {
        libc::malloc_trim(0);
    }
}
