//! The key-value pairs of a record, with their types.

use std::error::Error as StdError;
use std::fmt::Display;

use log::kv::{Error, Key, Source, Value, VisitSource, VisitValue};
use smallvec::SmallVec;
use tracing_core::field::{self, DisplayValue};

/// The most pairs of one record that are looked at; lines have far fewer fields.
const MAX_PAIRS: usize = 256;

/// How many pairs need no memory of their own.
const USUAL_PAIRS: usize = 8;

/// The pairs of a record, in its order.
pub(super) struct Pairs<'v>(pub(super) SmallVec<[Pair<'v>; USUAL_PAIRS]>);

/// A key with its value.
pub(super) struct Pair<'v> {
    key: Key<'v>,
    pub(super) given: Given<'v>,
}

/// A value, as `tracing` takes it.
pub(super) enum Given<'v> {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(&'v str),
    Error(&'v (dyn StdError + 'static)),
    /// Everything else: wide integers, characters, and what is only known by how it is shown.
    Shown(DisplayValue<Value<'v>>),
}

impl<'v> Pairs<'v> {
    pub(super) fn of(source: &'v dyn Source) -> Self {
        let mut pairs = Self::none();
        // OK because the only error is ours, after enough pairs.
        let _ = source.visit(&mut pairs);
        pairs
    }

    pub(super) fn none() -> Self {
        Self(SmallVec::new())
    }

    /// All pairs as a JSON object.
    pub(super) fn as_json(&self) -> String {
        let members = self.0.iter().map(|pair| {
            let value = match &pair.given {
                Given::Null => serde_json::Value::Null,
                Given::Bool(value) => (*value).into(),
                Given::I64(value) => (*value).into(),
                Given::U64(value) => (*value).into(),
                Given::F64(value) => (*value).into(),
                Given::Text(value) => (*value).into(),
                Given::Error(value) => value.to_string().into(),
                Given::Shown(value) => shown(value).into(),
            };
            (pair.name().to_owned(), value)
        });
        serde_json::Value::Object(members.collect()).to_string()
    }
}

fn shown(value: &impl Display) -> String {
    value.to_string()
}

impl Pair<'_> {
    /// The name of the field: a pair never stands in for what the record says.
    pub(super) fn name(&self) -> &str {
        match self.key.as_str() {
            "message" => "log.message",
            name => name,
        }
    }
}

impl Given<'_> {
    pub(super) fn as_value(&self) -> Option<&dyn field::Value> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => value,
            Self::I64(value) => value,
            Self::U64(value) => value,
            Self::F64(value) => value,
            Self::Text(value) => value,
            Self::Error(value) => value,
            Self::Shown(value) => value,
        })
    }
}

impl<'v> VisitSource<'v> for Pairs<'v> {
    fn visit_pair(&mut self, key: Key<'v>, value: Value<'v>) -> Result<(), Error> {
        if self.0.len() >= MAX_PAIRS {
            return Err(Error::msg("too many pairs"));
        }
        let mut typed = Typed(None);
        value.visit(&mut typed)?;
        let given = typed.0.unwrap_or_else(|| Given::Shown(field::display(value)));
        self.0.push(Pair { key, given });
        Ok(())
    }
}

/// What a value is, unless it is best shown.
struct Typed<'v>(Option<Given<'v>>);

impl<'v> VisitValue<'v> for &mut Typed<'v> {
    fn visit_any(&mut self, _: Value<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.0 = Some(Given::Null);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.0 = Some(Given::Bool(value));
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.0 = Some(Given::I64(value));
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = Some(Given::U64(value));
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.0 = Some(Given::F64(value));
        Ok(())
    }

    fn visit_borrowed_str(&mut self, value: &'v str) -> Result<(), Error> {
        self.0 = Some(Given::Text(value));
        Ok(())
    }

    fn visit_borrowed_error(&mut self, value: &'v (dyn StdError + 'static)) -> Result<(), Error> {
        self.0 = Some(Given::Error(value));
        Ok(())
    }
}
