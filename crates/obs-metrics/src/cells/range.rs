//! Which cells belong to which series: runs of cells that are given out, used, and given back.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::pages::{CELLS, Cells, Home, Pool, Reading, add_float, local};
use crate::sync::Ordering;

/// What the private pages of all threads may take together. A thread that finds it used up records into shared
/// cells, which is exact too but slower when several threads do so at once.
const MAX_PRIVATE_BYTES: usize = 64 * 1_024 * 1_024;

#[cfg(not(all(test, obskit_loom)))]
static POOL: Pool = Pool::new(MAX_PRIVATE_BYTES);

#[cfg(all(test, obskit_loom))]
static POOL: std::sync::LazyLock<Pool> = std::sync::LazyLock::new(|| Pool::new(MAX_PRIVATE_BYTES));

static FREE: Mutex<Option<Free>> = Mutex::new(None);

/// Holds off the end of threads while totals are read. Not re-entrant: nothing that reads a total by itself, or that
/// drops the last handle of a series, may run while it is held.
pub(crate) fn read() -> Reading<'static> {
    POOL.read()
}

/// Where one cell is. It says nothing about who owns the cell: the owner must be alive for its total to mean anything.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    home: &'static Home,
    offset: usize,
}

impl Place {
    /// The total of the cell, as a whole number.
    #[inline]
    pub(crate) fn total(self, reading: &Reading<'_>) -> u64 {
        self.home.total(self.offset, reading)
    }

    /// The total of the cell, as a float.
    #[inline]
    pub(crate) fn float_total(self, reading: &Reading<'_>) -> f64 {
        self.home.float_total(self.offset, reading)
    }
}

/// Where the first cell of a run is in the pages of each thread: all that recording needs, so that who records often keeps
/// it at hand. The run must be alive meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// The number of the page.
    number: u32,
    /// The cell within it.
    offset: u32,
}

impl Spot {
    #[inline(always)]
    const fn offset(self) -> usize {
        self.offset as usize
    }

    /// Adds to the calling thread's cell, if the thread has it already.
    #[inline(always)]
    pub(crate) fn add_if_present(self, value: u64) -> Option<()> {
        local::with_present(
            || self.number as usize,
            |cells| add_private(cells, self.offset(), value),
        )
    }

    /// Adds a float to the calling thread's cell and a whole number to the one whose index `index` says, if the thread has
    /// them already. The run must lie in one page.
    #[inline(always)]
    pub(crate) fn add_both_if_present(
        self,
        value: f64,
        times: u64,
        index: impl FnOnce() -> usize,
    ) -> Option<()> {
        local::with_present(
            || self.number as usize,
            |cells| {
                add_private_float(cells, self.offset(), value);
                add_private(cells, self.offset() + index(), times);
            },
        )
    }
}

/// A run of cells that start at zero. Dropping it gives them back.
pub(crate) struct Range {
    home: &'static Home,
    spot: Spot,
    length: usize,
    /// The pages after the first, for the few runs that are longer than a page.
    more: Box<[&'static Home]>,
}

impl Range {
    /// A run of `length` cells, at least one; the first one holds a float if `float_first` says so, all others whole numbers.
    /// A run that fits into one page lies in one page.
    pub(crate) fn new(length: usize, float_first: bool) -> Self {
        let mut free = FREE.lock();
        let free = free.get_or_insert_with(Free::default);
        let first = free.take(length);
        let number = first / CELLS;
        let pages = (first % CELLS + length).div_ceil(CELLS);
        let home = free.homes[number];
        home.mark(first % CELLS, float_first);
        for index in first + 1..first + length {
            free.homes[index / CELLS].mark(index % CELLS, false);
        }
        let more = free.homes[number + 1..number + pages.max(1)].into();
        // OK because the memory ends long before there are 2^32 pages, and an offset is within a page.
        let (number, offset) = (number as u32, (first % CELLS) as u32);
        Self { home, spot: Spot { number, offset }, length, more }
    }

    /// Where its first cell is.
    pub(crate) const fn spot(&self) -> Spot {
        self.spot
    }

    /// The first cell within its page.
    #[inline(always)]
    const fn offset(&self) -> usize {
        self.spot.offset()
    }

    /// The number of the page of the first cell.
    const fn number(&self) -> usize {
        self.spot.number as usize
    }

    /// The first cell, counted through all pages.
    const fn first(&self) -> usize {
        self.number() * CELLS + self.offset()
    }

    /// Adds to the calling thread's first cell.
    #[inline(always)]
    pub(crate) fn add(&self, value: u64) {
        if self.spot.add_if_present(value).is_none() {
            add_anew(self.home, self.offset(), value);
        }
    }

    /// Adds a float to the calling thread's first cell.
    #[inline(always)]
    pub(crate) fn add_float(&self, value: f64) {
        let added = local::with_present(
            || self.number(),
            |cells| add_private_float(cells, self.offset(), value),
        );
        if added.is_none() {
            add_float_anew(self.home, self.offset(), value);
        }
    }

    pub(crate) const fn is_in_one_page(&self) -> bool {
        self.more.is_empty()
    }

    /// Adds a float to the first cell and a whole number to the one at `index`.
    pub(crate) fn add_both(&self, value: f64, index: usize, times: u64) {
        self.add_float(value);
        let at = self.first() + index;
        if let Some(home) = self.homes().nth(at / CELLS - self.number()) {
            add_anew(home, at % CELLS, times);
        }
    }

    /// The place of the first cell.
    pub(crate) fn place(&self) -> Place {
        Place { home: self.home, offset: self.offset() }
    }

    /// The total of the first cell, as a whole number.
    pub(crate) fn total(&self, reading: &Reading<'_>) -> u64 {
        self.place().total(reading)
    }

    /// The total of the first cell, as a float.
    pub(crate) fn float_total(&self, reading: &Reading<'_>) -> f64 {
        self.place().float_total(reading)
    }

    /// Sets `totals` to the totals of all cells but the first.
    pub(crate) fn totals_after_first(&self, totals: &mut Vec<u64>, reading: &Reading<'_>) {
        totals.clear();
        totals.resize(self.length - 1, 0);
        let mut at = self.first() + 1;
        let mut rest = &mut totals[..];
        for (page, home) in (self.number()..).zip(self.homes()) {
            // OK because the run's second cell can be the first one of its second page.
            let offset = at.saturating_sub(page * CELLS);
            let here = (CELLS - offset.min(CELLS)).min(rest.len());
            let (now, later) = rest.split_at_mut(here);
            if here > 0 {
                home.add_totals(offset, now, reading);
            }
            at += here;
            rest = later;
        }
    }

    /// Raises the total of the first cell, a whole number, to at least `value`.
    pub(crate) fn raise_to(&self, value: u64) {
        // Two threads that raise at once are ordered by the lock; what others add meanwhile comes on top.
        let reading = read();
        let missing = value.saturating_sub(self.total(&reading));
        if missing > 0 {
            add_shared(self.home, self.offset(), missing);
        }
    }

    /// Raises the total of the first cell, a float, to at least `value`.
    pub(crate) fn raise_float_to(&self, value: f64) {
        let reading = read();
        let private = self.home.private_float(self.offset(), &reading);
        let cell = &self.home.cells()[self.offset()];
        // OK because a thread that adds to the shared cell meanwhile makes the exchange fail.
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            (f64::from_bits(bits) + private < value).then(|| (value - private).to_bits())
        });
    }

    /// Adds to the shared cell at `index` of a run within one page, whole number or float as it is.
    pub(crate) fn add_to_shared(&self, index: usize, value: u64) {
        let at = self.first() + index;
        if let Some(home) = self.homes().nth(at / CELLS - self.number()) {
            add_shared(home, at % CELLS, value);
        }
    }

    /// Adds a float to the shared first cell.
    pub(crate) fn add_float_to_shared(&self, value: f64) {
        add_float(&self.home.cells()[self.offset()], value);
    }

    fn homes(&self) -> impl Iterator<Item = &'static Home> {
        std::iter::once(self.home).chain(self.more.iter().copied())
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        let reading = read();
        let mut homes = self.homes();
        let mut home = homes.next();
        for index in self.first()..self.first() + self.length {
            if index != self.first() && index % CELLS == 0 {
                home = homes.next();
            }
            if let Some(home) = home {
                home.clear(index % CELLS, &reading);
            }
        }
        drop(reading);
        if let Some(free) = FREE.lock().as_mut() {
            free.give_back(self.first(), self.length);
        }
    }
}

impl std::fmt::Debug for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range").field("first", &self.first()).field("length", &self.length).finish()
    }
}

/// Plain load and store: the calling thread is the only writer.
#[inline(always)]
fn add_private(cells: &Cells, offset: usize, value: u64) {
    let cell = &cells[offset];
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

#[inline(always)]
fn add_private_float(cells: &Cells, offset: usize, value: f64) {
    let cell = &cells[offset];
    let sum = f64::from_bits(cell.load(Ordering::Relaxed)) + value;
    cell.store(sum.to_bits(), Ordering::Relaxed);
}

/// Adds to the calling thread's cell, which may have to be made first.
#[cold]
#[inline(never)]
fn add_anew(home: &'static Home, offset: usize, value: u64) {
    local::with(home, |cells| match cells {
        Some(cells) => add_private(cells, offset, value),
        None => add_shared(home, offset, value),
    });
}

#[cold]
#[inline(never)]
fn add_float_anew(home: &'static Home, offset: usize, value: f64) {
    local::with(home, |cells| match cells {
        Some(cells) => add_private_float(cells, offset, value),
        None => add_float(&home.cells()[offset], value),
    });
}

fn add_shared(home: &Home, offset: usize, value: u64) {
    home.cells()[offset].fetch_add(value, Ordering::Relaxed);
}

/// The cells that nobody has.
#[derive(Default)]
struct Free {
    homes: Vec<&'static Home>,
    singles: Vec<usize>,
    /// Runs that were given back, by length. A run is given out again in the same length only.
    runs: HashMap<usize, Vec<usize>>,
    /// The page that short runs are cut from: what is left of it.
    open: std::ops::Range<usize>,
}

impl Free {
    fn take(&mut self, length: usize) -> usize {
        if length <= 1 {
            return self.take_single();
        }
        if let Some(first) = self.runs.get_mut(&length).and_then(Vec::pop) {
            return first;
        }
        if length > CELLS {
            let pages = self.new_pages(length.div_ceil(CELLS));
            self.singles.extend(pages.start + length..pages.end);
            return pages.start;
        }
        if self.open.len() < length {
            self.singles.extend(self.open.clone());
            self.open = self.new_pages(1);
        }
        let first = self.open.start;
        self.open.start += length;
        first
    }

    fn take_single(&mut self) -> usize {
        if self.singles.is_empty() {
            // The last one is taken first, so they are put there in falling order.
            let page = self.new_pages(1);
            self.singles.extend(page.rev());
        }
        // OK because the list was just filled if it was empty.
        self.singles.pop().unwrap_or_default()
    }

    /// The cells of `count` new pages that follow each other.
    fn new_pages(&mut self, count: usize) -> std::ops::Range<usize> {
        let start = self.homes.len();
        for number in start..start + count {
            // Kept for ever: handles refer to it without counting. The cap of series bounds how many there are.
            self.homes.push(Box::leak(Box::new(Home::new(&POOL, number))));
        }
        start * CELLS..(start + count) * CELLS
    }

    fn give_back(&mut self, first: usize, length: usize) {
        if length <= 1 {
            self.singles.push(first);
        } else {
            self.runs.entry(length).or_default().push(first);
        }
    }
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn runs_of_every_length_keep_to_themselves() {
        let lengths = [1, 2, 16, 63, 64, 65, 130, 202, 1, 7];
        let runs: Vec<_> = lengths.iter().map(|length| Range::new(*length, true)).collect();
        let record = || {
            for (run, length) in runs.iter().zip(lengths) {
                run.add_float(0.5);
                for index in 1..length {
                    run.add_both(1.0, index, index as u64);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(record);
            }
        });
        record();
        let mut totals = Vec::new();
        for (run, length) in runs.iter().zip(lengths) {
            let reading = read();
            assert_eq!(run.float_total(&reading), 4.0 * (0.5 + (length - 1) as f64));
            run.totals_after_first(&mut totals, &reading);
            let expected: Vec<u64> = (1..length as u64).map(|index| index * 4).collect();
            assert_eq!(totals, expected, "length {length}");
        }
    }

    #[test]
    fn cells_that_are_given_out_again_are_zero_also_in_the_pages_of_other_threads() {
        for round in 0..200 {
            let run = Range::new(5, true);
            let reading_before = run.float_total(&read());
            assert_eq!(reading_before, 0.0, "round {round}");
            thread::scope(|scope| {
                scope.spawn(|| run.add_both(1.5, 4, 2));
            });
            run.add_both(0.5, 4, 1);
            let mut totals = Vec::new();
            run.totals_after_first(&mut totals, &read());
            assert_eq!((run.float_total(&read()), totals), (2.0, vec![0, 0, 0, 3]));
        }
    }
}
