//! The unwind tables of everything that is loaded.

use std::ffi::{c_int, c_void};
use std::ops::Range;

use libc::dl_phdr_info;

/// How a table's address is written in the header that every linker makes: relative to where it stands, in four bytes.
const RELATIVE_FOUR_BYTES: u8 = 0x1b;

/// A program or library, with copies of its tables.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// What its addresses are relative to.
    pub(super) base: u64,
    /// Where its code is, in memory.
    pub(super) code: Range<u64>,
    pub(super) index: Table,
    pub(super) frames: Table,
}

/// A part of it, by its address relative to the base.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) addresses: Range<u64>,
    pub(super) bytes: Vec<u8>,
}

/// Everything that is loaded and has tables.
pub(super) fn loaded() -> Vec<Loaded> {
    let mut modules: Vec<Loaded> = Vec::new();
    // SAFETY: The callback is given the address of `modules` and nothing else; it lives as long as the call, which keeps no
    // pointer to it, and nobody else touches it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut modules).cast()) };
    modules
}

/// Takes one module; the loader's lock is held, so that it stays loaded meanwhile.
unsafe extern "C" fn visit(info: *mut dl_phdr_info, _: usize, modules: *mut c_void) -> c_int {
    // SAFETY: The loader hands over a valid description, and `modules` is what `loaded` gave it.
    let (info, modules) = unsafe { (&*info, &mut *modules.cast::<Vec<Loaded>>()) };
    // SAFETY: As above.
    modules.extend(unsafe { module(info) });
    0
}

/// Copies the tables of a module, if it has any.
///
/// # Safety
///
/// `info` describes a module that is loaded and stays so during the call.
unsafe fn module(info: &dl_phdr_info) -> Option<Loaded> {
    if info.dlpi_phdr.is_null() {
        return None;
    }
    // SAFETY: The loader says where the headers are and how many.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let range =
        |header: &libc::Elf64_Phdr| header.p_vaddr..header.p_vaddr.saturating_add(header.p_memsz);
    let segments = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let is_code = |header: &&libc::Elf64_Phdr| header.p_flags & libc::PF_X != 0;
    let code = segments.clone().filter(is_code).map(range);
    let code = code.reduce(|all, next| all.start.min(next.start)..all.end.max(next.end))?;
    let base = info.dlpi_addr;
    let readable = |wanted: Range<u64>| -> Option<Table> {
        let is_inside = |header: &&libc::Elf64_Phdr| {
            let own = range(header);
            header.p_flags & libc::PF_R != 0 && own.start <= wanted.start && wanted.end <= own.end
        };
        segments.clone().find(is_inside)?;
        let start = usize::try_from(base.checked_add(wanted.start)?).ok()?;
        let length = usize::try_from(wanted.end - wanted.start).ok()?;
        // SAFETY: The range lies within one segment of a loaded module, which is mapped for reading and does not
        // change. That it is loaded, the caller promises.
        let bytes = unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(start), length)
        };
        Some(Table { bytes: bytes.to_vec(), addresses: wanted })
    };
    let header = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?;
    let index = readable(range(header))?;
    let frames = frames_of(&index)?;
    // Where the table ends is not said; it ends before its segment does.
    let segment = segments.clone().map(range).find(|segment| segment.contains(&frames))?;
    let frames = readable(frames..segment.end)?;
    let code = base.checked_add(code.start)?..base.checked_add(code.end)?;
    Some(Loaded { base, code, index, frames })
}

/// Where the frames are that the index is of.
fn frames_of(index: &Table) -> Option<u64> {
    let bytes = &index.bytes;
    if bytes.first() != Some(&1) || bytes.get(1) != Some(&RELATIVE_FOUR_BYTES) {
        return None;
    }
    let distance = i32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    index.addresses.start.checked_add(4)?.checked_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_loaded_with_its_tables() {
        let own = (frames_of as fn(&Table) -> Option<u64> as usize) as u64;
        let modules = loaded();
        let module = modules.iter().find(|module| module.code.contains(&own)).unwrap();
        assert!(module.frames.bytes.len() > 1_000 && module.index.bytes.len() > 100);
        assert!(modules.len() > 1, "the C library is loaded too");
    }

    #[test]
    fn an_index_of_another_kind_is_left_alone() {
        let table = |bytes: &[u8]| Table { addresses: 0x100..0x200, bytes: bytes.to_vec() };
        assert_eq!(frames_of(&table(&[1, 0x1b, 3, 0x3b, 0xf0, 0xff, 0xff, 0xff])), Some(0xf4));
        for bytes in
            [&[][..], &[2, 0x1b, 3, 0x3b, 0, 0, 0, 0], &[1, 0, 3, 0x3b, 0, 0, 0, 0], &[1, 0x1b, 3]]
        {
            assert_eq!(frames_of(&table(bytes)), None);
        }
    }
}
