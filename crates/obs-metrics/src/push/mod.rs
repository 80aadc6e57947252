//! Sending metrics where they cannot be scraped from: to receivers of Prometheus remote write, to OpenTelemetry
//! collectors, and to a Pushgateway at the end of a batch job.
//!
//! | module | protocol | for |
//! |---|---|---|
//! | [`remote_write`] | Prometheus remote write 1.0 | services behind a firewall; Mimir, Thanos, VictoriaMetrics, Prometheus |
//! | `otlp` (feature `otlp`) | OTLP over HTTP | OpenTelemetry collectors and vendors |
//! | [`pushgateway`] | the Pushgateway's HTTP API | batch jobs that end before anybody could scrape them |
//!
//! Requests leave through [`obs_delivery`], which queues, retries and counts them: nothing here waits for the network but
//! [`Pusher::shutdown`] and the methods of [`pushgateway::Pushgateway`], which are meant to.
//!
//! What a push has of itself, each with the label `destination`; [`describe`] says what they mean:
//!
//! | metric | |
//! |---|---|
//! | `obskit_push_rounds_total` | times that all metrics were read |
//! | `obskit_push_missed_rounds_total` | ticks at which they were not, because the process was busy |
//! | `obskit_push_samples_total` | samples handed over for delivery |
//! | `obskit_push_dropped_samples_total{reason}` | samples that the queue refused |
//! | `obskit_push_rejected_samples_total` | samples that an OTLP receiver did not store |
//! | `obskit_push_already_stored_total` | repeated requests that the receiver had stored before |

mod endpoint;
mod grid;
#[cfg(feature = "otlp")]
pub mod otlp;
mod outbox;
pub mod pushgateway;
pub mod remote_write;
mod source;

use self::endpoint::endpoint_error;
pub use self::endpoint::{host_name, target_labels};
pub use self::grid::Pusher;
pub use self::outbox::describe;
pub use self::source::Source;
pub use obs_delivery::Endpoint;
