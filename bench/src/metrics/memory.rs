//! What recording leaves in memory when nobody scrapes. Each measurement has a process of its own, so that no memory
//! that was freed before can hide what grows.

use std::error::Error;
use std::process::Command;

use metrics::{Recorder, counter, histogram, with_local_recorder};
use obs_metrics::{Registry, RegistryConfig};

use crate::report::Row;
use crate::setup::{self, observation};

const RECORDS: u64 = 10_000_000;

const OBSERVATIONS: &str = "10 million record() without a scrape";
const FLOOD: &str = "10 million distinct label sets";

const OURS: &str = "obskit";
const EXPORTER: &str = "metrics-exporter-prometheus";

pub(crate) fn measure(only: &str, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    for (case, contenders) in [(OBSERVATIONS, &[OURS, EXPORTER][..]), (FLOOD, &[OURS])] {
        if case.contains(only) {
            let mut all = Vec::new();
            for contender in contenders {
                all.push((*contender, in_a_process(case, contender)?));
            }
            rows.push(Row::new(case, "KiB of RSS", OURS, &all));
        }
    }
    Ok(())
}

fn in_a_process(case: &str, contender: &str) -> Result<f64, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--memory", "--only", case, "--contender", contender])
        .output()?;
    if !output.status.success() {
        return Err(format!("{case}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// By how many KiB the resident memory grows in one case.
pub(crate) fn run_once(case: &str, contender: &str) -> Result<f64, Box<dyn Error>> {
    match (case, contender) {
        (OBSERVATIONS, OURS) => observations(&setup::ours()),
        (OBSERVATIONS, _) => observations(&*setup::exporter()),
        _ => flood(),
    }
}

fn observations(recorder: &dyn Recorder) -> Result<f64, Box<dyn Error>> {
    with_local_recorder(recorder, || {
        let handle = histogram!("wait_seconds");
        // What is made once is made before.
        handle.record(observation(0));
        grown(|| (0..RECORDS).for_each(|time| handle.record(observation(time))))
    })
}

/// The growth includes the series that the caps admit.
fn flood() -> Result<f64, Box<dyn Error>> {
    let ours = Registry::new(RegistryConfig::default());
    let spent = grown(|| {
        with_local_recorder(&ours, || {
            for id in 0..RECORDS {
                counter!("flood_total", "id" => id.to_string()).increment(1);
            }
        });
    })?;
    let overflow = ours.value("flood_total", &[("otel_metric_overflow", "true")]);
    let own = RegistryConfig::default().max_series_per_metric as f64;
    if overflow != Some(RECORDS as f64 - own) {
        return Err(format!("the overflow series holds {overflow:?}").into());
    }
    Ok(spent)
}

/// By how many KiB the resident memory grew while `work` ran.
fn grown(work: impl FnOnce()) -> Result<f64, Box<dyn Error>> {
    let before = resident()?;
    work();
    Ok(resident()? - before)
}

fn resident() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.ok_or("the kernel does not say how much memory is resident")?;
    Ok(text.trim().trim_end_matches(" kB").trim().parse()?)
}
