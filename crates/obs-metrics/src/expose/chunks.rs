//! A buffer in front of a writer, so that a large exposition is never in memory as a whole.

use std::io;

/// How much is collected before it goes to the writer.
const CHUNK_BYTES: usize = 48 * 1_024;

/// The most that the writer is given at once.
const PIECE_BYTES: usize = 16 * 1_024;

/// A buffer that is handed on whenever it is full.
pub(super) struct Chunks<'a> {
    writer: &'a mut dyn io::Write,
    pub(super) buffer: Vec<u8>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(writer: &'a mut dyn io::Write) -> Self {
        Self { writer, buffer: Vec::with_capacity(CHUNK_BYTES + 4_096) }
    }

    /// Whether it is time to hand on what is there.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= CHUNK_BYTES
    }

    pub(super) fn hand_on_if_full(&mut self) -> io::Result<()> {
        if self.is_full() { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        for piece in self.buffer.chunks(PIECE_BYTES) {
            self.writer.write_all(piece)?;
        }
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hand_on()?;
        self.writer.flush()
    }
}
