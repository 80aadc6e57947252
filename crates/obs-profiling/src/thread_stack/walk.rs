//! From a copy of a stack to the names of the functions on it.

use std::ops::ControlFlow;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};

use super::modules::Loaded;
use super::signal::Snapshot;
use crate::memory;

/// The most functions of a stack.
const MAX_FRAMES: usize = 64;

/// The longest name of a function, in bytes.
const MAX_NAME: usize = 256;

/// The code addresses on a stack, the innermost first.
pub(super) fn addresses(snapshot: &Snapshot, modules: Vec<Loaded>) -> Vec<u64> {
    let mut tables: UnwinderX86_64<Vec<u8>> = UnwinderX86_64::new();
    for module in modules {
        tables.add_module(Module::new(
            String::new(),
            module.code,
            module.base,
            ExplicitModuleSectionInfo {
                base_svma: 0,
                eh_frame_svma: Some(module.frames.addresses),
                eh_frame: Some(module.frames.bytes),
                eh_frame_hdr_svma: Some(module.index.addresses),
                eh_frame_hdr: Some(module.index.bytes),
                ..ExplicitModuleSectionInfo::default()
            },
        ));
    }
    let bottom = snapshot.registers.stack;
    let mut read = |address: u64| {
        let at = usize::try_from(address.checked_sub(bottom).ok_or(())?).map_err(|_| ())?;
        let word = snapshot.stack.get(at..at.checked_add(8).ok_or(())?).ok_or(())?;
        Ok(u64::from_ne_bytes(word.try_into().map_err(|_| ())?))
    };
    let mut cache = CacheX86_64::<_>::new();
    let start = snapshot.registers.instruction;
    let registers = UnwindRegsX86_64::new(start, bottom, snapshot.registers.frame);
    let mut frames = tables.iter_frames(start, registers, &mut cache, &mut read);
    let mut addresses = Vec::new();
    // A stack that cannot be followed to its end is shown as far as it can.
    while addresses.len() < MAX_FRAMES
        && let Ok(Some(frame)) = frames.next()
    {
        addresses.push(frame.address_for_lookup());
    }
    addresses
}

/// The names of the functions at these addresses, as far as they are known; an address stands for one without a name.
///
/// Where functions were inlined into another, each is named.
pub(super) fn names(addresses: &[u64]) -> Vec<String> {
    let mut names = Vec::new();
    for address in addresses {
        let (before, place) =
            (names.len(), std::ptr::with_exposed_provenance_mut(*address as usize));
        let mut flow = ControlFlow::Continue(());
        backtrace::resolve(place, |symbol| {
            if let Some(name) = symbol.name() {
                let name = format!("{name:#}");
                if is_beginning(&name) {
                    flow = ControlFlow::Break(());
                }
                names.push(cut(name));
            }
        });
        if flow.is_break() {
            // What follows starts threads and programs, and is the same for all of them.
            names.truncate(before);
            break;
        }
        if names.len() == before {
            names.push(format!("{address:#x}"));
        }
    }
    memory::give_back();
    names.truncate(MAX_FRAMES);
    names
}

/// Whether a function only starts what the stack is about.
fn is_beginning(name: &str) -> bool {
    name.contains("__rust_begin_short_backtrace")
}

fn cut(mut name: String) -> String {
    if name.len() > MAX_NAME {
        let end = (0..=MAX_NAME).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{modules, signal};
    use super::*;

    fn allocates() {
        let lists: Vec<Vec<u8>> = (1..50).map(|length| vec![0; black_box(length * 100)]).collect();
        black_box(lists);
    }

    fn unwinds() {
        let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1)));
        black_box(caught.is_err());
    }

    fn waits() {
        std::thread::sleep(std::time::Duration::from_micros(50));
    }

    #[test]
    fn thousands_of_stacks_of_busy_threads_do_no_harm() {
        signal::install().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads = [allocates as fn(), unwinds, waits].map(|work| {
                let (say, id) = std::sync::mpsc::channel();
                let stop = &stop;
                scope.spawn(move || {
                    let link = std::fs::read_link("/proc/thread-self").unwrap();
                    say.send(link.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        work();
                    }
                });
                id.recv().unwrap()
            });
            let mut deep = [0; 3];
            for _ in 0..1_000 {
                for (thread, deep) in threads.into_iter().zip(&mut deep) {
                    // Another test may be asking.
                    let Ok(snapshot) = signal::snapshot_of(thread) else { continue };
                    let addresses = addresses(&snapshot, modules::loaded());
                    *deep += usize::from(addresses.len() > 3);
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(deep.iter().all(|deep| *deep > 900), "{deep:?}");
        });
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        assert_eq!(cut("short".to_owned()), "short");
        let cut = cut("é".repeat(MAX_NAME));
        assert!(cut.ends_with("é…") && cut.len() <= MAX_NAME + 3, "{cut}");
    }
}
