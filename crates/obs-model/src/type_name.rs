//! Names of types, as labels have them.

use std::borrow::Cow;

/// The name of an error's type as a label value: `ToolError`, `io::Error`, `Box<dyn Error>`.
///
/// Module paths are left out, because they say little and change with refactoring; only a type that is called
/// just `Error` keeps the module that it is the error of.
///
/// ```
/// assert_eq!(obs_model::type_name_of::<std::io::Error>(), "io::Error");
/// ```
#[must_use]
pub fn type_name_of<E: ?Sized>() -> Cow<'static, str> {
    let name = std::any::type_name::<E>();
    if name.contains("::") { Cow::Owned(short_type_name(name)) } else { Cow::Borrowed(name) }
}

fn short_type_name(name: &str) -> String {
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let mut short = String::new();
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_path(character)).unwrap_or(rest.len());
        short.push_str(&short_path(&rest[..end]));
        rest = &rest[end..];
        let next = rest.find(is_path).unwrap_or(rest.len());
        short.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    short
}

fn short_path(path: &str) -> Cow<'_, str> {
    let mut segments = path.rsplit("::");
    let last = segments.next().unwrap_or(path);
    if last != "Error" {
        return Cow::Borrowed(last);
    }
    match segments.find(|module| !matches!(*module, "error" | "errors")) {
        Some(module) => Cow::Owned(format!("{module}::{last}")),
        None => Cow::Borrowed(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[test]
    fn a_type_name_loses_its_modules_but_a_plain_error_keeps_one() {
        for (name, expected) in [
            ("shop::tools::ToolError", "ToolError"),
            ("std::io::error::Error", "io::Error"),
            ("anyhow::Error", "anyhow::Error"),
            ("Error", "Error"),
            (
                "alloc::boxed::Box<dyn core::error::Error + core::marker::Send>",
                "Box<dyn core::Error + Send>",
            ),
            ("shop::Failed<shop::a::B, std::fmt::Error>", "Failed<B, fmt::Error>"),
            ("&str", "&str"),
        ] {
            assert_eq!(short_type_name(name), expected);
        }
        assert_eq!(type_name_of::<fmt::Error>(), "fmt::Error");
        assert_eq!(type_name_of::<String>(), "String");
    }
}
