//! A file that is only read: what the database writes on top of it stays in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;
use redb::backends::FileBackend;

const PAGE_BYTES: u64 = 4096;

/// The most pages that may differ: 32 MiB, far more than opening and closing a file takes.
const MAX_PAGES: usize = 8_192;

/// The file, and the pages that differ from it. A clone is another handle of the same.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: FileBackend,
    file_bytes: u64,
    top: Mutex<Top>,
}

#[derive(Debug)]
struct Top {
    length: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        let top = Mutex::new(Top { length, pages: BTreeMap::new() });
        Ok(Self { inner: Arc::new(Inner { file, file_bytes: length, top }) })
    }

    /// The first page, if it differs from that of the file.
    pub(crate) fn first_page(&self) -> Option<Box<[u8]>> {
        self.inner.top.lock().pages.get(&0).cloned()
    }
}

impl Inner {
    /// A page of the file below, with zeros where it has ended.
    fn read_below(&self, page: u64, out: &mut [u8]) -> io::Result<()> {
        let start = page * PAGE_BYTES;
        let there = usize::try_from(self.file_bytes.saturating_sub(start))
            .unwrap_or(usize::MAX)
            .min(out.len());
        let (file, zeros) = out.split_at_mut(there);
        zeros.fill(0);
        if file.is_empty() { Ok(()) } else { self.file.read(start, file) }
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner.top.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let top = self.inner.top.lock();
        let end = offset.saturating_add(out.len() as u64);
        if end > top.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let touched = top.pages.range(offset / PAGE_BYTES..=end / PAGE_BYTES).next().is_some();
        if !touched && end <= self.inner.file_bytes {
            return self.inner.file.read(offset, out);
        }
        let mut page = [0; PAGE_BYTES as usize];
        for_each_page(offset, out.len(), |number, within, range| {
            match top.pages.get(&number) {
                Some(changed) => out[range].copy_from_slice(&changed[within]),
                None => {
                    self.inner.read_below(number, &mut page)?;
                    out[range].copy_from_slice(&page[within]);
                }
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut top = self.inner.top.lock();
        if len < top.length {
            let first_gone = len.div_ceil(PAGE_BYTES);
            top.pages.split_off(&first_gone);
        }
        top.length = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut top = self.inner.top.lock();
        for_each_page(offset, data.len(), |number, within, range| {
            if !top.pages.contains_key(&number) {
                if top.pages.len() >= MAX_PAGES {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                let mut page = vec![0; PAGE_BYTES as usize].into_boxed_slice();
                self.inner.read_below(number, &mut page)?;
                top.pages.insert(number, page);
            }
            if let Some(page) = top.pages.get_mut(&number) {
                page[within].copy_from_slice(&data[range]);
            }
            Ok(())
        })
    }
}

/// Calls `visit` for each page that a range of bytes touches, with the part within the page and that of the range.
fn for_each_page(
    offset: u64,
    length: usize,
    mut visit: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        // OK because what is left within a page is less than a page.
        let within = (at % PAGE_BYTES) as usize;
        let part = (PAGE_BYTES as usize - within).min(length - done);
        visit(at / PAGE_BYTES, within..within + part, done..done + part)?;
        done += part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_reads_as_a_file_that_is_written_to_would_and_leaves_the_file_alone(
            below in prop::collection::vec(any::<u8>(), 1..20_000),
            writes in prop::collection::vec((0_usize..20_000, prop::collection::vec(any::<u8>(), 1..9_000)), 1..6),
            read in (0_usize..20_000, 1_usize..9_000),
        ) {
            let mut file = tempfile::tempfile().expect("a file");
            io::Write::write_all(&mut file, &below).expect("written");
            let overlay = Overlay::new(file.try_clone().expect("a handle")).expect("an overlay");
            let mut expected = below.clone();
            for (offset, data) in &writes {
                let end = offset + data.len();
                if end > expected.len() {
                    expected.resize(end, 0);
                    overlay.set_len(end as u64).expect("longer");
                }
                expected[*offset..end].copy_from_slice(data);
                overlay.write(*offset as u64, data).expect("written");
            }
            let (offset, length) = read;
            let mut out = vec![0; length];
            match expected.get(offset..offset + length) {
                Some(expected) => {
                    overlay.read(offset as u64, &mut out).expect("read");
                    prop_assert_eq!(out.as_slice(), expected);
                }
                None => {
                    overlay.read(offset as u64, &mut out).expect_err("past the end");
                }
            }
            prop_assert_eq!(file.metadata().expect("there").len(), below.len() as u64);
        }
    }
}
