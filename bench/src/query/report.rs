//! The table, and the same as JSON.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{Load, Loaded};
use crate::servers::Kind;

/// How long each server took for something.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) took: Vec<(Kind, Duration)>,
}

/// What was measured so far; it is printed as it comes.
pub(crate) struct Report {
    series: usize,
    hours: f64,
    loads: Vec<Value>,
    queries: Vec<Value>,
}

impl Report {
    pub(crate) fn new(series: usize, load: &Load) -> Self {
        let hours = load.length() as f64 / 3_600.0;
        Self { series, hours, loads: Vec::new(), queries: Vec::new() }
    }

    /// Notes how the loading went.
    pub(crate) fn loaded(&mut self, kind: Kind, loaded: &Loaded) {
        let Loaded { samples, took, resident: (before, after) } = loaded;
        let rate = *samples as f64 / took.as_secs_f64();
        let bytes = *after as f64 / *samples as f64;
        let grown = after.saturating_sub(*before) as f64 / *samples as f64;
        println!(
            "{:<44} {:>9.0} k samples/s, {bytes:.2} bytes a sample resident, {grown:.2} more than before",
            kind.name(),
            rate / 1e3
        );
        self.loads.push(json!({
            "server": kind.name(),
            "samples": samples,
            "samples_per_second": rate,
            "resident_bytes_per_sample": bytes,
            "grown_bytes_per_sample": grown,
        }));
        if self.loads.len() == 1 {
            println!("{:<44} milliseconds, and ours as a part of theirs", "");
        }
    }

    /// Notes how long something took.
    pub(crate) fn query(&mut self, measured: &Measured) {
        let of = |kind: Kind| {
            let found = measured.took.iter().find(|(known, _)| *known == kind);
            found.map(|(_, took)| took.as_secs_f64() * 1e3)
        };
        let ours = of(Kind::Obskit);
        let mut line = format!("{:<44}", measured.name);
        let mut row = json!({"query": measured.name});
        for kind in Kind::ALL {
            let Some(millis) = of(kind) else { continue };
            row[kind.name()] = json!(millis);
            line.push_str(&format!(" {} {millis:>8.2}", kind.name()));
            if let Some(ours) = ours.filter(|_| kind != Kind::Obskit) {
                let ratio = ours / millis;
                row[format!("ratio to {}", kind.name())] = json!(ratio);
                line.push_str(&format!(" ({ratio:.2})"));
            }
        }
        println!("{line}");
        self.queries.push(row);
    }

    /// Writes `target/bench/query.json`, or `query-SERIES.json` for another number of series than the usual one.
    pub(crate) fn write(&self) -> Result<(), Box<dyn Error>> {
        let folder = Path::new("target/bench");
        std::fs::create_dir_all(folder)?;
        let name = match self.series {
            10_000 => String::from("query.json"),
            series => format!("query-{series}.json"),
        };
        let all = json!({
            "series": self.series,
            "hours": self.hours,
            "load": self.loads,
            "queries_ms": self.queries,
        });
        std::fs::write(folder.join(name), serde_json::to_string_pretty(&all)?)?;
        Ok(())
    }
}
