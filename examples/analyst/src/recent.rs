//! The answers of recent analyses, to be asked for again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;

/// How many answers are kept.
const MAX_ANSWERS: usize = 1_000;

/// How many bytes of answers are kept.
const MAX_BYTES: usize = 32 << 20;

/// The latest answers as they were sent; the oldest make room.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bodies: HashMap<String, Bytes>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Recent {
    /// Keeps an answer under its id.
    pub fn keep(&self, id: &str, body: Bytes) {
        // OK because nothing between two changes can panic.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += body.len();
        kept.order.push_back(id.to_owned());
        kept.bodies.insert(id.to_owned(), body);
        while kept.order.len() > MAX_ANSWERS || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(body) = kept.bodies.remove(&oldest) {
                kept.bytes -= body.len();
            }
        }
    }

    /// The answer of that id, when it is still kept.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bodies.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answers_make_room_by_number_and_by_size() {
        let recent = Recent::default();
        for number in 0..=MAX_ANSWERS {
            recent.keep(&number.to_string(), Bytes::from_static(b"x"));
        }
        assert_eq!((recent.get("0"), recent.get("1")), (None, Some(Bytes::from_static(b"x"))));
        recent.keep("large", Bytes::from(vec![0; MAX_BYTES]));
        assert!(recent.get("1000").is_none() && recent.get("large").is_some());
        recent.keep("too large", Bytes::from(vec![0; MAX_BYTES + 1]));
        assert!(recent.get("large").is_none() && recent.get("too large").is_none());
    }
}
