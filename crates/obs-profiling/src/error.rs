//! Why there is no profile.

/// Why a profile, or a thread's stack, could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("a cpu profile is being taken already: one at a time in a process, try again later")]
    Busy,
    #[error("cpu profile config is not valid: {}", problems.join("; "))]
    Config { problems: Vec<String> },
    #[error("no thread could be started to take a cpu profile")]
    Thread(#[source] std::io::Error),
    #[error("cpu sampling could not be started")]
    Start(#[source] pprof::Error),
    #[error("cpu samples could not be read")]
    Read(#[source] pprof::Error),
    #[error("cpu profile could not be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the thread that takes a cpu profile panicked")]
    Panicked,
    #[error("the cpu profile was given up by its caller")]
    Cancelled,
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("no real-time signal is free to ask threads for their stacks")]
    NoSignal,
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("a thread's stack is being taken already: one at a time in a process, try again later")]
    ThreadStackBusy,
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("thread {thread} could not be asked for its stack")]
    NoSuchThread { thread: u32, source: std::io::Error },
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[error("thread {thread} did not answer with its stack: it may not take signals")]
    NoAnswer { thread: u32 },
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    #[error("stacks of threads are only taken on Linux on x86-64")]
    NoThreadStacks,
}

impl Error {
    /// Whether another profile, or another thread's stack, is being taken: trying again later can help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        if matches!(self.0, Kind::ThreadStackBusy) {
            return true;
        }
        matches!(self.0, Kind::Busy)
    }

    /// Whether a setting is outside what is accepted; the message lists every such setting.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config { .. })
    }
}
