//! `info`: series with the labels of the info metrics that are about the same instance and job.

use std::collections::{BTreeMap, HashMap, HashSet};

use obs_model::{Labels, METRIC_NAME_LABEL};

use super::Evaluator;
use super::call::argument;
use super::column::{Grid, Row};
use super::identity::Identity;
use super::labels::label_set;
use crate::promql::error::execution;
use crate::promql::plan::{InstantPlan, Plan, PlanKind, When};
use crate::{Error, Matcher, Selector};

/// The info metric that is meant where none is named.
const TARGET_INFO: &str = "target_info";

/// The labels by which an info metric's series is known to be about a series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

impl Evaluator<'_> {
    pub(super) fn info(&self, plans: &[Plan], grid: &Grid) -> Result<Vec<Row>, Error> {
        let vector = argument(plans, 0)?;
        let base = self.eval_vector(vector, grid)?;
        let matchers: &[Matcher] = match plans.get(1).map(|plan| &plan.kind) {
            Some(PlanKind::Matchers(matchers)) => matchers,
            _ => &[],
        };
        let (about_name, about_data): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.label() == METRIC_NAME_LABEL);
        let target_info = Matcher::equal(METRIC_NAME_LABEL, TARGET_INFO);
        let names = if about_name.is_empty() { vec![&target_info] } else { about_name };
        let selector =
            Selector::new(names.iter().chain(&about_data).map(|matcher| (*matcher).clone()))?;
        let when = first_selector(vector).unwrap_or_default();
        let plan = InstantPlan { selector, when };
        let values = self.select(&InstantPlan { selector: plan.selector.clone(), when }, grid)?;
        if let Some(row) = values.iter().find(|row| row.column.histograms.is_some()) {
            let labels = row.labels.to_labels();
            let message = format!("this should be an info metric, with float samples: {labels}");
            return Err(execution(message));
        }
        let times = self.select_times(&plan, grid)?;
        let infos: Vec<Info> = values
            .into_iter()
            .zip(times)
            .map(|(row, times)| Info {
                name: row.labels.metric_name().unwrap_or_default().to_owned(),
                key: key(&row.labels),
                row: Row { labels: row.labels, ..times },
            })
            .collect();
        let enricher = Enricher { infos: by_key(&infos), data: &about_data };
        let mut rows = Vec::new();
        for row in base {
            self.budget.work(grid.steps)?;
            let name = row.labels.metric_name().unwrap_or_default();
            if names.iter().all(|matcher| matcher.matches(name)) {
                rows.push(row);
                continue;
            }
            rows.extend(enricher.enrich(&row, grid)?);
        }
        self.merged(rows)
    }
}

/// When the first selector within a plan reads.
fn first_selector(plan: &Plan) -> Option<When> {
    match &plan.kind {
        PlanKind::Instant(instant) => Some(instant.when),
        PlanKind::Range(range) => Some(range.when),
        PlanKind::Negate(inner) | PlanKind::Invariant(inner) => first_selector(inner),
        PlanKind::Binary(binary) => {
            first_selector(&binary.left).or_else(|| first_selector(&binary.right))
        }
        PlanKind::Call(call) => call.arguments.iter().find_map(first_selector),
        PlanKind::Aggregate(aggregate) => first_selector(&aggregate.expr),
        PlanKind::Number(_) | PlanKind::Text(_) | PlanKind::Matchers(_) => None,
    }
}

/// A series of an info metric; its values are the times of its samples.
struct Info {
    name: String,
    key: Vec<String>,
    row: Row,
}

type ByKey<'i> = HashMap<&'i [String], Vec<&'i Info>>;

fn by_key(infos: &[Info]) -> ByKey<'_> {
    let mut found: ByKey<'_> = HashMap::new();
    for info in infos {
        found.entry(&info.key).or_default().push(info);
    }
    found
}

fn key(labels: &Identity) -> Vec<String> {
    IDENTIFYING.iter().map(|name| labels.get(name).unwrap_or_default().to_owned()).collect()
}

struct Enricher<'i> {
    infos: ByKey<'i>,
    /// Which of the info metrics' labels are wanted; all if there is none.
    data: &'i [&'i Matcher],
}

impl Enricher<'_> {
    /// A series with the labels that it has from step to step.
    fn enrich(&self, row: &Row, grid: &Grid) -> Result<Vec<Row>, Error> {
        let key = key(&row.labels);
        let candidates = self.infos.get(&key[..]).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<Row> = Vec::new();
        for step in 0..grid.steps {
            let Some(value) = row.column.get(step) else {
                continue;
            };
            let chosen = newest(candidates, step)?;
            if chosen.is_empty() && !self.data.iter().all(|matcher| matcher.matches("")) {
                continue;
            }
            let labels = Identity::from(self.labels(&row.labels, &chosen)?);
            let place = match found.iter().position(|known| known.labels == labels) {
                Some(place) => place,
                None => {
                    let column = super::column::Column::absent(grid.steps);
                    found.push(Row { labels, drop_name: row.drop_name, column });
                    found.len() - 1
                }
            };
            found[place].column.set(step, value);
        }
        Ok(found)
    }

    fn labels(&self, base: &Identity, chosen: &[&Info]) -> Result<Labels, Error> {
        let wanted: HashSet<&str> = self.data.iter().map(|matcher| matcher.label()).collect();
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in chosen.iter().flat_map(|info| info.row.labels.iter()) {
            let unwanted =
                name == METRIC_NAME_LABEL || (!wanted.is_empty() && !wanted.contains(name));
            if unwanted {
                continue;
            }
            if added.get(name).is_some_and(|known| *known != value) {
                return Err(execution(format!("conflicting label: {name}")));
            }
            if base.get(name).is_none() {
                added.insert(name, value);
            }
        }
        if added.is_empty() {
            return Ok(base.to_labels());
        }
        label_set(base.iter().chain(added))
    }
}

/// The newest series of each info metric at a step.
fn newest<'i>(candidates: &[&'i Info], step: usize) -> Result<Vec<&'i Info>, Error> {
    let mut newest: BTreeMap<&str, (&Info, f64)> = BTreeMap::new();
    for info in candidates {
        let Some(time) = info.row.column.float(step) else {
            continue;
        };
        match newest.get(info.name.as_str()) {
            Some((_, known)) if *known > time => {}
            Some((known, same)) if *same == time => {
                return Err(execution(format!(
                    "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                    known.row.labels.to_labels(),
                    same * 1e3,
                    info.row.labels.to_labels(),
                    time * 1e3
                )));
            }
            _ => {
                newest.insert(&info.name, (info, time));
            }
        }
    }
    Ok(newest.into_values().map(|(info, _)| info).collect())
}
