//! `absent` and `absent_over_time`: a value where nothing else has one.

use obs_model::Labels;

use super::Evaluator;
use super::column::{ABSENT, Column, Grid, Row};
use crate::Error;

impl Evaluator<'_> {
    /// One series that is 1 at the steps at which none of `rows` has a value.
    pub(super) fn absent_steps(
        &self,
        rows: Vec<Row>,
        labels: &Labels,
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        self.budget.room_for(1, grid.steps)?;
        let mut floats = vec![1.0; grid.steps];
        for row in &rows {
            for (step, value) in floats.iter_mut().enumerate() {
                if row.column.has(step) {
                    *value = ABSENT;
                }
            }
        }
        let column = Column::of_floats(floats);
        if column.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Row { labels: labels.clone().into(), drop_name: false, column }])
    }
}
