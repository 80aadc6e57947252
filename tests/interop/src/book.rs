//! The code of the README and of the book, compiled with the documentation's other examples.

macro_rules! pages {
    ($($page:ident, $path:literal;)*) => {
        $(#[doc = include_str!($path)]
        struct $page;)*
    };
}

pages! {
    Readme, "../../../README.md";
    SetUp, "../../../docs/src/set-up.md";
    Alerts, "../../../docs/src/alerts.md";
}
