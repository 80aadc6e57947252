//! Which request is sent when: chosen by a seed, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use super::LoadConfig;

/// A statement that takes longer than any is allowed to comes this often, for the first time after [`FIRST_SLOW`].
const SLOW_EVERY: Duration = Duration::from_secs(10);
const FIRST_SLOW: Duration = Duration::from_secs(3);

/// What a request is, and what must become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A question that a rule reads.
    Question,
    /// A question with a chart of a kind of its own.
    ChartedQuestion,
    /// A statement that is as it should be.
    Statement,
    /// The list of questions.
    List,
    /// An answer that was given before.
    Recall,
    /// A statement that SQLite rejects.
    BadStatement,
    /// A statement that would write.
    Write,
    /// A question that no rule reads.
    UnknownQuestion,
    /// A question about an airport that does not exist.
    UnknownAirport,
    /// A body that is no JSON.
    BrokenJson,
    /// A body that is too large.
    Oversized,
    /// A statement with too many rows.
    TooManyRows,
    /// A statement that takes too long.
    Slow,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Question,
        Self::ChartedQuestion,
        Self::Statement,
        Self::List,
        Self::Recall,
        Self::BadStatement,
        Self::Write,
        Self::UnknownQuestion,
        Self::UnknownAirport,
        Self::BrokenJson,
        Self::Oversized,
        Self::TooManyRows,
        Self::Slow,
    ];

    /// Its name in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::ChartedQuestion => "question with chart",
            Self::Statement => "statement",
            Self::List => "list of questions",
            Self::Recall => "earlier answer",
            Self::BadStatement => "bad statement",
            Self::Write => "writing statement",
            Self::UnknownQuestion => "unknown question",
            Self::UnknownAirport => "unknown airport",
            Self::BrokenJson => "broken JSON",
            Self::Oversized => "oversized body",
            Self::TooManyRows => "too many rows",
            Self::Slow => "slow statement",
        }
    }

    /// Whether the service should answer it with what it asks for.
    #[must_use]
    pub const fn is_well_formed(self) -> bool {
        matches!(
            self,
            Self::Question | Self::ChartedQuestion | Self::Statement | Self::List | Self::Recall
        )
    }

    /// The status that it should be answered with.
    #[must_use]
    pub const fn expected_status(self) -> u16 {
        match self {
            Self::BadStatement | Self::Write | Self::BrokenJson => 400,
            Self::Oversized => 413,
            Self::UnknownQuestion | Self::UnknownAirport | Self::TooManyRows | Self::Slow => 422,
            _ => 200,
        }
    }

    /// Its share in 10,000 requests; a slow statement comes by the clock instead.
    const fn weight(self) -> u32 {
        match self {
            Self::Question => 7_000,
            Self::ChartedQuestion => 600,
            Self::Statement => 1_200,
            Self::List => 200,
            Self::Recall => 200,
            Self::BadStatement => 250,
            Self::Write => 40,
            Self::UnknownQuestion => 250,
            Self::UnknownAirport => 50,
            Self::BrokenJson => 100,
            Self::Oversized => 50,
            Self::TooManyRows => 60,
            Self::Slow => 0,
        }
    }
}

/// A request that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// When, from the start of the load.
    pub at: Duration,
    /// What it is.
    pub kind: Kind,
    /// The body to post; empty for a request that posts nothing.
    pub body: String,
}

/// The requests of a load, in order of time. `airports` are the airports to ask about, the busiest first.
pub fn arrivals(config: LoadConfig, airports: Vec<String>) -> impl Iterator<Item = Arrival> {
    let mut chooser = Chooser { random: fastrand::Rng::with_seed(config.seed), airports };
    let mut slow_at = FIRST_SLOW;
    let mut number = 0.0;
    std::iter::from_fn(move || {
        // One request falls anywhere within each slot, so that the count is exact and the pace is not a metronome's.
        let seconds = (number + chooser.random.f64()) / config.rate;
        number += 1.0;
        if number > (config.rate * config.duration.as_secs_f64()).round() {
            return None;
        }
        let at = Duration::from_secs_f64(seconds);
        let kind = if at >= slow_at {
            slow_at += SLOW_EVERY;
            Kind::Slow
        } else {
            chooser.kind()
        };
        Some(Arrival { at, kind, body: chooser.body(kind) })
    })
}

const MONTHS: [&str; 3] = ["January", "February", "March"];
const STATES: [&str; 8] = [
    "Texas",
    "California",
    "Louisiana",
    "Tennessee",
    "Kentucky",
    "Pennsylvania",
    "Illinois",
    "Florida",
];
const ORGANIZATIONS: [&str; 5] = ["acme", "globex", "initech", "umbrella", "hooli"];

/// `{a}` and `{b}` are airports, `{n}` a number, `{m}` a month, `{s}` a state and `{y}` a year.
const QUESTIONS: [&str; 30] = [
    "What are the {n} busiest airports?",
    "Which airports have the most departures in {m}?",
    "Which {n} airports have the longest delays in {m}?",
    "Compare delays at {a} and {b}",
    "How many flights are there from {a} to {b}?",
    "What is the average delay at {a}?",
    "How late are flights from {a} in {m}?",
    "How do delays change by hour of day at {a}?",
    "What is the average delay by weekday at {a}?",
    "How many flights per day leave from {a}?",
    "How many flights per month leave from {a}?",
    "What are the {n} busiest routes from {a}?",
    "What are the {n} longest routes from {a}?",
    "Where do flights from {a} go?",
    "Does distance affect delay from {a}?",
    "What is the distribution of delays at {a}?",
    "What share of flights from {a} is late?",
    "Which {n} days had the worst delays at {a}?",
    "How many airports are there in {s}?",
    "Where is {a}?",
    "How many bird strikes per year in {s}?",
    "Bird strikes by month in {y}",
    "Which species cause the most bird strikes in {s}?",
    "Bird strikes by phase in {s}",
    "Bird strikes by time of day in {s}",
    "Which airlines have the most bird strikes in {y}?",
    "Which {n} airports have the most bird strikes in {s}?",
    "What were the {n} costliest bird strikes in {y}?",
    "At what speed do bird strikes happen in {s}?",
    "How many bird strikes were there in {s}?",
];

/// Questions whose rows suit another chart than the usual one.
const CHARTED: [(&str, &str); 5] = [
    ("What are the {n} busiest airports?", "pie"),
    ("How do delays change by hour of day at {a}?", "bar"),
    ("How many flights per day leave from {a}?", "histogram"),
    ("Bird strikes by year", "bar"),
    ("Bird strikes by phase in {s}", "bar"),
];

/// Statements, with the chart that they ask for.
const STATEMENTS: [(&str, &str); 6] = [
    ("SELECT day, max(delay) AS worst FROM flights WHERE origin = '{a}' GROUP BY day", "line"),
    (
        "SELECT destination, avg(delay) AS delay FROM flights WHERE origin = '{a}' GROUP BY 1 ORDER BY 2 DESC LIMIT {n}",
        "bar",
    ),
    ("SELECT distance, delay FROM flights WHERE origin = '{a}' AND delay > 0 LIMIT 300", "scatter"),
    (
        "SELECT species, size, count(*) AS strikes FROM birdstrikes WHERE state = '{s}' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT {n}",
        "none",
    ),
    ("SELECT name, city FROM airports WHERE state = 'TX' ORDER BY name LIMIT 50", "none"),
    ("SELECT size, count(*) AS strikes FROM birdstrikes WHERE year = {y} GROUP BY size", "pie"),
];

const BAD_STATEMENTS: [&str; 5] = [
    "SELEC origin FROM flights",
    "SELECT wingspan FROM birdstrikes",
    "SELECT * FROM passengers",
    "SELECT count(* FROM flights",
    "SELECT origin FROM flights; SELECT destination FROM flights",
];

const WRITES: [&str; 3] = [
    "DELETE FROM flights WHERE delay > 0",
    "DROP TABLE airports",
    "UPDATE airports SET city = 'x'",
];

const UNKNOWN: [&str; 4] = [
    "Why do birds sing?",
    "What is the price of a ticket to Chicago?",
    "Who flew to {s}?",
    "Predict next year's delays",
];

struct Chooser {
    random: fastrand::Rng,
    airports: Vec<String>,
}

impl Chooser {
    fn kind(&mut self) -> Kind {
        let total: u32 = Kind::ALL.iter().map(|kind| kind.weight()).sum();
        let mut drawn = self.random.u32(0..total);
        Kind::ALL
            .into_iter()
            .find(|kind| {
                let here = drawn < kind.weight();
                drawn = drawn.saturating_sub(kind.weight());
                here
            })
            .unwrap_or(Kind::Question)
    }

    fn body(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Question => {
                let question = self.pick(&QUESTIONS);
                self.ask("question", question, None)
            }
            Kind::ChartedQuestion => {
                let (question, chart) = self.pick(&CHARTED);
                self.ask("question", question, Some(chart))
            }
            Kind::Statement => {
                let (sql, chart) = self.pick(&STATEMENTS);
                self.ask("sql", sql, Some(chart))
            }
            Kind::List | Kind::Recall => String::new(),
            Kind::BadStatement => {
                let sql = self.pick(&BAD_STATEMENTS);
                self.ask("sql", sql, None)
            }
            Kind::Write => {
                let sql = self.pick(&WRITES);
                self.ask("sql", sql, None)
            }
            Kind::UnknownQuestion => {
                let question = self.pick(&UNKNOWN);
                self.ask("question", question, None)
            }
            Kind::UnknownAirport => {
                self.ask("question", "What is the average delay at Narnia?", None)
            }
            Kind::BrokenJson => "{\"question\": \"What are the 5 busiest airports?\",".to_owned(),
            Kind::Oversized => {
                json!({ "sql": format!("SELECT '{}'", "x".repeat(100_000)) }).to_string()
            }
            Kind::TooManyRows => self.ask("sql", "SELECT * FROM flights ORDER BY delay", None),
            Kind::Slow => self.ask(
                "sql",
                "SELECT count(*) FROM flights a, flights b WHERE a.delay + b.delay > 100",
                None,
            ),
        }
    }

    fn ask(&mut self, field: &str, template: &str, chart: Option<&str>) -> String {
        let organization = self.pick(&ORGANIZATIONS);
        let user = self.random.u32(0..8);
        let mut body = json!({
            field: self.fill(template),
            "user_id": format!("{organization}-user-{user}"),
            "organization_id": organization,
        });
        // Half of the requests belong to one of each user's conversations.
        if self.random.bool() {
            body["session_id"] = Value::from(format!("{user}-{}", self.random.u32(0..4)));
        }
        if let Some(chart) = chart {
            body["chart"] = Value::from(chart);
        }
        body.to_string()
    }

    fn fill(&mut self, template: &str) -> String {
        let mut text = template.to_owned();
        // Both airports are among the busiest, so that each has flights enough for any chart.
        let most = self.airports.len().min(20);
        for slot in ["{a}", "{b}"] {
            if text.contains(slot) && most > 0 {
                let airport = self.random.usize(0..most);
                text = text.replace(slot, &self.airports[airport]);
            }
        }
        let number = self.random.u32(3..=12).to_string();
        let year = self.random.u32(1992..=2000).to_string();
        text.replace("{n}", &number)
            .replace("{y}", &year)
            .replace("{m}", self.pick(&MONTHS))
            .replace("{s}", self.pick(&STATES))
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.usize(0..of.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn load(seed: u64) -> Vec<Arrival> {
        let config = LoadConfig { rate: 100.0, duration: Duration::from_secs(100), seed };
        arrivals(config, vec!["ORD".into(), "DFW".into(), "ATL".into()]).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_requests_and_another_seed_others() {
        assert_eq!(load(7), load(7));
        assert_ne!(load(7), load(8));
    }

    #[test]
    fn the_count_is_exact_the_times_rise_and_the_kinds_keep_their_shares() {
        let arrivals = load(1);
        assert_eq!(arrivals.len(), 10_000);
        assert!(arrivals.is_sorted_by(|a, b| a.at <= b.at));
        assert!(arrivals[9_999].at < Duration::from_secs(100));
        let mut counts: HashMap<Kind, u32> = HashMap::new();
        for arrival in &arrivals {
            *counts.entry(arrival.kind).or_default() += 1;
        }
        assert_eq!(counts[&Kind::Slow], 10);
        for kind in Kind::ALL.into_iter().filter(|kind| kind.weight() > 0) {
            let (is, should) = (f64::from(counts[&kind]), f64::from(kind.weight()));
            assert!((is - should).abs() < 5.0 * should.sqrt(), "{}: {is} of {should}", kind.name());
        }
        assert!(arrivals.iter().all(|arrival| !arrival.body.contains("{a}")));
    }
}
