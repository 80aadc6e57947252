//! The names that questions may use: airports and their cities, states, months and number words.

use std::collections::HashMap;

/// The states, territories and the district: postal code and name.
pub(crate) const STATES: [(&str, &str); 54] = [
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "DC"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("GU", "Guam"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("PR", "Puerto Rico"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("VI", "Virgin Islands"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];

/// The months, from January.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const NUMBER_WORDS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

/// The most rows that a question may ask for.
pub(crate) const MAX_COUNT: u32 = 50;

/// An airport as the data has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Airport {
    /// The IATA code.
    pub code: String,
    /// The city.
    pub city: String,
    /// How many flights left from it.
    pub departures: u32,
}

/// A state: its postal code and its name.
pub(crate) type State = (&'static str, &'static str);

/// The airports that flights in the data use, by code and by city.
#[derive(Clone, Debug, Default)]
pub struct Places {
    by_code: HashMap<String, Airport>,
    by_city: HashMap<String, String>,
}

impl Places {
    /// Indexes the airports; a city with several stands for the one with the most departures.
    #[must_use]
    pub fn new(airports: Vec<Airport>) -> Self {
        let mut places = Self::default();
        for airport in airports {
            let city = airport.city.to_lowercase();
            // An airport of "Dallas-Fort Worth" is one of Dallas, too.
            for name in std::iter::once(&*city).chain(city.split(['-', '/'])) {
                let taken = places.by_city.get(name).and_then(|code| places.by_code.get(code));
                if taken.is_none_or(|other| {
                    (other.departures, &airport.code) < (airport.departures, &other.code)
                }) {
                    places.by_city.insert(name.to_owned(), airport.code.clone());
                }
            }
            places.by_code.insert(airport.code.clone(), airport);
        }
        places
    }

    /// How many airports there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_code.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_code.is_empty()
    }

    /// The codes, the airport with the most departures first.
    #[must_use]
    pub fn codes_by_departures(&self) -> Vec<&str> {
        let mut airports: Vec<_> = self.by_code.values().collect();
        airports.sort_by(|a, b| b.departures.cmp(&a.departures).then(a.code.cmp(&b.code)));
        airports.into_iter().map(|airport| airport.code.as_str()).collect()
    }

    /// The airport at the start of the words, and how many of the words name it.
    pub(crate) fn airport_at(&self, words: &[&str]) -> Option<(Airport, usize)> {
        longest(words, 3, |text| {
            let code = match text {
                "o'hare" | "ohare" => "ORD",
                "la guardia" | "laguardia" => "LGA",
                _ => self.by_city.get(text).map_or("", String::as_str),
            };
            self.by_code.get(code).or_else(|| self.by_code.get(&text.to_uppercase())).cloned()
        })
    }
}

/// The state at the start of the words, and how many of the words name it.
///
/// A postal code counts only in capitals, because several of them are ordinary words.
pub(crate) fn state_at(words: &[&str]) -> Option<(State, usize)> {
    longest(words, 3, |text| STATES.into_iter().find(|(_, name)| name.to_lowercase() == text))
        .or_else(|| {
            let first = *words.first()?;
            STATES.into_iter().find(|(code, _)| *code == first).map(|state| (state, 1))
        })
}

/// The number, from 1, of the month that the word names.
pub(crate) fn month(word: &str) -> Option<u32> {
    let place = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(word))?;
    u32::try_from(place + 1).ok()
}

/// The number that the word stands for, when a question may ask for that many rows.
pub(crate) fn count(word: &str) -> Option<u32> {
    let spelled = NUMBER_WORDS.iter().position(|name| name.eq_ignore_ascii_case(word));
    let number =
        spelled.and_then(|place| u32::try_from(place).ok()).or_else(|| word.parse().ok())?;
    (1..=MAX_COUNT).contains(&number).then_some(number)
}

/// The year that the word is.
pub(crate) fn year(word: &str) -> Option<u32> {
    word.parse().ok().filter(|year| (1900..2100).contains(year))
}

/// The longest run of at most `most` words at the start, in lower case, that `find` knows.
fn longest<T>(words: &[&str], most: usize, find: impl Fn(&str) -> Option<T>) -> Option<(T, usize)> {
    (1..=most.min(words.len())).rev().find_map(|length| {
        find(&words[..length].join(" ").to_lowercase()).map(|found| (found, length))
    })
}
