//! The open file: what is appended to it is whole lines, and it is the file that the path names.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Timestamp};

use super::names::Names;
use super::upkeep::Upkeep;
use super::{FileConfig, FileSync, RotationPeriod};

/// How long after a rotation that failed the next one is tried.
const ROTATE_AGAIN: Duration = Duration::from_secs(60);

/// Appends to the file, and rotates it.
pub(super) struct Writer {
    config: FileConfig,
    names: Names,
    clock: Arc<dyn Clock>,
    destination: String,
    upkeep: Upkeep,
    open: Option<Open>,
    /// Before when no rotation is tried, because the last one failed.
    grows_until: Option<Timestamp>,
}

struct Open {
    file: File,
    identity: Identity,
    /// Whether it is a file that can be renamed.
    is_rotatable: bool,
    /// When it was written to last.
    written_at: Timestamp,
}

/// Why a part of a body was not written.
#[derive(Debug)]
pub(super) struct Failed {
    /// How many lines were written before.
    pub(super) lines: usize,
    pub(super) what: String,
    pub(super) source: io::Error,
}

impl Writer {
    pub(super) fn new(
        config: FileConfig,
        names: Names,
        destination: &str,
        clock: Arc<dyn Clock>,
        upkeep: Upkeep,
    ) -> Self {
        let destination = destination.to_owned();
        Self { config, names, clock, destination, upkeep, open: None, grows_until: None }
    }

    /// Opens the file for the first time.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let path = self.config.path.display().to_string();
        fs::create_dir_all(self.names.folder()).map_err(|error| {
            let folder = self.names.folder().display();
            format!(
                "the folder {folder} cannot be made: {error}: expected one that can be, or is there"
            )
        })?;
        let opened = self.opened().and_then(|open| open.file.metadata().map(|meta| meta.len()));
        let length = opened.map_err(|error| {
            format!("{path} cannot be opened: {error}: expected a file that can be written to")
        })?;
        if self.config.rotation.at_start && length > 0 {
            self.rotate();
        }
        Ok(())
    }

    /// Appends whole lines, each with its end.
    pub(super) fn append(&mut self, mut body: &[u8]) -> Result<(), Failed> {
        let mut lines = 0;
        while !body.is_empty() {
            let taken = self.append_some(body).map_err(|failed| {
                // OK because a file that failed is looked at anew, from its last byte on, before more is written.
                self.open = None;
                Failed { lines: lines + failed.lines, ..failed }
            })?;
            lines += count_lines(&body[..taken]);
            body = &body[taken..];
        }
        if self.config.sync == FileSync::EveryWrite
            && let Some(open) = &self.open
            && let Err(source) = open.file.sync_data()
        {
            // What may not be on the disk is written once more, rather than never.
            self.open = None;
            return Err(Failed {
                lines: 0,
                what: cannot(&self.config, "be brought to the disk"),
                source,
            });
        }
        Ok(())
    }

    /// Appends as much as the file has room for before its rotation, and says how much that was.
    fn append_some(&mut self, body: &[u8]) -> Result<usize, Failed> {
        let now = self.clock.now();
        let failed = |this: &Self, source| Failed {
            lines: 0,
            what: cannot(&this.config, "be opened"),
            source,
        };
        let mut length = self.length().map_err(|source| failed(self, source))?;
        if self.is_due(now, length, body) {
            self.rotate();
            length = self.length().map_err(|source| failed(self, source))?;
        }
        let part = &body[..self.room_for(body, length)];
        let Some(open) = &mut self.open else { return Ok(0) };
        open.written_at = now;
        let (written, outcome) = write(&mut open.file, part);
        let Err(source) = outcome else { return Ok(part.len()) };
        // A part of a line at the end is taken back, unless somebody else has written meanwhile.
        let whole = memchr::memrchr(b'\n', &part[..written]).map_or(0, |at| at + 1);
        if open.is_rotatable
            && written > whole
            && open.file.metadata().is_ok_and(|meta| meta.len() == length + written as u64)
        {
            // OK because what cannot be taken back is ended as a line when the file is opened again.
            let _ = open.file.set_len(length + whole as u64);
        }
        let what = cannot(&self.config, "be written to");
        Err(Failed { lines: count_lines(&part[..whole]), what, source })
    }

    /// How long the file is that the path names, which is opened if it is not.
    fn length(&mut self) -> io::Result<u64> {
        if self.config.reopen.take() || !self.is_where_it_was() {
            self.open = None;
        }
        self.opened()?.file.metadata().map(|meta| meta.len())
    }

    fn is_where_it_was(&self) -> bool {
        let there = fs::metadata(&self.config.path).ok().map(|meta| Identity::of(&meta));
        self.open.as_ref().is_none_or(|open| there == Some(open.identity))
    }

    fn opened(&mut self) -> io::Result<&Open> {
        if self.open.is_none() {
            self.open = Some(self.open_file()?);
        }
        // OK because it was opened just now, if it was not before.
        self.open.as_ref().ok_or_else(|| io::Error::other("not open"))
    }

    fn open_file(&self) -> io::Result<Open> {
        let path = &self.config.path;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, self.config.mode);
        // Reading is for the last byte. A named pipe that is opened for both does not wait for its reader.
        let opened = match options.clone().read(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(self.names.folder())?;
                options.read(true).open(path)
            }
            other => other,
        };
        let mut file = opened?;
        let meta = file.metadata()?;
        let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        let has_lines = meta.is_file() && meta.len() > 0;
        if has_lines && ends_within_a_line(&mut file) {
            file.write_all(b"\n")?;
        }
        let modified = meta.modified().ok().filter(|_| has_lines).and_then(timestamp_of);
        Ok(Open {
            identity: Identity::of(&meta),
            is_rotatable: meta.is_file() && !is_link,
            written_at: modified.unwrap_or_else(|| self.clock.now()),
            file,
        })
    }

    /// Whether the file is rotated before the first line of `body`.
    fn is_due(&self, now: Timestamp, length: u64, body: &[u8]) -> bool {
        let Some(open) = self.open.as_ref().filter(|open| open.is_rotatable) else { return false };
        if length == 0 || self.grows_until.is_some_and(|until| now < until) {
            return false;
        }
        let first_line = memchr::memchr(b'\n', body).map_or(body.len(), |at| at + 1) as u64;
        let is_full = self.config.rotation.max_bytes.is_some_and(|max| length + first_line > max);
        // OK because a clock that was set back must not begin a file for every line.
        let is_over = self
            .config
            .rotation
            .every
            .is_some_and(|period| period.number_of(open.written_at) < period.number_of(now));
        is_full || is_over
    }

    /// How many bytes of `body`, in whole lines, go into the file as it is: at least the first line.
    fn room_for(&self, body: &[u8], length: u64) -> usize {
        let is_rotated =
            self.grows_until.is_none() && self.open.as_ref().is_some_and(|open| open.is_rotatable);
        let Some(max) = self.config.rotation.max_bytes.filter(|_| is_rotated) else {
            return body.len();
        };
        let room = usize::try_from(max.saturating_sub(length)).unwrap_or(usize::MAX);
        if room >= body.len() {
            return body.len();
        }
        let last = memchr::memrchr(b'\n', &body[..room]);
        let end = last.or_else(|| memchr::memchr(b'\n', body));
        end.map_or(body.len(), |at| at + 1)
    }

    /// Renames the file, so that the next line begins a new one. If that fails the file grows on for a while.
    fn rotate(&mut self) {
        let now = self.clock.now();
        let renamed = self.names.free(now).and_then(|rotated| {
            if let Some(open) = self.open.as_ref().filter(|_| self.config.sync != FileSync::Never) {
                open.file.sync_all()?;
            }
            fs::rename(&self.config.path, rotated)
        });
        let result = match renamed {
            Ok(()) => {
                self.open = None;
                self.grows_until = None;
                self.upkeep.begin();
                "ok"
            }
            Err(_) => {
                self.grows_until = Some(now.plus(ROTATE_AGAIN));
                "failed"
            }
        };
        let destination = self.destination.clone();
        metrics::counter!("obskit_log_file_rotations_total", "destination" => destination, "result" => result)
            .increment(1);
    }
}

impl RotationPeriod {
    fn number_of(self, at: Timestamp) -> i64 {
        let seconds = match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        };
        at.as_millis().div_euclid(seconds * 1_000)
    }
}

/// What tells a file from others, whatever it is called.
#[cfg(unix)]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

/// What tells a file from others, as far as that can be told here.
#[cfg(not(unix))]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(Option<std::time::SystemTime>);

impl Identity {
    #[cfg(unix)]
    fn of(meta: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(meta.dev(), meta.ino())
    }

    #[cfg(not(unix))]
    fn of(meta: &Metadata) -> Self {
        Self(meta.created().ok())
    }
}

fn cannot(config: &FileConfig, what: &str) -> String {
    format!("{} cannot {what}", config.path.display())
}

/// Writes as much as it can, and says how much that was.
fn write(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Whether the last byte is not the end of a line. A file that cannot be read is taken to end well.
fn ends_within_a_line(file: &mut File) -> bool {
    let mut last = [0];
    let read = file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last));
    read.is_ok() && last != *b"\n"
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn timestamp_of(time: std::time::SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}
