//! Which spans each thread is in.

use std::cell::RefCell;

use super::table::SpanKey;

struct Entered {
    owner: u32,
    key: SpanKey,
}

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// Notes that this thread is in a span of the pipeline `owner`.
pub(crate) fn enter(owner: u32, key: SpanKey) {
    // OK because a thread whose locals are gone has no later work that belongs to the span.
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(Entered { owner, key }));
}

/// Notes that this thread has left it.
pub(crate) fn exit(owner: u32, key: SpanKey) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let is_it = |one: &Entered| one.key == key && one.owner == owner;
        if entered.last().is_some_and(is_it) {
            entered.pop();
        } else if let Some(at) = entered.iter().rposition(is_it) {
            entered.remove(at);
        }
    });
}

/// The innermost span of the pipeline `owner` that this thread is in.
pub(crate) fn innermost(owner: u32) -> Option<SpanKey> {
    ENTERED
        .try_with(|entered| {
            let entered = entered.borrow();
            entered.iter().rev().find(|one| one.owner == owner).map(|one| one.key)
        })
        .ok()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_left_in_any_order_and_per_pipeline() {
        let key = |number: u64| SpanKey::of(&tracing_core::span::Id::from_u64(number));
        enter(1, key(1));
        enter(1, key(2));
        enter(2, key(1));
        assert_eq!(innermost(1), Some(key(2)));
        exit(1, key(1));
        assert_eq!((innermost(1), innermost(2)), (Some(key(2)), Some(key(1))));
        exit(1, key(2));
        exit(1, key(2));
        assert_eq!((innermost(1), innermost(2)), (None, Some(key(1))));
        exit(2, key(1));
    }
}
