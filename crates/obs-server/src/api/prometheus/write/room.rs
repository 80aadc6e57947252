//! Places for remote writes, each with room to unpack a request in.
//!
//! Requests come again and again and are all about as large. Memory that each took and gave back would leave holes
//! between what the store keeps in between, so a room is used for one request after the other.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many remote writes are taken in at once.
const PLACES: usize = 4;
/// A room larger than this many bytes is not kept for the next request.
const MAX_KEPT: usize = 1 << 20;

/// A bounded number of places: a request in one of them is in memory as a whole, others wait with what they sent.
pub(crate) struct Writes {
    places: Arc<Semaphore>,
    /// The rooms of places that nobody is in.
    rooms: Mutex<Vec<Vec<u8>>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    writes: Arc<Writes>,
    room: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Writes {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), rooms: Mutex::default() }
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Place> {
        // OK because the semaphore is never closed; were it, there would be no place.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let room = self.rooms.lock().pop().unwrap_or_default();
        Some(Place { writes: Arc::clone(self), room, _permit: permit })
    }
}

impl Place {
    /// So many bytes, with whatever is in them.
    pub(super) fn bytes(&mut self, length: usize) -> &mut [u8] {
        if self.room.len() < length {
            // What was in it need not move along.
            self.room.clear();
            self.room.reserve_exact(length);
            self.room.resize(length, 0);
        }
        &mut self.room[..length]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.room.capacity() <= MAX_KEPT {
            // No more rooms than places: the permit is given back after this.
            self.writes.rooms.lock().push(std::mem::take(&mut self.room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_room_is_used_again_unless_it_is_large() {
        let writes = Arc::new(Writes::new());
        let mut place = writes.take().await.unwrap();
        place.bytes(1_000).fill(7);
        let mut other = writes.take().await.unwrap();
        assert_eq!(other.bytes(10), [0; 10]);
        drop(place);
        let mut place = writes.take().await.unwrap();
        assert_eq!(place.bytes(3), [7; 3]);
        assert_eq!(place.room.len(), 1_000);
        assert_eq!(place.bytes(MAX_KEPT + 1).len(), MAX_KEPT + 1);
        drop((place, other));
        assert_eq!(writes.rooms.lock().len(), 1);
        assert_eq!(writes.places.available_permits(), PLACES);
    }
}
