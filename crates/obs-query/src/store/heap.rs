//! What memory costs beyond the bytes that are asked for.

/// What an allocator takes for so many bytes: nothing for none, else a word of its own, in steps of 16 bytes.
///
/// That is what glibc's malloc does; others round up to size classes, which comes to about the same on average.
pub(super) const fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let whole = (bytes + 8).next_multiple_of(16);
    if whole < 32 { 32 } else { whole }
}

/// What a vector takes on the heap.
pub(super) const fn vector<T>(items: &Vec<T>) -> usize {
    allocation(items.capacity() * size_of::<T>())
}
