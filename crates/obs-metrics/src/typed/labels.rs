//! Labels as a type.

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;

/// The labels of a [`Family`](super::Family): always the same names, in one order.
///
/// [`label_set!`](crate::label_set) makes a struct that implements it.
pub trait LabelSet: Clone + Eq + Hash + Send + Sync + 'static {
    /// The names, in the order of the values.
    const NAMES: &'static [&'static str];

    /// Calls `each` with every value, in the order of [`LabelSet::NAMES`].
    fn values(&self, each: &mut dyn FnMut(&str));
}

/// The empty set.
impl LabelSet for () {
    const NAMES: &'static [&'static str] = &[];

    fn values(&self, _: &mut dyn FnMut(&str)) {}
}

/// A value of a label: a text, or what has one.
pub trait LabelValue {
    /// Calls `look` once, with the text.
    fn with_text(&self, look: &mut dyn FnMut(&str));
}

macro_rules! texts {
    ($($type:ty),*) => {
        $(impl LabelValue for $type {
            fn with_text(&self, look: &mut dyn FnMut(&str)) {
                look(self);
            }
        })*
    };
}

macro_rules! displayed {
    ($($type:ty),*) => {
        $(impl LabelValue for $type {
            fn with_text(&self, look: &mut dyn FnMut(&str)) {
                look(&self.to_string());
            }
        })*
    };
}

texts!(&'static str, String, Arc<str>, Box<str>, Cow<'static, str>);
displayed!(bool, char, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

/// An absent value is an empty text, which Prometheus takes for no label.
impl<T: LabelValue> LabelValue for Option<T> {
    fn with_text(&self, look: &mut dyn FnMut(&str)) {
        match self {
            Some(value) => value.with_text(look),
            None => look(""),
        }
    }
}

/// Makes a struct whose fields are labels: their names are the names of the fields, their types implement
/// [`LabelValue`](crate::typed::LabelValue).
///
/// ```
/// use obs_metrics::{label_set, typed::LabelSet};
///
/// label_set! {
///     /// Where it happened.
///     struct Place {
///         region: String,
///         zone: u8,
///     }
/// }
///
/// assert_eq!(Place::NAMES, ["region", "zone"]);
/// let mut values = Vec::new();
/// Place { region: "eu".into(), zone: 3 }.values(&mut |value| values.push(value.to_owned()));
/// assert_eq!(values, ["eu", "3"]);
/// ```
#[macro_export]
macro_rules! label_set {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type,)+
        }

        impl $crate::typed::LabelSet for $name {
            const NAMES: &'static [&'static str] = &[$(::core::stringify!($field)),+];

            fn values(&self, each: &mut dyn FnMut(&str)) {
                $($crate::typed::LabelValue::with_text(&self.$field, each);)+
            }
        }
    };
}
