//! A data-analyst service that obskit observes: it reads a question, queries an embedded database, draws a chart and
//! says what the rows show.

pub mod answer;
pub mod chart;
pub mod client;
pub mod database;
pub mod error;
pub mod http;
pub mod load;
pub mod model;
pub mod questions;
pub mod recent;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod table;
pub mod telemetry;
pub mod workflow;
