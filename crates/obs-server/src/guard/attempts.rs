//! How many wrong tokens an address may still present.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

/// How many wrong tokens one address may present in a row.
const BURST: u32 = 10;
/// How long it takes until one of them is forgotten.
const FORGET: Duration = Duration::from_secs(5);
/// How many addresses are remembered; beyond, the one that would be forgotten first makes room.
const MAX_ADDRESSES: usize = 1_024;

/// Wrong attempts by address, as a leaky bucket each.
#[derive(Default)]
pub(super) struct Attempts {
    /// When each address's bucket is empty again.
    empty_at: Mutex<HashMap<Option<IpAddr>, Duration>>,
}

impl Attempts {
    /// How long `peer` has to wait until it may try again; `None` when it may at once.
    pub(super) fn wait(&self, peer: Option<IpAddr>, now: Duration) -> Option<Duration> {
        let full = FORGET * (BURST - 1);
        let level = self.empty_at.lock().get(&peer)?.saturating_sub(now);
        (level > full).then(|| level - full)
    }

    /// Notes a wrong token.
    pub(super) fn failed(&self, peer: Option<IpAddr>, now: Duration) {
        let mut empty_at = self.empty_at.lock();
        if empty_at.len() >= MAX_ADDRESSES && !empty_at.contains_key(&peer) {
            empty_at.retain(|_, at| *at > now);
            if empty_at.len() >= MAX_ADDRESSES
                && let Some(first) =
                    empty_at.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer)
            {
                empty_at.remove(&first);
            }
        }
        let at = empty_at.entry(peer).or_insert(now);
        *at = (*at).max(now) + FORGET;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn ten_wrong_tokens_stop_an_address_and_five_seconds_free_one_attempt() {
        let attempts = Attempts::default();
        let mut now = Duration::from_secs(100);
        for _ in 0..10 {
            assert_eq!(attempts.wait(peer(1), now), None);
            attempts.failed(peer(1), now);
        }
        assert_eq!(attempts.wait(peer(1), now), Some(FORGET));
        assert_eq!(attempts.wait(peer(2), now), None);
        now += Duration::from_secs(4);
        assert_eq!(attempts.wait(peer(1), now), Some(Duration::from_secs(1)));
        now += Duration::from_secs(1);
        assert_eq!(attempts.wait(peer(1), now), None);
        attempts.failed(peer(1), now);
        assert!(attempts.wait(peer(1), now).is_some());
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..5_000 {
            attempts.failed(peer(number), Duration::from_millis(u64::from(number)));
        }
        let remembered = attempts.empty_at.lock();
        assert_eq!(remembered.len(), MAX_ADDRESSES);
        assert!(remembered.contains_key(&peer(4_999)) && !remembered.contains_key(&peer(0)));
    }
}
