//! The calling thread's own pages, found without a lock and without a check that the thread still lives.

use std::cell::{Cell, RefCell};
use std::ptr;

use super::{Cells, Home, Page, Writer};

/// Where the thread's table of pages is. It has no destructor, so it can be read at any time, also while the thread
/// ends and its other thread-local values are gone.
struct View {
    table: Cell<*const *mut Page>,
    length: Cell<usize>,
}

/// Owns the pages; its destructor empties the view first.
struct Owner(Writer);

thread_local! {
    static VIEW: View = const { View { table: Cell::new(ptr::null()), length: Cell::new(0) } };
    static OWNER: RefCell<Owner> = const { RefCell::new(Owner(Writer::new())) };
}

impl Drop for Owner {
    fn drop(&mut self) {
        // From here on the thread records into the homes. The writer's own destructor runs after this one.
        show(&[]);
    }
}

fn show(table: &[*mut Page]) {
    VIEW.with(|view| {
        view.table.set(table.as_ptr());
        view.length.set(table.len());
    });
}

/// Runs `record` with the calling thread's cells of the home of this number; does nothing when the thread has none.
///
/// The number is asked for last: finding what is thread-local may be a call, and so less has to be kept across it.
#[inline(always)]
pub(crate) fn with_present<R>(
    number: impl FnOnce() -> usize,
    record: impl FnOnce(&Cells) -> R,
) -> Option<R> {
    let page = VIEW.with(|view| {
        let number = number();
        if number < view.length.get() {
            // SAFETY: `table` and `length` describe the buffer of this thread's own `Writer::table`: they are set
            // whenever `touch` may have moved it, by the same thread, and emptied before it is freed.
            unsafe { *view.table.get().add(number) }.cast_const()
        } else {
            ptr::null()
        }
    });
    // SAFETY: a page that is not null was made by this thread's writer and is freed only when the writer is dropped, at
    // the end of this thread: not before `record` returns, because `record` runs on this thread.
    unsafe { page.as_ref() }.map(|page| record(page.cells()))
}

/// As [`with_present`], and makes the cells if need be. There are none when the thread can get none: because it
/// ends, or because the budget of memory is used up. Then the home's own cells are the place to record.
pub(crate) fn with<R>(home: &'static Home, record: impl FnOnce(Option<&Cells>) -> R) -> R {
    let page = touch(home);
    // SAFETY: as above.
    record(unsafe { page.as_ref() }.map(Page::cells))
}

fn touch(home: &'static Home) -> *const Page {
    OWNER
        .try_with(|owner| {
            // Borrowed already when the allocator itself records a metric while a page is allocated.
            let Ok(mut owner) = owner.try_borrow_mut() else { return ptr::null() };
            let page = owner.0.touch(home);
            show(owner.0.table());
            page
        })
        .unwrap_or(ptr::null())
}
