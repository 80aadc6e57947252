//! The table, and the same as JSON.

use std::error::Error;
use std::path::Path;

/// One case: ours and every peer.
pub(crate) struct Row {
    case: String,
    unit: &'static str,
    ours: Option<f64>,
    peers: Vec<(&'static str, f64)>,
}

impl Row {
    /// `all` has a value for each contender, by name; the one called `ours` is ours.
    pub(crate) fn new(
        case: impl Into<String>,
        unit: &'static str,
        ours: &str,
        all: &[(&'static str, f64)],
    ) -> Self {
        let row = Self {
            case: case.into(),
            unit,
            ours: all.iter().find(|(name, _)| *name == ours).map(|(_, value)| *value),
            peers: all.iter().copied().filter(|(name, _)| *name != ours).collect(),
        };
        row.print();
        row
    }

    fn best(&self) -> Option<(&'static str, f64)> {
        // A name in brackets is a bound for comparison, not a peer.
        self.peers
            .iter()
            .copied()
            .filter(|(name, _)| !name.starts_with('('))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn ratio(&self) -> Option<f64> {
        let (ours, (_, best)) = (self.ours?, self.best()?);
        (best > 0.0).then_some(ours / best)
    }

    fn print(&self) {
        let number = |value: f64| format!("{value:.2}");
        let ours = self.ours.map_or(String::from("-"), number);
        let ratio = self.ratio().map_or(String::from("-"), number);
        print!("{:<52} {:<12} ours {ours:>10}  ratio {ratio:>6} ", self.case, self.unit);
        for (name, value) in &self.peers {
            print!("  {name} {value:.2}");
        }
        println!();
    }
}

/// Writes `target/bench/NAME.json`; the table was printed row by row.
pub(crate) fn write(name: &str, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let best = row.best();
            serde_json::json!({
                "case": row.case,
                "ours": row.ours,
                "peer": best.map(|(_, value)| value),
                "peer_name": best.map(|(name, _)| name),
                "unit": row.unit,
                "ratio": row.ratio(),
            })
        })
        .collect();
    let folder = Path::new("target/bench");
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&rows)?)?;
    println!("written to {}", path.display());
    Ok(())
}
