//! Walking the stack, and which of its frames are the service's own.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use obs_model::StackFrame;
use parking_lot::Mutex;

use crate::names;

/// How many frames are walked; the innermost dozen of a panic belong to the panic itself.
const MAX_WALKED: usize = 96;

/// How many frames an event keeps.
const MAX_KEPT: usize = 32;

/// The longest function or file name that a frame keeps, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// How many addresses are remembered with their names. A service fails in far fewer places.
const MAX_CACHED: usize = 8_192;

/// The crates of obskit that run a service's code inside their own.
const OBSKIT_CRATES: [&str; 7] = [
    "obs_errors",
    "obs_tracing",
    "obs_metrics",
    "obs_health",
    "obs_alerts",
    "obs_server",
    "obskit",
];

/// Crates whose functions are not the service's own, for builds that do not know their functions' files.
const FOREIGN_CRATES: [&str; 26] = [
    "std",
    "core",
    "alloc",
    "test",
    "proc_macro",
    "__rustc",
    "backtrace",
    "gimli",
    "addr2line",
    "rustc_demangle",
    "tokio",
    "tokio_util",
    "futures",
    "futures_core",
    "futures_util",
    "futures_executor",
    "async_std",
    "smol",
    "rayon",
    "rayon_core",
    "tracing",
    "tracing_core",
    "metrics",
    "hyper",
    "hyper_util",
    "axum",
];

/// Parts of the paths of source files that come with a dependency or with Rust.
const FOREIGN_PATHS: [&str; 5] =
    ["/registry/src/", "/git/checkouts/", "/rustc/", "/library/std/src/", "/library/core/src/"];

/// Functions between a panic and the code that caused it.
const PANIC_MACHINERY: [&str; 6] =
    ["rust_begin_unwind", "panicking::", "begin_panic", "unwrap_failed", "expect_failed", "_fail"];

/// How far the frame of a known location is looked for.
const MAX_LOCATED: usize = 16;

/// The stack of the thread that called this, innermost first, from `location` on.
pub(crate) fn walk(location: &Location<'_>) -> Vec<StackFrame> {
    let mut frames: Vec<StackFrame> = Vec::new();
    let mut looked_up = false;
    for address in addresses() {
        let known = known(address);
        looked_up |= known.is_none();
        frames.extend(known.unwrap_or_else(|| look_up(address)).iter().cloned());
    }
    if looked_up {
        // The debug information that a look-up loads can be larger than the service itself, and would stay for good. It
        // is loaded again only for a place that has not failed before.
        backtrace::clear_symbol_cache();
    }
    let mut frames = trimmed(frames);
    locate(&mut frames, location);
    frames
}

/// Makes the frame at `location` the first one.
fn locate(frames: &mut Vec<StackFrame>, location: &Location<'_>) {
    let near = || frames.iter().take(MAX_LOCATED);
    if let Some(at) = near().position(|frame| stands_at(frame, location)) {
        frames.drain(..at);
        return;
    }
    // Without debug information no frame knows its file. If the location is in the service, the innermost of the
    // service's functions is the one that it is in.
    let nameless = || near().position(|frame| frame.file.is_none() && is_of_the_service(frame));
    let here = here(location);
    match is_of_the_service(&here).then(nameless).flatten() {
        Some(at) => {
            frames.drain(..at);
            if let Some(first) = frames.first_mut() {
                (first.file, first.line) = (here.file, here.line);
            }
        }
        None => frames.insert(0, here),
    }
}

fn stands_at(frame: &StackFrame, location: &Location<'_>) -> bool {
    frame.line == Some(location.line())
        && frame.file.as_deref().map(names::file) == Some(names::file(location.file()))
}

/// The frame that is known without walking: where the caller stands.
pub(crate) fn here(location: &Location<'_>) -> StackFrame {
    StackFrame {
        function: String::new(),
        file: Some(short(location.file())),
        line: Some(location.line()),
    }
}

/// The functions that are the service's own, innermost first, each by the last part of its path.
///
/// Only the last part counts because it is all that reduced debug information (`line-tables-only`) keeps of a
/// function into which another was inlined. A closure is named by the function around it where that is known.
pub(crate) fn functions_of_the_service(frames: &[StackFrame]) -> impl Iterator<Item = String> {
    frames.iter().filter(|frame| is_of_the_service(frame)).map(|frame| {
        let path = names::path(&frame.function);
        let named = path.rsplit("::").find(|part| !part.starts_with('{'));
        named.unwrap_or("{closure}").to_owned()
    })
}

fn is_of_the_service(frame: &StackFrame) -> bool {
    match &frame.file {
        Some(file) => {
            let file = file.replace('\\', "/");
            file.ends_with(".rs")
                && !is_of_obskit(&names::file(&file))
                && !FOREIGN_PATHS.iter().any(|part| file.contains(part))
        }
        None => {
            let name = frame.function.trim_start_matches(['<', '&']);
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
            // OK because a Rust function has a path; `main` and `start_thread` of the C library have none.
            name.contains("::")
                && !OBSKIT_CRATES.contains(&&name[..end])
                && !FOREIGN_CRATES.contains(&&name[..end])
        }
    }
}

/// Whether a file belongs to one of obskit's own crates; their folders are called as the crates are.
fn is_of_obskit(file: &str) -> bool {
    let (folder, rest) = file.split_once('/').unwrap_or_default();
    // OK to look for the sources only: the tests and examples of a crate stand for a service.
    rest.starts_with("src/") && OBSKIT_CRATES.contains(&folder.replace('-', "_").as_str())
}

fn addresses() -> Vec<usize> {
    let mut addresses = Vec::with_capacity(MAX_WALKED);
    backtrace::trace(|frame| {
        addresses.push(frame.ip() as usize);
        addresses.len() < MAX_WALKED
    });
    addresses
}

/// Addresses and the functions there: more than one where calls were inlined.
///
/// OK to remember for ever: only code that is unloaded again changes its addresses' names.
static NAMES: LazyLock<Mutex<HashMap<usize, Arc<[StackFrame]>>>> = LazyLock::new(Mutex::default);

fn known(address: usize) -> Option<Arc<[StackFrame]>> {
    NAMES.lock().get(&address).map(Arc::clone)
}

/// Reads the debug information for an address, and remembers what it says.
fn look_up(address: usize) -> Arc<[StackFrame]> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| {
        let function = symbol.name().map(|name| short(&format!("{name:#}"))).unwrap_or_default();
        let file = symbol.filename().map(|file| short(&file.to_string_lossy()));
        frames.push(StackFrame { function, file, line: symbol.lineno() });
    });
    let frames: Arc<[StackFrame]> = frames.into();
    let mut names = NAMES.lock();
    if names.len() < MAX_CACHED {
        names.insert(address, Arc::clone(&frames));
    }
    frames
}

/// The frames without those of the capture and of the panic above, and of the thread's start below.
fn trimmed(mut frames: Vec<StackFrame>) -> Vec<StackFrame> {
    let ours = |frame: &StackFrame| {
        let name = frame.function.trim_start_matches('<');
        frame.function.contains("__rust_end_short_backtrace")
            || name.starts_with("backtrace::")
            || name.starts_with("obs_errors::")
    };
    let innermost = frames.iter().take(MAX_WALKED / 2).rposition(ours).map_or(0, |last| last + 1);
    let machinery = frames[innermost..]
        .iter()
        .take_while(|frame| {
            PANIC_MACHINERY.iter().any(|part| frame.function.contains(part))
                && !is_of_the_service(frame)
        })
        .count();
    frames.drain(..innermost + machinery);
    let outermost = frames
        .iter()
        .position(|frame| frame.function.contains("__rust_begin_short_backtrace"))
        .unwrap_or(frames.len());
    frames.truncate(outermost.min(MAX_KEPT));
    frames
}

/// The end of a long name: the end is what tells names apart.
pub(crate) fn short(name: &str) -> String {
    let from = name.len().saturating_sub(MAX_NAME_BYTES);
    name[name.ceil_char_boundary(from)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: Option<&str>) -> StackFrame {
        StackFrame { function: function.to_owned(), file: file.map(str::to_owned), line: None }
    }

    #[test]
    fn only_functions_of_the_service_count() {
        let frames = [
            frame("<app::Db as app::Store>::get", Some("/w/app/src/db.rs")),
            frame("core::ops::function::FnOnce::call_once", None),
            frame("<tokio::runtime::Task<T> as core::future::Future>::poll", None),
            frame("serde::de::visit", Some("/h/.cargo/registry/src/i/serde-1.0.0/src/de.rs")),
            frame("main", None),
            frame("app::main", None),
            frame("query<u8>", Some("/w/obs-errors/src/watch.rs")),
            frame("app::listen::{{closure}}", Some("/w/obs-demo/src/db.rs")),
        ];
        let functions: Vec<_> = functions_of_the_service(&frames).collect();
        assert_eq!(functions, ["get", "main", "listen"]);
    }

    #[test]
    fn the_frames_of_the_panic_and_of_the_threads_start_are_left_out() {
        let frames = [
            "backtrace::backtrace::trace",
            "obs_errors::stack::walk",
            "std::panicking::panic_with_hook",
            "std::sys::backtrace::__rust_end_short_backtrace",
            "__rustc::rust_begin_unwind",
            "core::panicking::panic_fmt",
            "core::option::unwrap_failed",
            "core::option::Option<T>::unwrap",
            "app::work",
            "app::main",
            "std::sys::backtrace::__rust_begin_short_backtrace",
            "std::rt::lang_start",
        ];
        let kept = trimmed(frames.into_iter().map(|name| frame(name, None)).collect());
        let kept: Vec<_> = kept.iter().map(|frame| frame.function.as_str()).collect();
        assert_eq!(kept, ["core::option::Option<T>::unwrap", "app::work", "app::main"]);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let name = format!("{}::é::tail", "x".repeat(500));
        let kept = short(&name);
        assert!(kept.len() <= MAX_NAME_BYTES && kept.ends_with("::é::tail"));
    }
}
