//! Spools for tests: one in memory that outlives a destination, and one in a file that outlives a process.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use obs_delivery::{Spool, SpoolError, SpoolRecord};

/// What is wrong with a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    Full,
    Failing,
    Panicking,
}

/// A clone is another handle of the same records.
#[derive(Clone, Default)]
pub(crate) struct MemorySpool {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    records: VecDeque<SpoolRecord>,
    next_id: u64,
    pushes: usize,
    reads: usize,
    trouble: Trouble,
}

impl MemorySpool {
    pub(crate) fn set(&self, trouble: Trouble) {
        self.state.lock().unwrap().trouble = trouble;
    }

    pub(crate) fn fails(&self) -> bool {
        self.state.lock().unwrap().trouble == Trouble::Failing
    }

    /// How many times it was pushed to, and how many times it was read.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.pushes, state.reads)
    }

    fn checked(&self) -> Result<std::sync::MutexGuard<'_, State>, SpoolError> {
        let state = self.state.lock().unwrap();
        match state.trouble {
            Trouble::None | Trouble::Full => Ok(state),
            Trouble::Failing => Err(SpoolError::new("scripted failure")),
            Trouble::Panicking => {
                drop(state);
                panic!("scripted panic in spool")
            }
        }
    }
}

impl Spool for MemorySpool {
    fn push(&self, records: &[&[u8]]) -> Result<Range<u64>, SpoolError> {
        let mut state = self.checked()?;
        state.pushes += 1;
        if state.trouble == Trouble::Full {
            return Err(SpoolError::full("scripted want of room"));
        }
        let start = state.next_id;
        for record in records {
            let bytes = bytes::Bytes::copy_from_slice(record);
            let id = state.next_id;
            state.records.push_back(SpoolRecord { id, bytes });
            state.next_id += 1;
        }
        Ok(start..state.next_id)
    }

    fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<SpoolRecord>, SpoolError> {
        let mut state = self.checked()?;
        state.reads += 1;
        let mut bytes = 0;
        let mut found: Vec<SpoolRecord> = Vec::new();
        for record in state.records.iter().filter(|record| record.id >= id) {
            bytes += record.bytes.len();
            if found.len() >= max_items || (bytes > max_bytes && !found.is_empty()) {
                break;
            }
            found.push(record.clone());
        }
        Ok(found)
    }

    fn acknowledge_through(&self, id: u64) -> Result<(), SpoolError> {
        self.checked()?.records.retain(|record| record.id > id);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.state.lock().unwrap().records.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.state.lock().unwrap().records.iter().map(|record| record.bytes.len() as u64).sum()
    }
}

/// A spool in this folder: in a store if there is that feature, else in a file.
#[cfg(feature = "spool")]
pub(crate) fn durable(folder: &Path) -> obs_delivery::StoreSpool {
    let options = obs_store::StoreOptions { max_bytes: 2 << 30, ..Default::default() };
    let (store, _) = obs_store::Store::open(folder.join("state.redb"), options).unwrap();
    obs_delivery::StoreSpool::open(&store, "test", 1 << 30).unwrap()
}

/// A spool in this folder: in a store if there is that feature, else in a file.
#[cfg(not(feature = "spool"))]
pub(crate) fn durable(folder: &Path) -> FileSpool {
    FileSpool::open(folder)
}

/// Records in one file, behind each other, and in another the id up to which they are acknowledged. It is
/// never shortened, and read whole when it is opened.
pub(crate) struct FileSpool {
    memory: MemorySpool,
    files: Mutex<(File, File)>,
}

impl FileSpool {
    pub(crate) fn open(folder: &Path) -> Self {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(folder.join(name)).unwrap()
        };
        let (mut records, mut acknowledged) = (open("records"), open("acknowledged"));
        let mut bytes = Vec::new();
        records.read_to_end(&mut bytes).unwrap();
        let mut state = State::default();
        let mut at = 0;
        while let Some(length) = bytes.get(at..at + 4) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let Some(record) = bytes.get(at + 4..at + 4 + length) else { break };
            let bytes = bytes::Bytes::copy_from_slice(record);
            state.records.push_back(SpoolRecord { id: state.next_id, bytes });
            state.next_id += 1;
            at += 4 + length;
        }
        // What a push that was killed left behind was promised to nobody.
        records.set_len(at as u64).unwrap();
        records.seek(SeekFrom::End(0)).unwrap();
        let mut through = Vec::new();
        acknowledged.read_to_end(&mut through).unwrap();
        if let Ok(through) = through.try_into().map(u64::from_le_bytes) {
            state.records.retain(|record| record.id > through);
        }
        let memory = MemorySpool { state: Arc::new(Mutex::new(state)) };
        Self { memory, files: Mutex::new((records, acknowledged)) }
    }
}

impl Spool for FileSpool {
    fn push(&self, records: &[&[u8]]) -> Result<Range<u64>, SpoolError> {
        let mut written = Vec::new();
        for record in records {
            written.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
            written.extend_from_slice(record);
        }
        let mut files = self.files.lock().unwrap();
        files.0.write_all(&written).and_then(|()| files.0.sync_data()).unwrap();
        self.memory.push(records)
    }

    fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<SpoolRecord>, SpoolError> {
        self.memory.peek_from(id, max_items, max_bytes)
    }

    fn acknowledge_through(&self, id: u64) -> Result<(), SpoolError> {
        let mut files = self.files.lock().unwrap();
        files
            .1
            .seek(SeekFrom::Start(0))
            .and_then(|_| files.1.write_all(&id.to_le_bytes()))
            .unwrap();
        self.memory.acknowledge_through(id)
    }

    fn len(&self) -> u64 {
        self.memory.len()
    }

    fn bytes(&self) -> u64 {
        self.memory.bytes()
    }
}
