//! Reads a question by rules: which statement answers it, with which parameters, how to draw and how to say it.

mod matching;
mod patterns;
mod places;
mod slots;

pub use matching::Rules;
pub use places::{Airport, Places};

use crate::answer::Answer;
use crate::chart::ChartKind;
use crate::table::Value;

/// How one request is going to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The statement.
    pub sql: String,
    /// Its named parameters, such as `:airport`.
    pub parameters: Vec<(&'static str, Value)>,
    /// The chart that suits the rows.
    pub chart: Option<ChartKind>,
    /// The chart's title.
    pub title: String,
    /// The form of the answer's sentence.
    pub answer: Answer,
    /// Who made the plan.
    pub planner: Planner,
}

/// Who made a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planner {
    /// The rule of this name.
    Rule(&'static str),
    /// The caller, who gave the statement.
    Caller,
    /// A language model.
    Model,
}

impl Planner {
    /// The planner's name in an answer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule,
            Self::Caller => "sql",
            Self::Model => "model",
        }
    }
}

#[cfg(test)]
mod tests;
