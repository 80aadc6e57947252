//! The exposition: what a scrape reads, in the format that it asks for, and reading such documents back.
//!
//! [`Registry::negotiate`] chooses among the text format 0.0.4, OpenMetrics 1.0 and Prometheus's protobuf format by
//! the headers of a request; [`parse`] reads both text formats.
//!
//! ```
//! use obs_metrics::Registry;
//!
//! let registry = Registry::default();
//! registry.counter("jobs_total", &[("kind", "mail")]).increment(2);
//!
//! let exposition = registry.negotiate(Some("application/openmetrics-text;version=1.0.0"), None);
//! let mut document = Vec::new();
//! exposition.write(&mut document)?;
//!
//! let families = obs_metrics::expose::parse::openmetrics(&document)?;
//! let jobs = families.iter().find(|family| family.name == "jobs").expect("the counter is there");
//! assert_eq!(jobs.samples[0].name, "jobs_total");
//! assert_eq!(jobs.samples[0].value, 2.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunks;
mod encode;
mod escape;
mod given;
mod line;
mod negotiate;
mod observed;
pub mod parse;
mod plan;
pub mod proto;
mod protobuf;
mod text;

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;

pub use self::escape::Escaping;
pub(crate) use self::escape::label_text;
pub(crate) use self::given::{GivenLabels, GivenNames};
use self::negotiate::{Choice, accepts_gzip};
pub use self::negotiate::{Format, OpenMetricsVersion, TextVersion};
#[cfg(feature = "push")]
pub(crate) use self::observed::spans;
use self::plan::Plan;
#[cfg(feature = "push")]
pub(crate) use self::plan::unit_of;
use self::protobuf::ProtobufEncoder;
use self::text::{Dialect, TextEncoder};
use crate::registry::Registry;

/// The `Content-Type` of the text format 0.0.4.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The `Content-Type` of OpenMetrics 1.0.
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `Content-Type` of Prometheus's protobuf format.
pub const PROTOBUF_CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Whether OpenMetrics says when each counter and histogram began, in `_created` lines.
///
/// The standard recommends it; Prometheus before version 3 stores each such line as a series of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Created {
    /// It does.
    #[default]
    Shown,
    /// It does not.
    Hidden,
}

/// How the bytes of an exposition are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// With gzip.
    Gzip,
}

impl Encoding {
    /// The value of the `Content-Encoding` header, if there should be one.
    #[must_use]
    pub const fn as_header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

/// All metrics of a registry in one format: what answers one scrape.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Registry,
    choice: Choice,
    encoding: Encoding,
    created: Created,
}

impl Exposition {
    /// The value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(&self) -> String {
        self.choice.content_type()
    }

    /// How the bytes are compressed.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.choice.format
    }

    /// What becomes of names that not every reader accepts.
    #[must_use]
    pub fn escaping(&self) -> Escaping {
        self.choice.escaping
    }

    /// Sets whether OpenMetrics has `_created` lines; it has by default.
    #[must_use]
    pub fn with_created(self, created: Created) -> Self {
        Self { created, ..self }
    }

    /// Writes every metric, in pieces of at most 64 KiB.
    ///
    /// How much memory that takes does not depend on how many series there are: values are read a few hundred series
    /// at a time, and recording goes on meanwhile.
    ///
    /// # Errors
    ///
    /// What `writer` reports.
    pub fn write(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        match self.encoding {
            Encoding::Identity => self.write_plain(writer),
            Encoding::Gzip => {
                // The fastest level: scrapes are frequent, and the texts compress well at every level.
                let mut compressed = GzEncoder::new(writer, Compression::fast());
                self.write_plain(&mut compressed)?;
                compressed.finish()?.flush()
            }
        }
    }

    fn write_plain(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        if let Some(backend) = self.registry.backend() {
            writer.write_all(backend.render().as_bytes())?;
            return writer.flush();
        }
        let families = self.registry.families();
        let escaping = self.choice.escaping;
        match self.choice.format {
            Format::Text { .. } => {
                let mut encoder = TextEncoder::new(Dialect::Text, escaping);
                encode::write(&self.registry, families, &mut encoder, writer)
            }
            Format::OpenMetrics { .. } => {
                let names: Vec<_> = families
                    .iter()
                    .map(|family| (family.shown_name(escaping), family.kind))
                    .collect();
                let plan = Plan::new(names.iter().map(|(name, kind)| (&**name, *kind)));
                drop(names);
                let dialect = Dialect::OpenMetrics { created: self.created, plan };
                let mut encoder = TextEncoder::new(dialect, escaping);
                encode::write(&self.registry, families, &mut encoder, writer)
            }
            Format::Protobuf => {
                let mut encoder = ProtobufEncoder::new(escaping);
                encode::write(&self.registry, families, &mut encoder, writer)
            }
        }
    }
}

impl Registry {
    /// Chooses the format of an answer by the request's headers `Accept` and `Accept-Encoding`.
    ///
    /// The largest weight among the text format (0.0.4 and 1.0.0), OpenMetrics (1.0.0 and 0.0.1) and delimited
    /// protobuf wins; a reader that accepts none of them gets the text format 0.0.4.
    #[must_use]
    pub fn negotiate(&self, accept: Option<&str>, accept_encoding: Option<&str>) -> Exposition {
        let encoding =
            if accepts_gzip(accept_encoding) { Encoding::Gzip } else { Encoding::Identity };
        Exposition {
            registry: self.clone(),
            // What a recorder behind the registry renders is in the text format.
            choice: Choice::of(accept.filter(|_| self.backend().is_none())),
            encoding,
            created: Created::default(),
        }
    }

    /// Writes every metric in the Prometheus text format 0.0.4, in pieces of at most 64 KiB.
    ///
    /// # Errors
    ///
    /// What `writer` reports.
    pub fn write_text(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        self.negotiate(None, None).write(writer)
    }

    /// Every metric in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn render_text(&self) -> String {
        let mut text = Vec::new();
        // OK because writing to a vector cannot fail, and everything written comes from valid UTF-8.
        let _ = self.write_text(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}
