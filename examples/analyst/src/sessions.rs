//! What was said in each conversation, as far as there is room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::telemetry::{Telemetry, Who};

/// How many conversations are kept; the one that was silent the longest makes room for another.
const MAX_SESSIONS: usize = 1_000;

/// How many messages a conversation keeps; the oldest make room.
const MAX_MESSAGES: usize = 100;

/// How many bytes of messages a conversation keeps; the oldest make room.
const MAX_BYTES: usize = 256 << 10;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The one who asks.
    User,
    /// The service.
    Assistant,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By whom.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// The conversations.
#[derive(Debug)]
pub struct Sessions {
    sessions: Mutex<Kept>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<String, Session>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Session {
    messages: VecDeque<Message>,
    bytes: usize,
    last_used: u64,
}

impl Sessions {
    /// No conversations yet.
    #[must_use]
    pub fn new(telemetry: Telemetry) -> Self {
        Self { sessions: Mutex::default(), telemetry }
    }

    /// Begins or resumes the conversation that a request belongs to, and gives at most `last` of what was said in it.
    pub fn resume(&self, who: &Who, last: usize) -> Vec<Message> {
        let Some(key) = key(who) else { return Vec::new() };
        let mut kept = self.lock();
        let now = kept.tick();
        if let Some(session) = kept.by_key.get_mut(&key) {
            session.last_used = now;
            let skip = session.messages.len().saturating_sub(last);
            return session.messages.iter().skip(skip).cloned().collect();
        }
        if kept.by_key.len() >= MAX_SESSIONS {
            let silent = kept.by_key.iter().min_by_key(|(_, session)| session.last_used);
            if let Some(silent) = silent.map(|(key, _)| key.clone()) {
                kept.by_key.remove(&silent);
                self.telemetry.session_evicted();
            }
        }
        kept.by_key.insert(key, Session { last_used: now, ..Session::default() });
        drop(kept);
        self.telemetry.session_began(who);
        Vec::new()
    }

    /// Adds a question and its answer to the conversation that a request belongs to, if it is still kept.
    pub fn add(&self, who: &Who, question: &str, answer: &str) {
        let Some(key) = key(who) else { return };
        let mut kept = self.lock();
        let now = kept.tick();
        let Some(session) = kept.by_key.get_mut(&key) else { return };
        session.last_used = now;
        session.push(Speaker::User, question);
        session.push(Speaker::Assistant, answer);
        let (messages, bytes) = (session.messages.len(), session.bytes);
        drop(kept);
        self.telemetry.conversation(messages, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // OK because nothing between two changes of the map can panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    const fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Session {
    fn push(&mut self, speaker: Speaker, text: &str) {
        self.bytes += text.len();
        self.messages.push_back(Message { speaker, text: text.to_owned() });
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
    }
}

/// A conversation belongs to its organization, so that no other can read it by guessing its name.
fn key(who: &Who) -> Option<String> {
    let session = who.session.as_deref()?;
    Some(format!("{}/{session}", who.organization.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use obskit::metrics::Registry;

    use super::*;

    fn who(organization: &str, session: &str) -> Who {
        Who {
            user: None,
            organization: Some(organization.to_owned()),
            session: Some(session.to_owned()),
        }
    }

    #[test]
    fn a_conversation_is_its_organizations_own_and_is_counted_once() {
        let registry = Registry::default();
        let sessions = Sessions::new(Telemetry::new(&registry));
        assert!(sessions.resume(&who("acme", "s"), 9).is_empty());
        sessions.add(&who("acme", "s"), "how many?", "42.");
        assert_eq!(sessions.resume(&who("acme", "s"), 9).len(), 2);
        assert!(sessions.resume(&who("globex", "s"), 9).is_empty());
        for organization in ["acme", "globex"] {
            let labels = [("organization_id", organization)];
            assert_eq!(registry.value("user_sessions_total", &labels), Some(1.0));
        }
        assert_eq!(registry.value("conversation_message_count_sum", &[]), Some(2.0));
        assert_eq!(registry.value("conversation_history_size_bytes_sum", &[]), Some(12.0));
    }

    #[test]
    fn messages_and_conversations_beyond_the_bounds_make_room_oldest_first() {
        let registry = Registry::default();
        let sessions = Sessions::new(Telemetry::new(&registry));
        let first = who("acme", "first");
        sessions.resume(&first, 200);
        for number in 0..80 {
            sessions.add(&first, &format!("question {number}"), "answer");
        }
        let messages = sessions.resume(&first, 200);
        assert_eq!((messages.len(), messages[0].text.as_str()), (MAX_MESSAGES, "question 30"));
        sessions.add(&first, &"x".repeat(MAX_BYTES), "");
        assert!(sessions.resume(&first, 200).len() <= 2);

        for number in 0..MAX_SESSIONS {
            sessions.resume(&who("acme", &number.to_string()), 0);
        }
        assert_eq!(registry.value("analyst_sessions_evicted_total", &[]), Some(1.0));
        assert!(sessions.resume(&first, 200).is_empty(), "the first was silent the longest");
    }
}
