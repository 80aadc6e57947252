//! What the C library's allocator says of the heap.

/// The heap of the C library's allocator, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heap {
    /// Handed out and not yet freed.
    pub(super) in_use: u64,
    /// Got from the operating system.
    pub(super) reserved: u64,
}

/// The heap as glibc's `mallinfo2` counts it; nothing where the C library has no such function.
///
/// With another global allocator this is the heap of the C libraries in the process only.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn read() -> Option<Heap> {
    use std::sync::OnceLock;

    type MallInfo2 = unsafe extern "C" fn() -> libc::mallinfo2;
    static MALLINFO2: OnceLock<Option<MallInfo2>> = OnceLock::new();

    // The function came with glibc 2.33. It is looked up at run time, so that a program that was built against
    // this crate still starts where the C library is older.
    let function = (*MALLINFO2.get_or_init(|| {
        // SAFETY: the name is a C string that lives for ever, and the default handle may be searched from any
        // thread.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        // SAFETY: a symbol of this name is glibc's function of this signature
        // (`struct mallinfo2 mallinfo2(void)`, ten `size_t`, as `libc::mallinfo2` declares it), and the pointer
        // is not null here. Functions of the C library are never unloaded.
        (!symbol.is_null())
            .then(|| unsafe { std::mem::transmute::<*mut libc::c_void, MallInfo2>(symbol) })
    }))?;
    // SAFETY: the function takes no arguments and is safe to call from any thread: it locks each arena while it
    // adds it up. What it returns are plain numbers.
    let info = unsafe { function() };
    Some(Heap {
        in_use: (info.uordblks + info.hblkhd) as u64,
        reserved: (info.arena + info.hblkhd) as u64,
    })
}

/// Nothing: this C library does not tell.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn read() -> Option<Heap> {
    None
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn a_large_allocation_shows_in_the_heap() {
        const SIZE: u64 = 256 << 20;
        let Some(before) = read() else { return };
        let block = std::hint::black_box(vec![1_u8; SIZE as usize]);
        let during = read().unwrap();
        // OK because other tests allocate and free beside this one, but far less.
        assert!(during.in_use > before.in_use + SIZE / 2, "{before:?} {during:?}");
        assert!(during.reserved >= during.in_use);
        drop(block);
        assert!(read().unwrap().in_use < during.in_use - SIZE / 2);
    }
}
