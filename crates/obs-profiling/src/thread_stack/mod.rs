//! Where one thread is in the code, as another thread sees it.
//!
//! The thread is sent a signal, whose handler does no more than copy its registers and the upper part of its stack
//! ([`signal`]); everything else happens afterwards on the thread that asked: walking the copy with the unwind tables of the
//! loaded modules ([`modules`], [`walk`]) and finding names. So nothing that could deadlock runs in the handler, whatever the
//! thread was doing: it may be in the allocator, in the dynamic loader or in a system call.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod modules;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod signal;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod walk;

use crate::Error;

/// Says where other threads of this process are in the code. Linux on x86-64 only.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use obs_profiling::ThreadSampler;
///
/// let sampler = ThreadSampler::install()?;
/// let (say, thread) = std::sync::mpsc::channel();
/// let waiting = std::thread::spawn(move || {
///     // What Linux calls this thread is the last part of the link.
///     let link = std::fs::read_link("/proc/thread-self").unwrap();
///     say.send(link.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap()).unwrap();
///     std::thread::park();
/// });
/// let stack = sampler.stack_of(thread.recv()?)?;
/// assert!(stack.iter().any(|function| function.contains("::main::")), "{stack:?}");
/// waiting.thread().unpark();
/// waiting.join().unwrap();
/// # Ok(())
/// # }
/// # #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
/// # fn main() {}
/// ```
///
/// # What it costs the thread
///
/// A signal, and the copy of up to 128 KiB of its stack: some tens of microseconds. A system call that the thread waits in
/// goes on afterwards, except for the few that a signal always interrupts, such as `epoll_wait` and `poll`; those fail with
/// `EINTR`, which is what every program must expect of them anyway.
///
/// # Limits
///
/// One stack is taken at a time, and 64 frames of it at most. It takes a real-time signal that nobody else uses, for good. The
/// first look for names reads debug information, which can take a second in a large program.
#[derive(Clone, Copy, Debug)]
pub struct ThreadSampler(());

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl ThreadSampler {
    /// Takes a free signal and sets its handler, once in a process.
    ///
    /// # Errors
    ///
    /// No real-time signal is free.
    pub fn install() -> Result<Self, Error> {
        signal::install()?;
        Ok(Self(()))
    }

    /// The functions that a thread is in, the innermost first; `thread` is what `gettid` returns there.
    ///
    /// It blocks the calling thread, half a second at most for the other one's answer.
    ///
    /// # Errors
    ///
    /// There is no such thread in this process, it does not take signals, or a stack is being taken already.
    pub fn stack_of(&self, thread: u32) -> Result<Vec<String>, Error> {
        let snapshot = signal::snapshot_of(thread)?;
        Ok(walk::names(&walk::addresses(&snapshot, modules::loaded())))
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
impl ThreadSampler {
    /// There is none on this system.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn install() -> Result<Self, Error> {
        Err(crate::error::Kind::NoThreadStacks.into())
    }

    /// There is none on this system.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn stack_of(&self, _thread: u32) -> Result<Vec<String>, Error> {
        Err(crate::error::Kind::NoThreadStacks.into())
    }
}
