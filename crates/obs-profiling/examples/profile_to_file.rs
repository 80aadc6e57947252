//! Profiles a busy thread and writes the profile to a file: `profile_to_file FILE [HZ]`, for `go tool pprof FILE`.

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use obs_profiling::{CpuProfileConfig, CpuProfiler};

#[inline(never)]
fn collatz_steps(mut number: u64) -> u64 {
    let mut steps = 0;
    while number != 1 {
        number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
        steps += 1;
    }
    steps
}

#[inline(never)]
fn longest_collatz(limit: u64) -> Option<u64> {
    (1..limit).max_by_key(|number| collatz_steps(*number))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: profile_to_file FILE [HZ]")?;
    let frequency = arguments.next().map_or(Ok(100), |hertz| hertz.parse())?;
    // The thread ends with the program.
    std::thread::Builder::new().name("busy".to_owned()).spawn(|| {
        loop {
            black_box(longest_collatz(black_box(100_000)));
        }
    })?;
    let duration = Duration::from_secs(2);
    let config = CpuProfileConfig { duration, frequency, ..CpuProfileConfig::default() };
    let profile = CpuProfiler::new().profile(config).await?;
    std::fs::write(&file, profile.as_pprof_gz())?;
    std::io::stdout().write_all(profile.summary(10).as_bytes())?;
    Ok(())
}
