//! Where series are kept: in blocks, each behind a lock of its own.
//!
//! An append of many samples takes each block's lock once, and a reading holds one only while it copies one series out,
//! so that neither waits for the other for longer than that.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::series::Stored;

/// How many series share a lock.
const BLOCK_SERIES: usize = 256;

/// Names a series of one store, for appending without its labels.
///
/// It stays safe to use when the series is gone, which appends then say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId {
    pub(super) slot: u32,
    /// How often the slot had been given out before.
    pub(super) version: u32,
}

/// Where one series is, or was.
#[derive(Debug, Default)]
struct Slot {
    version: u32,
    series: Option<Stored>,
}

/// The series of one block.
#[derive(Debug, Default)]
pub(super) struct Block {
    slots: Vec<Slot>,
}

/// All blocks.
#[derive(Debug)]
pub(super) struct Blocks(Box<[RwLock<Block>]>);

impl Blocks {
    /// Blocks for up to `series` series.
    pub(super) fn new(series: usize) -> Self {
        Self((0..series.div_ceil(BLOCK_SERIES)).map(|_| RwLock::default()).collect())
    }

    pub(super) fn read(&self, id: SeriesId) -> Option<RwLockReadGuard<'_, Block>> {
        Some(self.0.get(id.block())?.read())
    }

    pub(super) fn write(&self, id: SeriesId) -> Option<RwLockWriteGuard<'_, Block>> {
        Some(self.0.get(id.block())?.write())
    }

    /// Every block, one after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RwLock<Block>> {
        self.0.iter()
    }

    /// What the blocks take, without what their series have on the heap, in bytes.
    pub(super) fn bytes(series: usize) -> usize {
        series.div_ceil(BLOCK_SERIES) * size_of::<RwLock<Block>>()
    }
}

impl SeriesId {
    pub(super) fn block(self) -> usize {
        self.slot as usize / BLOCK_SERIES
    }

    fn place(self) -> usize {
        self.slot as usize % BLOCK_SERIES
    }
}

impl Block {
    /// What a series takes before it has any sample, in bytes.
    pub(super) const SERIES_BYTES: usize = size_of::<Slot>();

    /// The series, unless it is gone. The id must be of this block, here and below.
    pub(super) fn get(&self, id: SeriesId) -> Option<&Stored> {
        let slot = self.slots.get(id.place())?;
        slot.series.as_ref().filter(|_| slot.version == id.version)
    }

    /// The series, unless it is gone.
    pub(super) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Stored> {
        let slot = self.slots.get_mut(id.place())?;
        slot.series.as_mut().filter(|_| slot.version == id.version)
    }

    /// Puts a series in.
    pub(super) fn put(&mut self, id: SeriesId, series: Stored) {
        while self.slots.len() <= id.place() {
            self.slots.push(Slot::default());
        }
        self.slots[id.place()] = Slot { version: id.version, series: Some(series) };
    }

    /// Takes a series out, unless it is gone.
    pub(super) fn remove(&mut self, id: SeriesId) -> Option<Stored> {
        self.get(id)?;
        self.slots[id.place()].series.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.slots.iter().filter_map(|slot| slot.series.as_ref())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stored> {
        self.slots.iter_mut().filter_map(|slot| slot.series.as_mut())
    }
}
