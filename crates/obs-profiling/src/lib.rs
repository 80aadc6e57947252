//! CPU profiles of a running service, in pprof form.
//!
//! [`CpuProfiler::profile`] samples the stacks of all threads for a while and hands back a [`Profile`]: the
//! bytes that `go tool pprof` reads, the functions that used most time, and how many of the samples that
//! were due have arrived.
//!
//! ```
//! use obs_profiling::{CpuProfileConfig, CpuProfiler};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), obs_profiling::Error> {
//! let config =
//!     CpuProfileConfig { duration: Duration::from_millis(50), ..CpuProfileConfig::default() };
//! let profile = CpuProfiler::new().profile(config).await?;
//! assert!(profile.duration() >= Duration::from_millis(50));
//! // Write this to a file for `go tool pprof FILE`: it begins with the magic number of gzip.
//! assert_eq!(profile.to_pprof_gz()[..2], [0x1f, 0x8b]);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works, and what follows from that
//!
//! - Sampling is `pprof-rs`'s: the timer `ITIMER_PROF` counts CPU time of the whole process and raises `SIGPROF`, and
//!   the handler walks the stack of the thread that it interrupts. A process that waits is not sampled: this is
//!   a profile of CPU time, not of wall-clock time.
//! - There is one such timer and one such signal in a process. So there is one profile at a time, whatever
//!   the number of profilers, and a service that uses `SIGPROF` for anything else cannot be profiled.
//! - The kernel looks at the timer at its scheduler tick, 100 to 1,000 times a second (`CONFIG_HZ`). A frequency above
//!   that yields no more samples, and each then stands for more time than the period says. A sample is
//!   also lost while another one is being recorded. [`Profile::samples`] and [`Profile::expected_samples`]
//!   tell how many arrived, and so does a comment in the pprof file (`go tool pprof -comments FILE`).
//! - Unwinding inside a signal handler can deadlock or crash where the interrupted code is the unwinder, the
//!   allocator or the dynamic loader itself. So samples whose innermost frame is in the C library, its loader, the
//!   unwinder or the vDSO are skipped: see [`CpuProfileConfig::blocklist`]. What a program spends in there,
//!   such as in `malloc` and `memcpy`, is therefore missing from the profile.
//! - Names are those in the debug information, and those of the symbol table where there is none. Where the debug
//!   information is reduced (`debug = "line-tables-only"`), the module of some functions is missing, and
//!   functions of the same name are counted as one. Build with `debug = "limited"` to tell them apart.
//! - Lines are those of one sample of each function: read functions, not lines.
//!
//! # One thread's stack
//!
//! [`ThreadSampler`] says where a single thread is in the code, also one that waits in a system call, without running
//! anything in its signal handler but a copy.
//!
//! # Its own state
//!
//! `obskit_profile_runs_total{kind, outcome}` counts runs; [`describe`] registers its help text.
//!
//! # Limits
//!
//! Unix only, as `pprof-rs` is. Stacks are cut at 128 frames. `pprof-rs` keeps its sample table of about 70 MB from the
//! first profile on; what finding names takes beyond that is given back.

mod config;
mod cpu;
mod cpu_time;
mod encode;
mod error;
mod memory;
mod profile;
mod self_metrics;
mod thread_stack;

pub use config::CpuProfileConfig;
pub use cpu::CpuProfiler;
pub use error::Error;
pub use profile::{FunctionCost, Profile};
pub use self_metrics::describe;
pub use thread_stack::ThreadSampler;
