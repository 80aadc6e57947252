//! The vocabulary that every obskit crate shares, and nothing else.
//!
//! - [`Labels`]: a validated, sorted label set, cheap to clone, compare and hash.
//! - [`Context`]: who and what a piece of work is for; it follows a future across threads.
//! - [`Baggage`]: what callers send along by names that were agreed on.
//! - [`CorrelationId`], [`TraceId`], [`SpanId`]: the ids that tie telemetry together.
//! - [`Severity`], [`Level`], [`Timestamp`], [`CivilDate`], [`Clock`], [`Resource`], [`Redactor`].
//! - Records that travel between crates: [`Sample`], [`MetricFamily`], [`LogRecord`], [`ErrorEvent`],
//!   [`AlertEvent`], [`HealthReport`].
//! - The two traits that join pillars without their knowing each other: [`Gather`] (where samples
//!   come from) and [`Sink`] (where records go).
//!
//! ```
//! use obs_model::{Context, CorrelationId, Labels};
//!
//! let labels = Labels::new([("status", "ok"), ("method", "GET")])?;
//! assert_eq!(labels.to_string(), r#"{method="GET",status="ok"}"#);
//!
//! let context = Context::new().with_correlation(CorrelationId::generate()).with_user("u-17");
//! let _entered = context.enter();
//! assert_eq!(Context::current().user(), Some("u-17"));
//! # Ok::<(), obs_model::LabelsError>(())
//! ```
//!
//! # Limits
//!
//! This crate does no I/O and spawns nothing. It reads the clock in one place only, [`SystemClock`],
//! and only when its caller asks it to.

mod alert;
mod baggage;
mod clock;
mod context;
mod date;
mod error_event;
mod health;
mod ids;
mod labels;
mod log;
mod metric;
mod number;
mod redact;
mod resource;
mod severity;
mod sink;
mod timestamp;
mod type_name;

pub use alert::{AlertEvent, AlertState};
pub use baggage::{Baggage, InvalidBaggage};
pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{Context, ContextGuard, InContext, LentContext, WithContext};
pub use date::CivilDate;
pub use error_event::{ErrorEvent, Fingerprint, Mechanism, StackFrame};
pub use health::{CheckReport, HealthReport, HealthStatus, ServiceFigures};
pub use ids::{CorrelationId, InvalidId, SpanId, TraceId};
pub use labels::{
    LabelLimits, LabelProblem, Labels, LabelsError, METRIC_NAME_LABEL, is_valid_label_name,
    is_valid_metric_name,
};
pub use log::{FieldValue, Level, LogError, LogRecord, UnknownLevel};
pub use metric::{
    Bucket, Exemplar, Gather, HistogramSnapshot, MetricFamily, MetricKind, MetricPoint,
    MetricValue, NativeBuckets, Sample,
};
pub use number::write_float;
pub use redact::{REDACTED, RedactMode, Redactor, SecretKind};
pub use resource::Resource;
pub use severity::{Severity, UnknownSeverity};
pub use sink::{Accepted, DropReason, Sink};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use type_name::type_name_of;
