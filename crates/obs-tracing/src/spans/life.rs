//! Whether a slot is in use, how many refer to the span in it, and whether somebody looks at it now.
//!
//! All of it is one word, so that opening a span costs no exchange with other threads, and closing it one: what opens has
//! the slot to itself, and so has who gives the last reference back, from that very step on.

#[cfg(all(test, obskit_loom))]
use loom::{hint::spin_loop, sync::atomic::AtomicU64, thread::yield_now};
#[cfg(not(all(test, obskit_loom)))]
use std::{hint::spin_loop, sync::atomic::AtomicU64, thread::yield_now};

use std::sync::atomic::Ordering;

/// Set while somebody looks at the span.
const LOCKED: u64 = 1 << 31;

/// How often who waits looks again before it lets other threads run: looks are short, but who looks can lose its processor.
const LOOKS: u32 = if cfg!(all(test, obskit_loom)) { 0 } else { 100 };

/// The word: the generation in the upper half, [`LOCKED`], and how many references there are.
pub(super) struct Life(AtomicU64);

const fn generation_of(word: u64) -> u32 {
    (word >> 32) as u32
}

const fn references(word: u64) -> u64 {
    word & (LOCKED - 1)
}

/// Whether the word is of an open span of this generation.
const fn is_open(word: u64, generation: u32) -> bool {
    references(word) > 0 && generation_of(word) == generation
}

impl Life {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The generation of the slot's last use.
    pub(super) fn generation(&self) -> u32 {
        generation_of(self.0.load(Ordering::Relaxed))
    }

    /// The generation of the span that is open here.
    pub(super) fn open_generation(&self) -> Option<u32> {
        let word = self.0.load(Ordering::Acquire);
        (references(word) > 0).then_some(generation_of(word))
    }

    /// Whether a span of this generation is open.
    pub(super) fn is_open(&self, generation: u32) -> bool {
        is_open(self.0.load(Ordering::Relaxed), generation)
    }

    /// Shows a span with one reference; who calls this has the slot to itself until now.
    pub(super) fn begin(&self, generation: u32) {
        self.0.store(u64::from(generation) << 32 | 1, Ordering::Release);
    }

    /// Adds a reference; `false` when there is no such span.
    pub(super) fn retain(&self, generation: u32) -> bool {
        let more = |word| is_open(word, generation).then_some(word + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives a reference back. With the last one the slot belongs to the caller, until [`Life::end`]: the answer is `true`.
    pub(super) fn release(&self, generation: u32) -> bool {
        self.change(generation, |word| match references(word) {
            1 if word & LOCKED != 0 => None,
            1 => Some((word - 1) | LOCKED),
            _ => Some(word - 1),
        })
        .is_some_and(|word| references(word) == 0)
    }

    /// Waits until nobody looks at the span, and begins to; `false` when there is no such span.
    ///
    /// [`Life::unlock`] must follow.
    pub(super) fn lock(&self, generation: u32) -> bool {
        let locked = |word| (word & LOCKED == 0).then_some(word | LOCKED);
        self.change(generation, locked).is_some()
    }

    /// Ends a look.
    pub(super) fn unlock(&self) {
        self.0.fetch_and(!LOCKED, Ordering::Release);
    }

    /// Ends what the last [`Life::release`] began: the slot may be used again.
    pub(super) fn end(&self) {
        // Nobody else changes the word of a span without references.
        let word = self.0.load(Ordering::Relaxed);
        self.0.store(word & !LOCKED, Ordering::Release);
    }

    /// Changes the word as soon as `next` knows how; what it became, or nothing when there is no such span.
    fn change(&self, generation: u32, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let mut looks = 0;
        let mut word = self.0.load(Ordering::Relaxed);
        while is_open(word, generation) {
            let Some(changed) = next(word) else {
                looks += 1;
                if looks > LOOKS {
                    yield_now()
                } else {
                    spin_loop()
                }
                word = self.0.load(Ordering::Relaxed);
                continue;
            };
            // Acquire and release as in an `Arc`: what other owners did comes before the close.
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.0.compare_exchange_weak(word, changed, success, failure) {
                Ok(_) => return Some(changed),
                Err(other) => word = other,
            }
        }
        None
    }
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;
    use std::thread;

    /// What a life guards: two numbers that are always the same, and how often they were changed.
    struct Guarded {
        life: Life,
        pair: UnsafeCell<(u64, u64)>,
    }

    // SAFETY: The pair is only reached between `lock` and `unlock`, and after the last `release`.
    unsafe impl Sync for Guarded {}

    impl Guarded {
        fn change(&self) {
            // SAFETY: As above.
            let pair = unsafe { &mut *self.pair.get() };
            assert_eq!(pair.0, pair.1, "somebody else is here");
            pair.0 += 1;
            std::hint::black_box(&mut *pair);
            pair.1 += 1;
        }
    }

    #[test]
    fn one_at_a_time_looks_and_the_last_has_it_alone() {
        const THREADS: u64 = 4;
        const LOOKS: u64 = 500;
        const USES: u32 = 200;
        let guarded = Guarded { life: Life::new(), pair: UnsafeCell::new((0, 0)) };
        let mut changes = 0;
        for generation in 1..=USES {
            guarded.life.begin(generation);
            assert!(guarded.life.lock(generation) && !guarded.life.lock(generation + 1));
            guarded.life.unlock();
            let last = thread::scope(|scope| {
                let owners: Vec<_> = (0..THREADS)
                    .map(|_| {
                        assert!(guarded.life.retain(generation));
                        scope.spawn(|| {
                            for _ in 0..LOOKS {
                                assert!(guarded.life.lock(generation));
                                guarded.change();
                                guarded.life.unlock();
                            }
                            guarded.life.release(generation)
                        })
                    })
                    .collect();
                // Somebody without a reference, who may come too late.
                let watcher = scope.spawn(|| {
                    let mut seen = 0;
                    while guarded.life.lock(generation) {
                        guarded.change();
                        guarded.life.unlock();
                        seen += 1;
                    }
                    seen
                });
                let mut last = u32::from(guarded.life.release(generation));
                for owner in owners {
                    last += u32::from(owner.join().unwrap());
                }
                guarded.change();
                changes += watcher.join().unwrap() + THREADS * LOOKS + 1;
                last
            });
            assert_eq!(last, 1);
            assert!(!guarded.life.retain(generation) && !guarded.life.lock(generation));
            assert_eq!(guarded.life.open_generation(), None);
            guarded.life.end();
            assert_eq!(guarded.life.generation(), generation);
        }
        assert_eq!(guarded.pair.into_inner(), (changes, changes));
    }
}

#[cfg(all(test, obskit_loom))]
mod model {
    //! `RUSTFLAGS="--cfg obskit_loom" CARGO_TARGET_DIR=target/loom cargo test --release -p obs-tracing --lib model`

    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    struct Guarded {
        life: Life,
        value: UnsafeCell<u64>,
    }

    // SAFETY: loom checks that the value is reached by one thread at a time.
    unsafe impl Sync for Guarded {}

    impl Guarded {
        fn change(&self) {
            // SAFETY: As above.
            self.value.with_mut(|value| unsafe { *value += 1 });
        }

        fn look(&self, generation: u32) -> bool {
            let is_open = self.life.lock(generation);
            if is_open {
                self.change();
                self.life.unlock();
            }
            is_open
        }

        /// Gives a reference back, and uses the slot again if that was the last.
        fn give_back(&self, generation: u32) -> bool {
            let is_last = self.life.release(generation);
            if is_last {
                self.change();
                self.life.end();
                self.change();
                self.life.begin(generation + 1);
            }
            is_last
        }
    }

    fn open() -> Arc<Guarded> {
        let guarded = Arc::new(Guarded { life: Life::new(), value: UnsafeCell::new(0) });
        guarded.change();
        guarded.life.begin(1);
        guarded
    }

    #[test]
    fn who_looks_without_a_reference_never_meets_who_closes_and_opens_again() {
        loom::model(|| {
            let guarded = open();
            let watcher = thread::spawn({
                let guarded = Arc::clone(&guarded);
                move || (guarded.look(1), guarded.look(2))
            });
            assert!(guarded.give_back(1));
            watcher.join().unwrap();
            assert!(guarded.look(2) && !guarded.look(1));
        });
    }

    #[test]
    fn of_two_owners_one_is_the_last_and_sees_what_the_other_did() {
        loom::model(|| {
            let guarded = open();
            assert!(guarded.life.retain(1));
            let other = thread::spawn({
                let guarded = Arc::clone(&guarded);
                move || guarded.look(1) && guarded.give_back(1)
            });
            let own = guarded.give_back(1);
            assert!(own != other.join().unwrap());
            assert!(guarded.look(2));
        });
    }

    #[test]
    fn a_reference_is_added_to_an_open_span_or_not_at_all() {
        loom::model(|| {
            let guarded = open();
            let other = thread::spawn({
                let guarded = Arc::clone(&guarded);
                move || guarded.life.retain(1) && guarded.give_back(1)
            });
            let own = guarded.give_back(1);
            assert!(own != other.join().unwrap());
        });
    }
}
