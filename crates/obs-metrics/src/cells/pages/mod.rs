//! Cells that one thread writes and any thread reads: the memory behind every total.
//!
//! Cells come in pages of [`CELLS`]. A page has one [`Home`], which is shared and lives for ever, and one private
//! page for each thread that has written to it. A thread adds to its own page with a plain load and store; nobody
//! else writes there while a handle on the cell exists. A total is the home's cell and the same cell of every
//! private page.
//!
//! When a thread ends, what its pages hold moves into their homes and the pages are freed. A reader must see either
//! the page or what was moved, never both and never neither, so moving and reading exclude each other by the pool's
//! lock. Recording takes no lock: a thread puts its new page in front of the home's list by compare-and-swap, and
//! pages are taken out under the lock only.
//!
//! This module and `local` below it are the only ones with `unsafe` code; the models in `model` run the real code of
//! this file under loom.

pub(crate) mod local;
#[cfg(all(test, obskit_loom))]
mod model;

use std::ptr;

use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Held, Lock, Ordering};

/// How many cells a page has. Models use few, because loom keeps the whole history of each.
pub(crate) const CELLS: usize = if cfg!(all(test, obskit_loom)) { 2 } else { 64 };

pub(crate) type Cells = [AtomicU64; CELLS];

/// What the pages of all threads share: the lock that readers hold, and a budget of memory.
pub(crate) struct Pool {
    reading: Lock,
    bytes: AtomicUsize,
    max_bytes: usize,
}

/// The right to read totals: while it is held, no thread's page is moved or freed.
pub(crate) struct Reading<'a> {
    pool: &'a Pool,
    _held: Held<'a>,
}

/// The shared part of a page. Homes are never freed.
pub(crate) struct Home {
    pool: &'static Pool,
    number: usize,
    cells: Cells,
    /// A bit for each cell that holds the bits of a float; the others hold whole numbers.
    floats: AtomicU64,
    /// The private pages, in a list that grows at its front.
    pages: AtomicPtr<Page>,
}

/// One thread's part of a page.
pub(crate) struct Page {
    cells: Cells,
    next: AtomicPtr<Page>,
}

/// The pages of one thread, by number. Dropping it moves what they hold into their homes.
pub(crate) struct Writer {
    table: Vec<*mut Page>,
    touched: Vec<&'static Home>,
    table_bytes: usize,
}

impl Pool {
    /// A pool whose private pages take `max_bytes` at most; beyond it threads record into the homes.
    #[cfg(not(all(test, obskit_loom)))]
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { reading: Lock::new(), bytes: AtomicUsize::new(0), max_bytes }
    }

    /// As above; loom's atomics cannot be made at compile time.
    #[cfg(all(test, obskit_loom))]
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { reading: Lock::new(), bytes: AtomicUsize::new(0), max_bytes }
    }

    /// Holds off the end of threads until the result is dropped. Not re-entrant.
    pub(crate) fn read(&self) -> Reading<'_> {
        Reading { _held: self.reading.hold(), pool: self }
    }

    fn reserve(&self, bytes: usize) -> bool {
        // OK because threads that reserve at once overshoot by no more than a page each.
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.max_bytes {
            return false;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Home {
    pub(crate) fn new(pool: &'static Pool, number: usize) -> Self {
        Self {
            pool,
            number,
            cells: std::array::from_fn(|_| AtomicU64::new(0)),
            floats: AtomicU64::new(0),
            pages: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[cfg(all(test, obskit_loom))]
    pub(crate) const fn pool(&self) -> &'static Pool {
        self.pool
    }

    /// The cells that every thread may write, by read-modify-write only.
    pub(crate) const fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Says what the cell holds, before anyone records into it.
    pub(crate) fn mark(&self, offset: usize, holds_float: bool) {
        let bit = 1 << offset;
        if holds_float {
            self.floats.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.floats.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// The total of a cell that holds whole numbers.
    pub(crate) fn total(&self, offset: usize, reading: &Reading<'_>) -> u64 {
        let mut total = self.cells[offset].load(Ordering::Relaxed);
        self.for_each_page(reading, |cells| {
            total = total.wrapping_add(cells[offset].load(Ordering::Relaxed));
        });
        total
    }

    /// The total that private pages hold of a cell of floats, without the home's own.
    pub(crate) fn private_float(&self, offset: usize, reading: &Reading<'_>) -> f64 {
        let mut total = 0.0;
        self.for_each_page(reading, |cells| {
            total += f64::from_bits(cells[offset].load(Ordering::Relaxed));
        });
        total
    }

    /// The total of a cell that holds floats.
    pub(crate) fn float_total(&self, offset: usize, reading: &Reading<'_>) -> f64 {
        f64::from_bits(self.cells[offset].load(Ordering::Relaxed))
            + self.private_float(offset, reading)
    }

    /// Adds the totals of the cells from `offset` on to `totals`, as many as it has room for.
    pub(crate) fn add_totals(&self, offset: usize, totals: &mut [u64], reading: &Reading<'_>) {
        let add = |totals: &mut [u64], cells: &Cells| {
            for (total, cell) in totals.iter_mut().zip(&cells[offset..]) {
                *total = total.wrapping_add(cell.load(Ordering::Relaxed));
            }
        };
        add(totals, &self.cells);
        self.for_each_page(reading, |cells| add(totals, cells));
    }

    /// Sets a cell to zero everywhere. Nobody may record into it, or have a handle to do so.
    pub(crate) fn clear(&self, offset: usize, reading: &Reading<'_>) {
        self.cells[offset].store(0, Ordering::Relaxed);
        // OK although the pages belong to other threads: a cell without a handle has no writer, and the last
        // handle's drop happens after everything that was recorded through any of them.
        self.for_each_page(reading, |cells| cells[offset].store(0, Ordering::Relaxed));
    }

    fn for_each_page(&self, reading: &Reading<'_>, mut look: impl FnMut(&Cells)) {
        assert!(ptr::eq(reading.pool, self.pool), "a page is read under its own pool's lock");
        let mut at = self.pages.load(Ordering::Acquire);
        // SAFETY: every pointer in the list comes from `Box::into_raw` in `Writer::touch`, and a page is freed only
        // after `unlink` took it out of the list under the pool's lock. `reading` shows that this lock is held, so
        // no page that is reached here is freed meanwhile. The acquiring loads pair with the releasing
        // compare-and-swap that made a page reachable, so its cells are seen as they were made or later. Nobody
        // has a `&mut Page` once the page is reachable.
        while let Some(page) = unsafe { at.as_ref() } {
            look(&page.cells);
            at = page.next.load(Ordering::Acquire);
        }
    }

    /// Adds what a page holds to the home's own cells.
    fn take_over(&self, cells: &Cells) {
        let floats = self.floats.load(Ordering::Relaxed);
        for (offset, (from, to)) in cells.iter().zip(&self.cells).enumerate() {
            let bits = from.load(Ordering::Relaxed);
            if bits == 0 {
                continue;
            }
            if floats & (1 << offset) == 0 {
                to.fetch_add(bits, Ordering::Relaxed);
            } else {
                add_float(to, f64::from_bits(bits));
            }
        }
    }

    /// Takes a page out of the list. The caller holds the lock, so only the front of the list can change meanwhile.
    fn unlink(&self, page: *mut Page, next: *mut Page, reading: &Reading<'_>) {
        assert!(ptr::eq(reading.pool, self.pool), "a page is freed under its own pool's lock");
        let front = self.pages.compare_exchange(page, next, Ordering::AcqRel, Ordering::Acquire);
        let Err(mut at) = front else { return };
        // SAFETY: as in `for_each_page`: the lock is held, so everything in the list is alive.
        while let Some(before) = unsafe { at.as_ref() } {
            let follows = before.next.load(Ordering::Acquire);
            if follows == page {
                before.next.store(next, Ordering::Release);
                return;
            }
            at = follows;
        }
    }
}

impl Writer {
    pub(crate) const fn new() -> Self {
        Self { table: Vec::new(), touched: Vec::new(), table_bytes: 0 }
    }

    /// The pages by number; an entry is null where this thread has none.
    const fn table(&self) -> &[*mut Page] {
        self.table.as_slice()
    }

    /// This thread's page of `home`, made now if there is none; null when the budget is used up.
    pub(crate) fn touch(&mut self, home: &'static Home) -> *const Page {
        if let Some(page) = self.table.get(home.number)
            && !page.is_null()
        {
            return *page;
        }
        if !self.make_room(home) || !home.pool.reserve(size_of::<Page>()) {
            return ptr::null();
        }
        let cells = std::array::from_fn(|_| AtomicU64::new(0));
        let page = Box::into_raw(Box::new(Page { cells, next: AtomicPtr::new(ptr::null_mut()) }));
        let mut front = home.pages.load(Ordering::Relaxed);
        loop {
            // SAFETY: the page was just allocated and nobody else can reach it before the exchange below succeeds.
            unsafe { &*page }.next.store(front, Ordering::Relaxed);
            // Releasing makes the page's cells visible to whoever finds it. What stands further down the list is
            // visible too: this exchange continues the release sequence of the one that put the old front there.
            match home.pages.compare_exchange_weak(
                front,
                page,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(changed) => front = changed,
            }
        }
        self.table[home.number] = page;
        self.touched.push(home);
        page
    }

    /// Makes the table long enough for `home`, within the budget.
    fn make_room(&mut self, home: &'static Home) -> bool {
        if home.number < self.table.len() {
            return true;
        }
        let length = (home.number + 1).next_power_of_two().max(16);
        let more = (length - self.table.len()) * size_of::<*mut Page>();
        if !home.pool.reserve(more) {
            return false;
        }
        self.table_bytes += more;
        self.table.reserve_exact(length - self.table.len());
        self.table.resize(length, ptr::null_mut());
        true
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(pool) = self.touched.first().map(|home| home.pool) else { return };
        for home in self.touched.drain(..) {
            let page = self.table[home.number];
            let reading = home.pool.read();
            {
                // SAFETY: `touch` put the page there, and only this function frees it, once, because `touched`
                // names each home once and is drained. The shared reference ends with this block.
                let ended = unsafe { &*page };
                home.take_over(&ended.cells);
                home.unlink(page, ended.next.load(Ordering::Acquire), &reading);
            }
            drop(reading);
            // SAFETY: the page came from `Box::into_raw` in `touch`. It is out of the list, and every reader that
            // could still have held a pointer to it did so under the lock that was held while it was taken out.
            // This thread's own view of its pages was emptied before (`local`), or the writer is dropped by the
            // one that used it.
            drop(unsafe { Box::from_raw(page) });
            home.pool.release(size_of::<Page>());
        }
        pool.release(self.table_bytes);
    }
}

impl Page {
    pub(crate) const fn cells(&self) -> &Cells {
        &self.cells
    }
}

/// Adds to a float that several threads may write.
pub(crate) fn add_float(cell: &AtomicU64, value: f64) {
    let mut present = cell.load(Ordering::Relaxed);
    loop {
        let next = (f64::from_bits(present) + value).to_bits();
        match cell.compare_exchange_weak(present, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(changed) => present = changed,
        }
    }
}
