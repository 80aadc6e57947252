//! Lines in a file that is rotated: by its size, by the hour or the day, with a bound on what is kept.

mod names;
mod transport;
mod upkeep;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use obs_delivery::{BatchConfig, DeliveryConfig, Framing, Message};

use super::{IntoSink, Line, LineSink, SinkStart, StartedSink, priority_of};
use crate::LogFormat;
use crate::line::recast;
use names::Names;
use transport::FileTransport;
use upkeep::Upkeep;
use writer::Writer;

/// A sink that appends lines to a file, each as one JSON object or in another [form](Self::format).
///
/// Lines are gathered for a tenth of a second, or a mebibyte, and written by a thread on which nobody waits. The file
/// is rotated when it would grow beyond [`Rotation::max_bytes`], and at the turn of the hour or the day in UTC: it is
/// renamed to `app-20261122T111001.123Z.log`, with the time of the rotation, so that names sort by time, and a new one
/// is begun. Rotated files are compressed and removed in the background. Only files with such names are ever removed.
///
/// **Others may move it.** Before each write the path is compared with the open file; when it was renamed or removed,
/// as `logrotate` does, a new file is begun. Files that are emptied in place (`copytruncate`) go on from their start.
/// [`FileConfig::reopen`] is for what can be seen by neither.
///
/// **A full disk**, and any other failure to write, is tried again with growing waits. Lines wait meanwhile, up to the
/// sink's bound of 65,536 lines or 32 MiB; the less important ones go first, each counted in
/// `obskit_delivery_dropped_total`. What is written is written whole: a part of a line at the end is taken back, and
/// one that a crash left there is ended before the next line, so that no two lines ever run together.
///
/// **Rotation that fails**, such as in a folder that may not be written to, costs no lines: the file grows on, and
/// rotation is tried again a minute later. `obskit_log_file_rotations_total{destination,result}` counts it.
///
/// A path that is no regular file (`/dev/stdout`, a named pipe), or that is a symbolic link to one, is never rotated.
/// Two processes should not share a file that one of them rotates.
///
/// ```
/// use std::time::Duration;
///
/// use obs_model::Resource;
/// use obs_tracing::sink::{FileConfig, LogSink, RotationPeriod};
/// use obs_tracing::{LogConfig, LogOutput};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("logs/app.log");
/// let mut file = FileConfig::new(&path);
/// file.rotation.every = Some(RotationPeriod::Day);
/// file.keep.age = Some(Duration::from_secs(7 * 24 * 3_600));
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.output = LogOutput::None;
/// config.sinks.push(LogSink::new("file", file));
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// tracing::dispatcher::with_default(&dispatch, || tracing::info!("paid"));
/// handle.shutdown_blocking(Duration::from_secs(5))?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(r#""message":"paid""#));
/// # Ok::<(), obs_tracing::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileConfig {
    /// Where lines go. Folders on the way are made when they are missing.
    pub path: PathBuf,
    /// How a line looks; text for people has no colours. Default JSON.
    pub format: LogFormat,
    /// When a new file is begun.
    pub rotation: Rotation,
    /// How much of the rotated files is kept.
    pub keep: Keep,
    /// What becomes of rotated files. Default nothing.
    pub compression: FileCompression,
    /// When what was written is brought to the disk. Default never: the operating system does when it sees fit.
    pub sync: FileSync,
    /// The permissions of files that are made, less those that the process's umask takes away; on Unix only. Default
    /// `0o640`.
    pub mode: u32,
    reopen: Reopen,
}

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The size that no file exceeds, in bytes, but for a single line that is longer; 1 or more. Default 100 MiB;
    /// `None` is any size.
    pub max_bytes: Option<u64>,
    /// At the turn of which period of UTC. It happens with the first line after it. Default none.
    pub every: Option<RotationPeriod>,
    /// Whether each start of the sink begins a new file. Default no.
    pub at_start: bool,
}

/// A period of UTC after which a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationPeriod {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
}

/// How much of the rotated files is kept; the oldest go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keep {
    /// How many, 1 or more. Default 10.
    pub files: Option<usize>,
    /// How many bytes, all together, as they are on the disk; 1 or more. Default any.
    pub bytes: Option<u64>,
    /// For how long after they were rotated; more than zero. It is looked at when another one is, and at the start.
    /// Default for good.
    pub age: Option<Duration>,
}

/// What becomes of rotated files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileCompression {
    /// They stay as they are.
    #[default]
    None,
    /// They are compressed with gzip, and named `….gz`.
    #[cfg(feature = "file-gzip")]
    Gzip,
    /// They are compressed with zstd, and named `….zst`.
    #[cfg(feature = "file-zstd")]
    Zstd,
}

/// When what was written is brought to the disk, so that it survives a crash of the machine. A crash of the process
/// loses nothing that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSync {
    /// When the operating system sees fit.
    #[default]
    Never,
    /// When a file is rotated.
    OnRotation,
    /// After each write of up to a mebibyte of lines, and when a file is rotated.
    EveryWrite,
}

/// Tells a file sink to open its file anew before it writes again; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// The file is opened anew before the next line is written to it.
    pub fn reopen(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl FileConfig {
    /// Lines go to this file, which is rotated at 100 MiB; ten rotated ones are kept.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: LogFormat::Json,
            rotation: Rotation { max_bytes: Some(100 << 20), every: None, at_start: false },
            keep: Keep { files: Some(10), bytes: None, age: None },
            compression: FileCompression::None,
            sync: FileSync::Never,
            mode: 0o640,
            reopen: Reopen::default(),
        }
    }

    /// What makes the sink open its file anew, such as when the service gets a `SIGHUP`. It is seldom needed: a file
    /// that was renamed or removed is noticed.
    #[must_use]
    pub fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }
}

impl IntoSink for FileConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let path = self.path.display();
        check(
            self.path.file_name().is_some(),
            format!("the path {path:?} names no file: expected one such as /var/log/app.log"),
        );
        check(
            self.rotation.max_bytes != Some(0),
            "rotation.max_bytes is 0: expected 1 or more".to_owned(),
        );
        check(self.keep.files != Some(0), "keep.files is 0: expected 1 or more".to_owned());
        check(self.keep.bytes != Some(0), "keep.bytes is 0: expected 1 or more".to_owned());
        check(
            self.keep.age != Some(Duration::ZERO),
            "keep.age is 0: expected more than zero".to_owned(),
        );
        check(
            self.mode & 0o200 != 0 && self.mode <= 0o777,
            format!(
                "mode is {:#o}: expected one that lets the owner write, up to 0o777",
                self.mode
            ),
        );
        problems
    }

    fn adapt(&self, delivery: &mut DeliveryConfig) {
        delivery.capacity = 65_536;
        delivery.max_bytes = 32 << 20;
        delivery.batch = BatchConfig {
            max_items: 8_192,
            max_bytes: 1 << 20,
            max_age: Duration::from_millis(100),
        };
        delivery.timeout = Duration::from_secs(30);
        delivery.retry.max_backoff = Duration::from_secs(5);
        // OK because a file has no server behind it that needs to be left alone.
        delivery.breaker = None;
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        let config = *self;
        let format = config.format;
        let runtime = tokio::runtime::Handle::current();
        let names = Names::of(&config.path).ok_or("the path names no file")?;
        let (destination, clock) = (start.name.clone(), Arc::clone(&start.clock));
        let upkeep = Upkeep::new(&config, names.clone(), &destination, Arc::clone(&clock), runtime);
        let mut writer = Writer::new(config, names, &destination, clock, upkeep.clone());
        writer.start()?;
        upkeep.begin();
        let endpoint = FileTransport::new(writer);
        let delivery = start
            .destination()
            .encoder(Framing::lines())
            .endpoint("file", endpoint)
            .start()
            .map_err(|error| error.to_string())?;
        let offered = delivery.clone();
        Ok(StartedSink::delivered(Offering { delivery: offered, format }, delivery))
    }
}

/// Offers each line in the form that the file has.
struct Offering {
    delivery: obs_delivery::Delivery,
    format: LogFormat,
}

impl LineSink for Offering {
    fn write(&mut self, line: &Line<'_>) {
        let mut bytes = Vec::with_capacity(line.json().len());
        recast(line.json(), self.format, &mut bytes);
        let message = Message::new(bytes).with_priority(priority_of(line.level()));
        // OK because the destination counts what it drops.
        let _ = self.delivery.offer(message);
    }
}
