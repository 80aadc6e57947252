//! A load that arrives at its own pace, whatever the service does, and knows what it must see.

mod lock;
mod mix;
mod run;
mod scrape;
mod summary;
mod tally;

use std::time::Duration;

pub use mix::{Arrival, Kind, arrivals};
pub use run::{Target, run};
pub use scrape::{Comparison, Counts};
pub use summary::Summary;
pub use tally::Tally;

/// How much load, for how long, chosen how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadConfig {
    /// Requests a second.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// Chooses the requests: the same seed gives the same requests.
    pub seed: u64,
}
