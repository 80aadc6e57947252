//! What the cells are built from: real atomics and locks, or loom's when a model of them runs.

#[cfg(not(all(test, obskit_loom)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

#[cfg(all(test, obskit_loom))]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// A lock that cannot be poisoned.
#[cfg(not(all(test, obskit_loom)))]
pub(crate) struct Lock(parking_lot::Mutex<()>);

#[cfg(not(all(test, obskit_loom)))]
pub(crate) type Held<'a> = parking_lot::MutexGuard<'a, ()>;

#[cfg(not(all(test, obskit_loom)))]
impl Lock {
    pub(crate) const fn new() -> Self {
        Self(parking_lot::Mutex::new(()))
    }

    pub(crate) fn hold(&self) -> Held<'_> {
        self.0.lock()
    }
}

/// A lock that cannot be poisoned.
#[cfg(all(test, obskit_loom))]
pub(crate) struct Lock(loom::sync::Mutex<()>);

#[cfg(all(test, obskit_loom))]
pub(crate) type Held<'a> = loom::sync::MutexGuard<'a, ()>;

#[cfg(all(test, obskit_loom))]
impl Lock {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(()))
    }

    pub(crate) fn hold(&self) -> Held<'_> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
