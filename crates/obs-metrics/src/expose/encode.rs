//! What every format has in common: families one after the other, series one after the other, handed on in pieces.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::chunks::Chunks;
use crate::registry::{Family, Reader, Registry, Series, Value};

/// A format.
pub(super) trait Encode {
    /// Begins a family that has at least one series.
    fn start(&mut self, out: &mut Vec<u8>, family: &Family, help: &str);

    /// Writes one series of the family that was begun last.
    fn series(&mut self, out: &mut Vec<u8>, series: &Series, value: Value<'_>);

    /// Ends a family.
    fn end(&mut self, _out: &mut Vec<u8>) {}

    /// Ends the exposition.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// Writes all of `families` of `registry`.
pub(super) fn write(
    registry: &Registry,
    families: Vec<Arc<Family>>,
    encoder: &mut impl Encode,
    writer: &mut dyn io::Write,
) -> io::Result<()> {
    let mut out = Chunks::new(writer);
    for family in families {
        let help = registry.help(&family.name);
        let mut reader = FamilyWriter {
            out: &mut out,
            encoder: &mut *encoder,
            family: &family,
            help: &help,
            has_started: false,
        };
        family.read(&mut reader)?;
        if reader.has_started {
            encoder.end(&mut out.buffer);
        }
        out.hand_on_if_full()?;
    }
    encoder.finish(&mut out.buffer);
    out.finish()
}

/// Takes in the series of one family.
struct FamilyWriter<'a, 'w, E> {
    out: &'a mut Chunks<'w>,
    encoder: &'a mut E,
    family: &'a Family,
    help: &'a str,
    has_started: bool,
}

impl<E: Encode> Reader for FamilyWriter<'_, '_, E> {
    type Error = io::Error;

    #[inline]
    fn show(&mut self, series: &Series, value: Value<'_>) -> ControlFlow<()> {
        if !self.has_started {
            self.has_started = true;
            self.encoder.start(&mut self.out.buffer, self.family, self.help);
        }
        self.encoder.series(&mut self.out.buffer, series, value);
        if self.out.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.hand_on_if_full()
    }
}
