//! Takes the parameters out of a question and leaves its skeleton, which the rules are matched with.

use super::places::{self, Airport, MONTHS, Places, State};

/// The parameters of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    /// Where flights leave from, or the airport that is asked about.
    pub(crate) airport: Option<Airport>,
    /// Where they go to, or the airport to compare with.
    pub(crate) other: Option<Airport>,
    /// A state.
    pub(crate) state: Option<State>,
    /// A month, from 1.
    pub(crate) month: Option<u32>,
    /// A year.
    pub(crate) year: Option<u32>,
    /// How many rows.
    pub(crate) count: Option<u32>,
}

/// The kinds of parameters, for a rule to say which it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Airport,
    Other,
    State,
    Month,
    Year,
    Count,
}

impl Slots {
    /// The kinds that are set.
    pub(crate) fn set(&self) -> impl Iterator<Item = Slot> {
        [
            (Slot::Airport, self.airport.is_some()),
            (Slot::Other, self.other.is_some()),
            (Slot::State, self.state.is_some()),
            (Slot::Month, self.month.is_some()),
            (Slot::Year, self.year.is_some()),
            (Slot::Count, self.count.is_some()),
        ]
        .into_iter()
        .filter_map(|(slot, set)| set.then_some(slot))
    }

    /// The parameters in words, to follow a title: ` from ORD to LAX in March`.
    pub(crate) fn in_words(&self) -> String {
        let mut text = String::new();
        if let Some(airport) = &self.airport {
            text.push_str(if self.other.is_some() { " from " } else { " at " });
            text.push_str(&airport.code);
        }
        if let Some(other) = &self.other {
            text.push_str(" to ");
            text.push_str(&other.code);
        }
        if let Some((_, name)) = self.state {
            text.push_str(" in ");
            text.push_str(name);
        }
        if let Some(month) = self.month {
            text.push_str(" in ");
            text.push_str(MONTHS[month as usize - 1]);
        }
        if let Some(year) = self.year {
            text.push_str(&format!(" in {year}"));
        }
        text
    }
}

/// Words that carry no meaning for the rules.
const FILLERS: &[&str] = &[
    "a", "all", "an", "and", "are", "can", "did", "do", "does", "give", "had", "has", "have", "i",
    "is", "list", "me", "my", "of", "please", "show", "tell", "that", "the", "their", "there",
    "top", "us", "was", "were", "you",
];

/// Splits a question into its parameters and its skeleton: the other words in lower case, without punctuation and
/// without the words that carry no meaning.
pub(crate) fn split(question: &str, places: &Places) -> (Slots, String) {
    let words: Vec<&str> = question
        .split(|c: char| {
            c.is_whitespace() || matches!(c, ',' | ';' | ':' | '?' | '!' | '"' | '(' | ')')
        })
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut slots = Slots::default();
    let mut skeleton: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let taken = take(&words[at..], &mut slots, places);
        if taken == 0 {
            let word = words[at].to_lowercase();
            if !FILLERS.contains(&&*word) {
                skeleton.push(word);
            }
        }
        at += taken.max(1);
    }
    (slots, skeleton.join(" "))
}

/// Takes the parameter that the words start with, if they do, and says how many words it had.
fn take(words: &[&str], slots: &mut Slots, places: &Places) -> usize {
    let first = words[0].to_lowercase();
    if slots.count.is_none()
        && let Some(count) = places::count(&first)
    {
        slots.count = Some(count);
        return 1;
    }
    let rest = &words[1..];
    match &*first {
        "from" | "at" | "leaving" | "between" | "compare" | "is" | "out" => {
            // "out of ORD" has one more word than "from ORD".
            let skip =
                usize::from(first == "out" && rest.first().is_some_and(|word| *word == "of"));
            take_airport(&rest[skip.min(rest.len())..], &mut slots.airport, places)
                .map_or(0, |n| n + 1 + skip)
        }
        "to" | "and" | "with" | "vs" | "versus" if slots.airport.is_some() => {
            take_airport(rest, &mut slots.other, places).map_or(0, |n| n + 1)
        }
        "in" | "during" | "for" | "of" => take_place_or_time(rest, slots).map_or(0, |n| n + 1),
        _ => 0,
    }
}

fn take_airport(words: &[&str], slot: &mut Option<Airport>, places: &Places) -> Option<usize> {
    if slot.is_some() {
        return None;
    }
    let (airport, length) = places.airport_at(words)?;
    *slot = Some(airport);
    // "at ORD airport" says no more than "at ORD".
    let suffix = words.get(length).is_some_and(|word| word.eq_ignore_ascii_case("airport"));
    Some(length + usize::from(suffix))
}

fn take_place_or_time(words: &[&str], slots: &mut Slots) -> Option<usize> {
    let first = words.first()?;
    if let (None, Some(month)) = (slots.month, places::month(first)) {
        slots.month = Some(month);
        // The flights are all of 2001, and a strike's year is a parameter of its own.
        let Some(year) = words.get(1).and_then(|word| places::year(word)) else { return Some(1) };
        if year != 2001 {
            slots.year = Some(year);
        }
        return Some(2);
    }
    if let (None, Some(year)) = (slots.year, places::year(first)) {
        slots.year = Some(year);
        return Some(1);
    }
    if slots.state.is_some() {
        return None;
    }
    let (state, length) = places::state_at(words)?;
    slots.state = Some(state);
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let airport = |code: &str, city: &str, departures| Airport {
            code: code.into(),
            city: city.into(),
            departures,
        };
        Places::new(vec![
            airport("ORD", "Chicago", 1095),
            airport("MDW", "Chicago", 300),
            airport("DAY", "Dayton", 20),
            airport("SLC", "Salt Lake City", 200),
        ])
    }

    fn check(question: &str, words: &str, skeleton: &str) {
        let (slots, rest) = split(question, &places());
        assert_eq!((slots.in_words().as_str(), rest.as_str()), (words, skeleton), "{question}");
    }

    #[test]
    fn parameters_leave_the_skeleton_behind() {
        check("Which airports are the busiest?", "", "which airports busiest");
        check("Delays by hour of day from ORD airport", " at ORD", "delays by hour day");
        check(
            "How many flights from Chicago to Salt Lake City?",
            " from ORD to SLC",
            "how many flights",
        );
        check("Compare MDW and day", " from MDW to DAY", "");
        check("flights per day out of O'Hare in March 2001", " at ORD in March", "flights per day");
        check("strikes in New York in 1999", " in New York in 1999", "strikes");
        check("strikes in OR", " in Oregon", "strikes");
        check("strikes in or out", "", "strikes in or out");
    }

    #[test]
    fn a_count_may_be_spelled_but_not_exceed_the_bound() {
        assert_eq!(split("top five routes", &places()).0.count, Some(5));
        assert_eq!(split("top 50 routes", &places()).0.count, Some(50));
        assert_eq!(split("top 51 routes", &places()).0.count, None);
    }
}
