//! Copies the registers and the stack of another thread, by a signal that the thread handles itself.
//!
//! There is one place for a copy in the process. Whoever asks holds a lock, so that there is one asker at a time, and the
//! state says whose turn it is: the asker's, until the place is wanted from a thread; the handler's, from when it has
//! taken it until it says that the copy is there. A handler that comes too late, or in a thread that nobody asked, finds
//! that it is not its turn and does nothing.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use parking_lot::Mutex;

use crate::Error;
use crate::error::Kind;

/// How much of a stack is copied, from its innermost end.
const STACK_BYTES: usize = 128 * 1024;

/// The smallest page: a copy ends at the border of one when what lies beyond is not there.
const PAGE: usize = 4_096;

/// The pieces of a copy: whole pages and the rests at both ends.
const PIECES: usize = STACK_BYTES / PAGE + 1;

/// How long a thread has time to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the asker looks for the answer.
const EVERY: Duration = Duration::from_micros(200);

/// It is nobody's turn.
const IDLE: u64 = 0;
/// The handler is writing.
const TAKING: u64 = 1;
/// The copy is there.
const TAKEN: u64 = 2;

/// The state in which the thread of this id is asked.
const fn wanted_of(thread: u32) -> u64 {
    (thread as u64) << 32 | 3
}

/// A thread as it was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) registers: Registers,
    /// The stack from the stack pointer on.
    pub(super) stack: Vec<u8>,
}

/// The registers that a walk begins with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
}

/// The place for a copy.
struct Place {
    state: AtomicU64,
    content: UnsafeCell<Content>,
}

struct Content {
    registers: Registers,
    stack: [u8; STACK_BYTES],
    copied: usize,
}

// SAFETY: The content is only touched by whose turn it is by `state`: the handler after it has changed it from wanted to
// `TAKING` and before it changes it to `TAKEN`, and the one asker, who holds `ASKING`, after it has read `TAKEN` and
// before it changes it to `IDLE`. Each change is a release that the other side's reading acquires.
unsafe impl Sync for Place {}

static PLACE: Place = Place {
    state: AtomicU64::new(IDLE),
    content: UnsafeCell::new(Content {
        registers: Registers { instruction: 0, stack: 0, frame: 0 },
        stack: [0; STACK_BYTES],
        copied: 0,
    }),
};

/// Held by who asks.
static ASKING: Mutex<()> = Mutex::new(());

/// The signal, once its handler is set.
static SIGNAL: OnceLock<c_int> = OnceLock::new();

/// Sets the handler, if it is not set yet.
pub(super) fn install() -> Result<(), Error> {
    let _asking = ASKING.lock();
    if SIGNAL.get().is_none() {
        let signal = take_signal().ok_or(Kind::NoSignal)?;
        // OK because only the holder of the lock sets it.
        let _ = SIGNAL.set(signal);
    }
    Ok(())
}

/// Asks a thread for its registers and its stack.
pub(super) fn snapshot_of(thread: u32) -> Result<Snapshot, Error> {
    let signal = *SIGNAL.get().ok_or(Kind::NoSignal)?;
    let _asking = ASKING.try_lock().ok_or(Kind::ThreadStackBusy)?;
    let wanted = wanted_of(thread);
    // An answer that came too late is thrown away. A handler that never came to its end keeps the place for good.
    let _ = PLACE.state.compare_exchange(TAKEN, IDLE, Ordering::AcqRel, Ordering::Relaxed);
    let turn = PLACE.state.compare_exchange(IDLE, wanted, Ordering::AcqRel, Ordering::Relaxed);
    turn.map_err(|_| Kind::ThreadStackBusy)?;
    if let Err(error) = send(thread, signal) {
        PLACE.state.store(IDLE, Ordering::Release);
        return Err(Kind::NoSuchThread { thread, source: error }.into());
    }
    let deadline = Instant::now() + PATIENCE;
    while PLACE.state.load(Ordering::Acquire) != TAKEN {
        if Instant::now() >= deadline {
            // The thread may be about to answer: then its turn is not taken away, and the place stays its own.
            let back =
                PLACE.state.compare_exchange(wanted, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if back != Err(TAKEN) {
                return Err(Kind::NoAnswer { thread }.into());
            }
        } else {
            std::thread::sleep(EVERY);
        }
    }
    // SAFETY: The state is `TAKEN`, read with acquire, and this is the one asker: see `Place`.
    let content = unsafe { &*PLACE.content.get() };
    let stack = content.stack.get(..content.copied).unwrap_or_default().to_vec();
    let snapshot = Snapshot { registers: content.registers, stack };
    PLACE.state.store(IDLE, Ordering::Release);
    Ok(snapshot)
}

/// Sends the signal to one thread of this process.
fn send(thread: u32, signal: c_int) -> Result<(), std::io::Error> {
    // SAFETY: The call takes no pointer. Its handler was set before the signal was known.
    let sent = unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::c_long::from(thread), signal)
    };
    if sent == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Finds a real-time signal that has no handler, and sets ours.
fn take_signal() -> Option<c_int> {
    // The last ones first, because programs count from the first.
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev().find(|signal| {
        // SAFETY: Both structures are plain data for which all zeroes are valid, they live as long as the calls, and the
        // calls keep no pointer to them. The handler that is set does only what a handler may: see `handle`.
        unsafe {
            let mut before: libc::sigaction = MaybeUninit::zeroed().assume_init();
            if libc::sigaction(*signal, ptr::null(), &raw mut before) != 0
                || before.sa_sigaction != libc::SIG_DFL
            {
                return false;
            }
            let mut ours: libc::sigaction = MaybeUninit::zeroed().assume_init();
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
            ours.sa_sigaction = handler as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
            // No other signal interrupts the handler, so that the place is not kept for long.
            libc::sigfillset(&raw mut ours.sa_mask);
            libc::sigaction(*signal, &raw const ours, ptr::null_mut()) == 0
        }
    })
}

/// The handler: it copies what is asked for, and does nothing that could wait, allocate or fail in a way that matters.
extern "C" fn handle(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: `__errno_location` returns the address of this thread's own `errno`, which is always valid; `gettid` takes no
    // pointer and cannot fail. With SA_SIGINFO the kernel hands over a `ucontext_t` that is valid for as long as the handler
    // runs. The content of the place is the handler's own between the two changes of its state: see `Place`. All that is
    // called is a plain system call, which may be made from a handler.
    unsafe {
        let errno = *libc::__errno_location();
        let thread = libc::syscall(libc::SYS_gettid) as u32;
        let turn = PLACE.state.compare_exchange(
            wanted_of(thread),
            TAKING,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if turn.is_ok() {
            let content = &mut *PLACE.content.get();
            content.registers = registers_of(&*context.cast::<ucontext_t>());
            content.copied = copy(content.registers.stack, &mut content.stack);
            PLACE.state.store(TAKEN, Ordering::Release);
        }
        *libc::__errno_location() = errno;
    }
}

fn registers_of(context: &ucontext_t) -> Registers {
    let register = |number: c_int| context.uc_mcontext.gregs[number as usize] as u64;
    Registers {
        instruction: register(libc::REG_RIP),
        stack: register(libc::REG_RSP),
        frame: register(libc::REG_RBP),
    }
}

/// Copies what is mapped of the memory from `from` on, and says how much that is.
///
/// The kernel copies, page by page, and stops where nothing is mapped: a stack has an end that is not known here.
fn copy(from: u64, into: &mut [u8; STACK_BYTES]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: STACK_BYTES };
    let mut pieces = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; PIECES];
    let (mut at, mut left) = (from as usize, STACK_BYTES);
    for piece in &mut pieces {
        let length = (PAGE - at % PAGE).min(left);
        *piece = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(at), iov_len: length };
        at = at.wrapping_add(length);
        left -= length;
    }
    // SAFETY: The local piece is all of `into`, which is borrowed for as long as the call. The others are only addresses to
    // the kernel, which reads what is readable there and refuses the rest. `getpid` takes nothing.
    let copied = unsafe {
        libc::process_vm_readv(
            libc::getpid(),
            &raw const local,
            1,
            pieces.as_ptr(),
            PIECES as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_ends_where_nothing_is_mapped() {
        let mut into = Box::new([0_u8; STACK_BYTES]);
        assert_eq!(copy(8, &mut into), 0);
        let known: Vec<u8> = (0..3 * STACK_BYTES).map(|number| number as u8).collect();
        let from = &known[77..];
        assert_eq!(copy(from.as_ptr().addr() as u64, &mut into), STACK_BYTES);
        assert_eq!(into[..], from[..STACK_BYTES]);
    }

    #[test]
    fn a_thread_that_is_none_of_ours_has_no_stack() {
        install().unwrap();
        // The first process is not this one.
        let error = snapshot_of(1).unwrap_err();
        assert!(error.to_string().contains("thread 1"), "{error}");
        assert_eq!(PLACE.state.load(Ordering::Acquire), IDLE);
    }
}
