//! What an answer means.

use crate::ItemOutcome;

/// What a server answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body, as far as it was read.
    pub body: &'a [u8],
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// What an answer means for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has it.
    Delivered,
    /// It does not have it, and may take it later.
    Passing,
    /// It will never take it.
    Permanent,
    /// It will not take as much at once.
    TooLarge,
    /// It answered for each of the messages that were put together, in their order.
    PerItem(Vec<ItemOutcome>),
}

impl Verdict {
    /// What HTTP means by a status: RFC 9110, section 15.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            408 | 425 | 429 | 500..=599 => Self::Passing,
            413 => Self::TooLarge,
            _ => Self::Permanent,
        }
    }
}

/// Tells what the answers of a protocol mean.
///
/// ```
/// use obs_delivery::{Answer, Classifier, ItemOutcome, Verdict};
///
/// /// One letter for each message: `y` if it was taken, `n` if not, anything else for "later".
/// struct Letters;
///
/// impl Classifier for Letters {
///     fn classify(&self, answer: &Answer<'_>) -> Verdict {
///         let outcome = |letter: &u8| match letter {
///             b'y' => ItemOutcome::Accepted,
///             b'n' => ItemOutcome::Refused,
///             _ => ItemOutcome::Retry,
///         };
///         match Verdict::of_status(answer.status) {
///             Verdict::Delivered => Verdict::PerItem(answer.body.iter().map(outcome).collect()),
///             other => other,
///         }
///     }
///
///     fn body_limit(&self, status: u16) -> usize {
///         if status == 200 { 10_000 } else { 0 }
///     }
/// }
///
/// let answer = Answer { status: 200, body: b"yn", is_whole: true };
/// let outcomes = vec![ItemOutcome::Accepted, ItemOutcome::Refused];
/// assert_eq!(Letters.classify(&answer), Verdict::PerItem(outcomes));
/// ```
pub trait Classifier: Send + Sync + 'static {
    /// What the answer means.
    ///
    /// # Panics
    ///
    /// A panic is one of the transport: it is caught and counted, and the message is dropped.
    fn classify(&self, answer: &Answer<'_>) -> Verdict;

    /// How much of the body of an answer with this status is needed to tell, in bytes; 0 if none. What is needed is
    /// waited for as long as the attempt may take.
    fn body_limit(&self, status: u16) -> usize {
        let _ = status;
        0
    }
}

/// A function is the classifier of a protocol whose answers are short: it sees what came of the body within a second.
impl<F: Fn(&Answer<'_>) -> Verdict + Send + Sync + 'static> Classifier for F {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        self(answer)
    }
}

/// The classifier that looks at the status only: [`Verdict::of_status`].
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardAnswers;

impl Classifier for StandardAnswers {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        Verdict::of_status(answer.status)
    }
}
