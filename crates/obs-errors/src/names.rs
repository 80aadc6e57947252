//! Names of types, functions and files as they are in every build and on every host.

use std::any::type_name;
use std::error::Error;

use crate::text;

/// Smart pointers that are themselves errors when what they hold is one.
const POINTERS: [&str; 3] = ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];

/// The name of a type whose own name cannot be known.
const UNNAMED: &str = "dyn Error";

/// The longest name that `Debug` is asked for, in bytes.
const MAX_DEBUG_NAME_BYTES: usize = 128;

/// The name of an error's type: its path without generics, or for a trait object what its `Debug` begins with.
pub(crate) fn type_of<E: Error + ?Sized>(error: &E) -> String {
    let name = pointee(type_name::<E>());
    if name.starts_with("dyn ") { type_of_dyn(error) } else { path(name) }
}

/// The name that the `Debug` of an error begins with: a derived one begins with its type or its variant.
pub(crate) fn type_of_dyn<E: Error + ?Sized>(error: &E) -> String {
    let mut debug = text::bounded(format_args!("{error:?}"), MAX_DEBUG_NAME_BYTES);
    let end = debug
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(debug.len());
    let after = &debug[end..];
    // OK to be strict: an error whose `Debug` is prose (a boxed text, `anyhow`) has no name to give.
    let derived = after.is_empty()
        || after.starts_with([' ', '(']) && after.trim_start().starts_with(['{', '(']);
    let identifier = debug.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !debug[..end].ends_with(':');
    if !(derived && identifier) {
        return UNNAMED.to_owned();
    }
    debug.truncate(end);
    debug
}

/// The name of what a pointer or a reference points to.
fn pointee(mut name: &str) -> &str {
    loop {
        let inner = name
            .strip_prefix("&mut ")
            .or_else(|| name.strip_prefix('&'))
            .or_else(|| POINTERS.iter().find_map(|pointer| name.strip_prefix(pointer)));
        match inner {
            Some(inner) => name = inner.strip_suffix('>').unwrap_or(inner),
            None => return name,
        }
    }
}

/// The path of a type or a function without what changes between builds.
///
/// Generics, the hash that legacy mangling appends, crate disambiguators and the numbers of closures are left
/// out; `<A as B>::f` becomes `A::f`.
pub(crate) fn path(raw: &str) -> String {
    let raw = without_hash(raw);
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        match c {
            '<' => {
                let (inner, after) = balanced(rest);
                if out.is_empty() {
                    out.push_str(&path(self_type(inner)));
                } else {
                    out.truncate(out.trim_end_matches("::").len());
                }
                rest = after;
            }
            '[' if disambiguator(rest).is_some() => {
                rest = disambiguator(rest).unwrap_or_default();
            }
            '{' => {
                let inner = rest.trim_start_matches('{');
                let end = inner.find('}').unwrap_or(inner.len());
                let name = inner[..end].split('#').next().unwrap_or_default();
                out.push('{');
                out.push_str(name);
                out.push('}');
                rest = inner[end..].trim_start_matches('}');
            }
            _ => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// The name without `::h` and the 16 hexadecimal digits of legacy mangling.
fn without_hash(raw: &str) -> &str {
    match raw.rsplit_once("::h") {
        Some((head, hash))
            if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            head
        }
        _ => raw,
    }
}

/// What follows the crate disambiguator that `text` begins with, if it begins with one.
fn disambiguator(text: &str) -> Option<&str> {
    let (digits, after) = text.strip_prefix('[')?.split_once(']')?;
    let is_hash = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(after)
}

/// What stands in the angle brackets that `text` begins with, and what follows them.
fn balanced(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // OK because `->` is the only other thing that a `>` ends.
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
        before = c;
    }
    (&text[1..], "")
}

/// `A` of `A as B`, of `impl B for A` and of `A`.
fn self_type(inner: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && inner[at..].starts_with(" as ") => return &inner[..at],
            ' ' if depth == 0 && inner[at..].starts_with(" for ") => return &inner[at + 5..],
            _ => {}
        }
    }
    inner
}

/// A source file as it is called on every host: from the folder of its crate on.
///
/// `/home/me/.cargo/registry/src/index-1949/serde-1.0.219/src/de/mod.rs` is `serde/src/de/mod.rs`, and
/// `/rustc/5980…/library/core/src/option.rs` is `core/src/option.rs`.
pub(crate) fn file(raw: &str) -> String {
    let raw = raw.replace('\\', "/");
    let parts: Vec<&str> = raw.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    // A crate's folder is above `src` and its like; the last of them, because a build may run below another.
    let root = parts
        .iter()
        .rposition(|part| matches!(*part, "src" | "tests" | "examples" | "benches"))
        .filter(|at| *at > 0);
    let kept = match root {
        Some(at) => &parts[at - 1..],
        None if raw.starts_with('/') || raw.get(1..2) == Some(":") => {
            &parts[parts.len().saturating_sub(2)..]
        }
        None => &parts[..],
    };
    let mut out = String::with_capacity(raw.len());
    for (at, part) in kept.iter().enumerate() {
        if at > 0 {
            out.push('/');
        }
        out.push_str(if at == 0 && root.is_some() { without_version(part) } else { part });
    }
    out
}

/// A folder of the registry without the crate's version: `serde` of `serde-1.0.219`.
fn without_version(folder: &str) -> &str {
    folder
        .match_indices('-')
        .find(|(at, _)| {
            let version = &folder[at + 1..];
            version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.')
        })
        .map_or(folder, |(at, _)| &folder[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Debug)]
    enum Failure<T> {
        Empty,
        Tuple(T),
        Fields {
            #[expect(dead_code, reason = "only its Debug is looked at")]
            code: T,
        },
    }

    impl<T> std::fmt::Display for Failure<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("it failed")
        }
    }

    impl<T: std::fmt::Debug> Error for Failure<T> {}

    #[test]
    fn a_type_is_named_by_its_path_without_generics_and_pointers() {
        let expected = "obs_errors::names::tests::Failure";
        assert_eq!(type_of(&Failure::<u8>::Empty), expected);
        assert_eq!(type_of(&Failure::Tuple(String::new())), expected);
        assert_eq!(type_of(&Box::new(Failure::Tuple(Some(3_u8)))), expected);
        assert_eq!(type_of(&&Arc::new(Failure::<u8>::Empty)), expected);
    }

    #[test]
    fn a_trait_object_is_named_by_its_debug_unless_that_is_prose() {
        let named = |error: &(dyn Error + Send + Sync)| type_of(error);
        assert_eq!(named(&Failure::<u8>::Empty), "Empty");
        assert_eq!(named(&Failure::Tuple(1_u8)), "Tuple");
        assert_eq!(named(&Failure::Fields { code: 1_u8 }), "Fields");
        let prose: Box<dyn Error + Send + Sync> = "connection lost".into();
        assert_eq!(named(&*prose), "dyn Error");
        let boxed: Box<dyn Error> = Box::new("x".parse::<i32>().unwrap_err());
        assert_eq!(type_of(&*boxed), "ParseIntError");
    }

    #[test]
    fn what_changes_between_builds_is_left_out_of_paths() {
        for (raw, expected) in [
            ("app::db::query::h0123456789abcdef", "app::db::query"),
            ("app[1f2e3d4c]::db::query::{closure#0}", "app::db::query::{closure}"),
            ("app::db::query::{{closure}}", "app::db::query::{closure}"),
            ("<app::Db as app::Store<u8>>::get", "app::Db::get"),
            ("app::<impl app::Store for app::Db>::get", "app::get"),
            ("app::Pool<T>::take", "app::Pool::take"),
            ("app::run::<fn(u8) -> u8>", "app::run"),
            ("core::option::Option<alloc::vec::Vec<u8>>", "core::option::Option"),
            ("app::open<", "app::open"),
        ] {
            assert_eq!(path(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_file_is_called_the_same_on_every_host() {
        for (raw, expected) in [
            ("src/main.rs", "src/main.rs"),
            ("crates/app/src/db.rs", "app/src/db.rs"),
            ("/build/17/crates/app/src/db.rs", "app/src/db.rs"),
            (
                "/home/me/.cargo/registry/src/index.crates.io-19/serde-1.0.219/src/de/mod.rs",
                "serde/src/de/mod.rs",
            ),
            (r"C:\Users\me\.cargo\registry\src\i-19\a-b-0.1.0-rc.1\src\lib.rs", "a-b/src/lib.rs"),
            ("/rustc/59807616e1/library/core/src/option.rs", "core/src/option.rs"),
            ("./src/main.rs", "src/main.rs"),
            ("/tmp/x/y/build.rs", "y/build.rs"),
        ] {
            assert_eq!(file(raw), expected, "{raw}");
        }
    }
}
