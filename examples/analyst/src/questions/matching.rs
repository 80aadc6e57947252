//! Finds the rule that reads a question and fills its statement.

use regex::Regex;
use serde::Serialize;

use super::patterns::{PATTERNS, Pattern};
use super::places::Places;
use super::slots::{self, Slot, Slots};
use super::{Plan, Planner};
use crate::error::AnalystError;
use crate::table::Value;

/// How many questions an answer to an unknown one suggests.
const SUGGESTIONS: usize = 3;

/// How many rows a ranking has when the question does not say.
const DEFAULT_COUNT: u32 = 10;

/// The rules, ready to read questions.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<(Regex, &'static Pattern)>,
    places: Places,
    stray_place: Regex,
}

/// What a rule reads, for a client to choose from.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Description {
    /// The rule's name.
    pub id: &'static str,
    /// What it finds out.
    pub about: &'static str,
    /// Questions that it reads.
    pub examples: &'static [&'static str],
    /// The chart that it draws by default.
    pub chart: Option<&'static str>,
}

impl Rules {
    /// Prepares the rules for data with these airports.
    ///
    /// # Panics
    ///
    /// Never, because the rules' expressions are constants that a test compiles.
    #[must_use]
    pub fn new(places: Places) -> Self {
        let compile = |text: &str| Regex::new(text).expect("the expressions are constants");
        Self {
            rules: PATTERNS
                .iter()
                .map(|pattern| (compile(&format!("^(?:{})$", pattern.reads)), pattern))
                .collect(),
            places,
            stray_place: compile(r" ?\b(?:from|at|leaving|to|between|with|compare) .+$"),
        }
    }

    /// The airports that questions may name.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// What the rules read.
    pub fn descriptions() -> impl Iterator<Item = Description> {
        PATTERNS.iter().map(|pattern| Description {
            id: pattern.id,
            about: pattern.about,
            examples: pattern.examples,
            chart: pattern.chart.map(crate::chart::ChartKind::name),
        })
    }

    /// The plan that answers a question.
    ///
    /// # Errors
    ///
    /// [`AnalystError::UnknownQuestion`] with suggestions when no rule reads it, and
    /// [`AnalystError::UnknownAirport`] when one would, were it not for a name that the data lacks.
    pub fn plan(&self, question: &str) -> Result<Plan, AnalystError> {
        let (slots, skeleton) = slots::split(question, &self.places);
        if let Some(pattern) = self.find(&skeleton, &slots) {
            return Ok(fill(pattern, &slots));
        }
        if let Some(stray) = self.stray_place.find(&skeleton) {
            let takes_airport = |pattern: &&Pattern| {
                pattern.takes(Slot::Airport) && !slots.set().any(|slot| !pattern.takes(slot))
            };
            let without = &skeleton[..stray.start()];
            if self.readers(without).any(|pattern| takes_airport(&pattern)) {
                let given =
                    stray.as_str().trim_start().split_once(' ').map_or("", |(_, rest)| rest);
                return Err(AnalystError::UnknownAirport { given: given.to_owned() });
            }
        }
        Err(AnalystError::UnknownQuestion {
            question: question.to_owned(),
            suggestions: suggest(&skeleton),
        })
    }

    fn readers<'a>(&'a self, skeleton: &'a str) -> impl Iterator<Item = &'static Pattern> + 'a {
        self.rules
            .iter()
            .filter(move |(regex, _)| regex.is_match(skeleton))
            .map(|(_, pattern)| *pattern)
    }

    fn find(&self, skeleton: &str, slots: &Slots) -> Option<&'static Pattern> {
        self.readers(skeleton).find(|pattern| {
            slots.set().all(|slot| pattern.takes(slot))
                && pattern.needs.iter().all(|need| slots.set().any(|slot| slot == *need))
        })
    }
}

/// Makes a plan of a rule and a question's parameters.
fn fill(pattern: &'static Pattern, slots: &Slots) -> Plan {
    let filters: Vec<&str> = slots
        .set()
        .filter_map(|slot| pattern.filters.iter().find(|(of, _)| *of == slot).map(|(_, sql)| *sql))
        .collect();
    let filters = if filters.is_empty() { "TRUE".to_owned() } else { filters.join(" AND ") };
    let mut parameters =
        vec![(":count", Value::Integer(slots.count.unwrap_or(DEFAULT_COUNT).into()))];
    let text = |text: &str| Value::Text(text.to_owned());
    if let Some(airport) = &slots.airport {
        parameters.push((":airport", text(&airport.code)));
    }
    if let Some(other) = &slots.other {
        parameters.push((":other", text(&other.code)));
    }
    if let Some((code, name)) = slots.state {
        parameters.extend([(":state_code", text(code)), (":state_name", text(name))]);
    }
    if let Some(month) = slots.month {
        parameters.push((":month", Value::Integer(month.into())));
    }
    if let Some(year) = slots.year {
        parameters.push((":year", Value::Integer(year.into())));
    }
    Plan {
        sql: pattern.sql.replace("{filters}", &filters),
        parameters,
        chart: pattern.chart,
        title: format!("{}{}", pattern.title, slots.in_words()),
        answer: pattern.answer,
        planner: Planner::Rule(pattern.id),
    }
}

/// The examples that share the most words with the question.
fn suggest(skeleton: &str) -> Vec<String> {
    let words: Vec<&str> = skeleton.split(' ').filter(|word| word.len() > 2).collect();
    let mut scored: Vec<(usize, &str)> = PATTERNS
        .iter()
        .map(|pattern| {
            let example = pattern.examples[0];
            let lower = example.to_lowercase();
            let shared =
                words.iter().filter(|word| lower.contains(word.trim_end_matches('s'))).count();
            (shared, example)
        })
        .collect();
    // The sort is stable, so rules that come first win among equals.
    scored.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    scored.into_iter().take(SUGGESTIONS).map(|(_, example)| example.to_owned()).collect()
}
