//! Small files of the kernel, read into a buffer that is used again.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of a file, so that no file can fill the memory.
const MAX_BYTES: u64 = 1 << 20;

/// A buffer for the text of one file at a time.
#[derive(Debug, Default)]
pub(super) struct Text(Vec<u8>);

impl Text {
    /// The file's text, up to the first byte that is not UTF-8.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<&str> {
        self.0.clear();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut self.0)?;
        Ok(match str::from_utf8(&self.0) {
            Ok(text) => text,
            Err(error) => str::from_utf8(&self.0[..error.valid_up_to()]).unwrap_or_default(),
        })
    }

    /// The one number that the file holds; nothing if there is no such file or it holds something else.
    pub(super) fn number(&mut self, path: &Path) -> Option<u64> {
        self.read(path).ok()?.trim().parse().ok()
    }
}

/// The number beside `key` in lines of `key number`.
pub(super) fn entry(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key { value.trim().parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_what_is_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut text = Text::default();
        for (bytes, expected, number) in [
            (
                &b"a much longer text than the next one"[..],
                "a much longer text than the next one",
                None,
            ),
            (b"17\n", "17\n", Some(17)),
            (b"max\n", "max\n", None),
            (b"ab\xFFcd", "ab", None),
            (b"", "", None),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(text.read(&path).unwrap(), expected);
            assert_eq!(text.number(&path), number);
        }
        assert!(text.read(&folder.path().join("absent")).is_err());
        assert_eq!(text.number(&folder.path().join("absent")), None);
    }

    #[test]
    fn an_entry_is_found_by_its_whole_key() {
        let text = "nr_periods 5\nnr_periods_x 6\nthrottled_usec 7\nbad\n";
        assert_eq!(entry(text, "nr_periods"), Some(5));
        assert_eq!(entry(text, "throttled_usec"), Some(7));
        assert_eq!(entry(text, "periods"), None);
        assert_eq!(entry(text, "bad"), None);
    }
}
