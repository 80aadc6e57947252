//! How rotated files are named, and which files in a folder are such.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use obs_model::Timestamp;

/// The end of a file that is being compressed.
const UNFINISHED: &str = ".tmp";

/// The ends of compressed files.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];

/// What the file and those that were rotated are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    folder: PathBuf,
    /// The name up to the time, such as `app-`.
    before: String,
    /// The name after the time, such as `.log`; empty if the file has no extension.
    after: String,
}

/// A file that was rotated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    /// When.
    pub(super) at: Timestamp,
    pub(super) path: PathBuf,
    pub(super) state: State,
}

/// What was done to a rotated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Plain,
    Compressed,
    /// It was being compressed when the process ended.
    Unfinished,
}

impl Names {
    /// The names for a file of this path, if it names one. A part that is not UTF-8 is shown with replacements in the
    /// names of rotated files.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_string_lossy();
        let extension = path.extension().map(|text| format!(".{}", text.to_string_lossy()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(Self {
            folder: folder.unwrap_or(Path::new(".")).to_path_buf(),
            before: format!("{stem}-"),
            after: extension.unwrap_or_default(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file goes that is rotated at this time.
    fn path_at(&self, at: Timestamp) -> PathBuf {
        let time: String = at.to_string().replace(['-', ':'], "");
        self.folder.join(format!("{}{time}{}", self.before, self.after))
    }

    /// A time, this one or soon after it and after that of every rotated file, and the path for it, which nobody has.
    pub(super) fn free(&self, at: Timestamp) -> io::Result<PathBuf> {
        let newest = self.list()?.last().map(|rotated| rotated.at);
        let after_newest = newest.map(|newest| Timestamp::from_millis(newest.as_millis() + 1));
        Ok(self.path_at(after_newest.map_or(at, |after| after.max(at))))
    }

    /// Every rotated file, the oldest first.
    pub(super) fn list(&self) -> io::Result<Vec<Rotated>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some((at, state)) = entry.file_name().to_str().and_then(|name| self.parse(name))
            else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                all.push(Rotated { at, path: entry.path(), state });
            }
        }
        all.sort();
        Ok(all)
    }

    fn parse(&self, name: &str) -> Option<(Timestamp, State)> {
        let (name, is_unfinished) = without_end(name, UNFINISHED);
        let compressed = COMPRESSED.iter().find_map(|end| name.strip_suffix(end));
        let state = match (is_unfinished, compressed) {
            (true, Some(_)) => State::Unfinished,
            (true, None) => return None,
            (false, Some(_)) => State::Compressed,
            (false, None) => State::Plain,
        };
        let time = compressed.unwrap_or(name);
        let time = time.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        Some((read_time(time)?, state))
    }
}

impl Rotated {
    /// Where its compressed form goes, and where that stands until it is whole.
    pub(super) fn compressed(&self, end: &str) -> (PathBuf, PathBuf) {
        let with = |ends: &[&str]| {
            let mut path = OsString::from(&self.path);
            ends.iter().for_each(|end| path.push(end));
            PathBuf::from(path)
        };
        (with(&[end]), with(&[end, UNFINISHED]))
    }
}

fn without_end<'a>(name: &'a str, end: &str) -> (&'a str, bool) {
    name.strip_suffix(end).map_or((name, false), |name| (name, true))
}

/// Reads `20261122T111001.123Z`, exactly as it is written.
fn read_time(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"00000000T000000.000Z";
    let fits = text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    if !fits {
        return None;
    }
    let (date, time) = text.split_at(9);
    let date = format!("{}-{}-{}T", &date[..4], &date[4..6], &date[6..8]);
    let time = format!("{}:{}:{}", &time[..2], &time[2..4], &time[4..]);
    (date + &time).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        Names::of(Path::new("/logs/app.log")).expect("it names a file")
    }

    #[test]
    fn only_names_of_rotated_files_are_taken_for_such() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        for (name, expected) in [
            ("app-20231114T221320.123Z.log", Some(State::Plain)),
            ("app-20231114T221320.123Z.log.gz", Some(State::Compressed)),
            ("app-20231114T221320.123Z.log.zst", Some(State::Compressed)),
            ("app-20231114T221320.123Z.log.gz.tmp", Some(State::Unfinished)),
            ("app-20231114T221320.123Z.log.tmp", None),
            ("app-20231114T221320.123Z", None),
            ("app-20231314T221320.123Z.log", None),
            ("app-2023111+T221320.123Z.log", None),
            ("app-notes.log", None),
            ("app.log", None),
            ("other-20231114T221320.123Z.log", None),
            ("app-é0231114T221320.12Z.log", None),
        ] {
            assert_eq!(names().parse(name), expected.map(|state| (at, state)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_sort_by_time_and_read_back(
            first in 0_i64..200_000_000_000_000,
            second in 0_i64..200_000_000_000_000,
        ) {
            let [first, second] = [first, second].map(Timestamp::from_millis);
            let path = names().path_at(first);
            let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            prop_assert_eq!(names().parse(name), Some((first, State::Plain)));
            prop_assert_eq!(first.cmp(&second), path.cmp(&names().path_at(second)));
        }

        #[test]
        fn any_name_is_read_without_panic(name in ".*") {
            let _ = names().parse(&name);
            let _ = read_time(&name);
        }
    }
}
