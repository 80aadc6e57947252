//! What is done with rotated files, in the background: compressed, and removed when there are too many.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

use obs_model::Clock;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::names::{Names, Rotated, State};
use super::{FileCompression, FileConfig, Keep};

/// Looks after the rotated files of one sink; cheap to clone.
#[derive(Clone)]
pub(super) struct Upkeep(Arc<Shared>);

struct Shared {
    names: Names,
    keep: Keep,
    compression: FileCompression,
    destination: String,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    turn: Mutex<Turn>,
}

/// Who is at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Nobody,
    Somebody,
    /// Somebody, who has to look again when done.
    Again,
}

impl Upkeep {
    pub(super) fn new(
        config: &FileConfig,
        names: Names,
        destination: &str,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Self {
        Self(Arc::new(Shared {
            names,
            keep: config.keep,
            compression: config.compression,
            destination: destination.to_owned(),
            clock,
            runtime,
            turn: Mutex::new(Turn::Nobody),
        }))
    }

    /// Begins to look after the files, unless that is being done: then it is done once more.
    pub(super) fn begin(&self) {
        let before = {
            let mut turn = self.0.turn.lock();
            let next = if *turn == Turn::Nobody { Turn::Somebody } else { Turn::Again };
            std::mem::replace(&mut *turn, next)
        };
        if before == Turn::Nobody {
            let shared = Arc::clone(&self.0);
            // OK because what is not done before the process ends is done when the next one starts.
            drop(self.0.runtime.spawn_blocking(move || shared.run()));
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            if self.tidy().is_err() {
                let destination = self.destination.clone();
                metrics::counter!("obskit_log_file_upkeep_failures_total", "destination" => destination)
                    .increment(1);
            }
            let mut turn = self.turn.lock();
            if *turn == Turn::Again {
                *turn = Turn::Somebody;
            } else {
                *turn = Turn::Nobody;
                return;
            }
        }
    }

    /// Removes what is too much before it is compressed, and by what is left after that. What fails does not keep the
    /// rest from being done.
    fn tidy(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut note = |result: io::Result<()>| {
            if outcome.is_ok() {
                outcome = result;
            }
        };
        for unfinished in self.listed(State::Unfinished)? {
            note(removed(&unfinished.path));
        }
        note(self.prune(Keep { bytes: None, ..self.keep }));
        if let Some(encoding) = self.compression.encoding() {
            for plain in self.listed(State::Plain)? {
                note(compress(&plain, encoding));
            }
        }
        note(self.prune(self.keep));
        outcome
    }

    fn listed(&self, state: State) -> io::Result<Vec<Rotated>> {
        let mut all = self.names.list()?;
        all.retain(|rotated| rotated.state == state);
        Ok(all)
    }

    /// Removes the oldest files that are more than `keep`.
    fn prune(&self, keep: Keep) -> io::Result<()> {
        let now = self.clock.now();
        let (mut files, mut bytes) = (0_usize, 0_u64);
        for rotated in self.names.list()?.iter().rev() {
            files += 1;
            bytes = bytes.saturating_add(fs::metadata(&rotated.path).map_or(0, |meta| meta.len()));
            let is_kept = keep.files.is_none_or(|most| files <= most)
                && keep.bytes.is_none_or(|most| bytes <= most)
                && keep.age.is_none_or(|most| now.since(rotated.at) <= most);
            if !is_kept {
                removed(&rotated.path)?;
            }
        }
        Ok(())
    }
}

/// Removes a file, also if somebody else did.
fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes all of a file to another, in another form.
type Encode = fn(&mut BufReader<File>, File) -> io::Result<File>;

impl FileCompression {
    /// What stands at the end of the name, and how it is done.
    fn encoding(self) -> Option<(&'static str, Encode)> {
        match self {
            Self::None => None,
            #[cfg(feature = "file-gzip")]
            Self::Gzip => Some((".gz", |source, target| {
                let level = flate2::Compression::new(6);
                let mut encoder = flate2::write::GzEncoder::new(target, level);
                io::copy(source, &mut encoder)?;
                encoder.finish()
            })),
            #[cfg(feature = "file-zstd")]
            Self::Zstd => Some((".zst", |source, target| {
                let mut encoder = zstd::stream::write::Encoder::new(target, 3)?;
                io::copy(source, &mut encoder)?;
                encoder.finish()
            })),
        }
    }
}

/// Writes a compressed form beside the file, and takes the file away when that is whole.
fn compress(rotated: &Rotated, (end, encode): (&str, Encode)) -> io::Result<()> {
    let (whole, unfinished) = rotated.compressed(end);
    let written = write_encoded(&rotated.path, &unfinished, encode)
        .and_then(|()| fs::rename(&unfinished, &whole));
    match written {
        Ok(()) => removed(&rotated.path),
        Err(error) => {
            // OK because what is left of it is removed at the next look.
            let _ = removed(&unfinished);
            Err(error)
        }
    }
}

fn write_encoded(from: &Path, to: &Path, encode: Encode) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::create(to)?;
    target.set_permissions(source.metadata()?.permissions())?;
    let target = encode(&mut BufReader::with_capacity(64 << 10, source), target)?;
    // The original goes only when its compressed form is on the disk.
    target.sync_all()
}
