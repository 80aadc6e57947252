//! Functions of a single number.

use super::Evaluator;
use super::column::Row;
use crate::Error;
use crate::promql::functions::Function;

/// The function of a number, if it is one.
pub(super) fn of_number(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Acos => f64::acos,
        Function::Acosh => acosh,
        Function::Asin => f64::asin,
        Function::Asinh => asinh,
        Function::Atan => f64::atan,
        Function::Atanh => f64::atanh,
        Function::Ceil => f64::ceil,
        Function::Cos => f64::cos,
        Function::Cosh => f64::cosh,
        Function::Deg => |value| value * 180.0 / std::f64::consts::PI,
        Function::Exp => f64::exp,
        Function::Floor => f64::floor,
        Function::Ln => f64::ln,
        Function::Log10 => f64::log10,
        Function::Log2 => f64::log2,
        Function::Rad => |value| value * std::f64::consts::PI / 180.0,
        Function::Sgn => sign,
        Function::Sin => f64::sin,
        Function::Sinh => f64::sinh,
        Function::Sqrt => f64::sqrt,
        Function::Tan => f64::tan,
        Function::Tanh => f64::tanh,
        _ => return None,
    })
}

/// −1, 1, or the number itself if it is zero or NaN.
fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The standard library's loses digits for large numbers, where the square of one overflows.
fn acosh(value: f64) -> f64 {
    if value > 1e154 { value.ln() + std::f64::consts::LN_2 } else { value.acosh() }
}

fn asinh(value: f64) -> f64 {
    if value.abs() > 1e154 {
        (value.abs().ln() + std::f64::consts::LN_2).copysign(value)
    } else {
        value.asinh()
    }
}

impl Evaluator<'_> {
    /// Changes every number of `rows`; histograms go away.
    pub(super) fn map(
        &self,
        mut rows: Vec<Row>,
        change: impl Fn(f64) -> f64,
    ) -> Result<Vec<Row>, Error> {
        for row in &mut rows {
            self.budget.work(row.column.len())?;
            row.column.map_floats(&change);
            self.drop_name(row);
        }
        self.merged(rows)
    }

    /// Changes every number of `rows` in a way that depends on the step; `None` takes it away.
    pub(super) fn map_steps(
        &self,
        mut rows: Vec<Row>,
        change: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Vec<Row>, Error> {
        for row in &mut rows {
            self.budget.work(row.column.len())?;
            row.column.histograms = None;
            for step in 0..row.column.len() {
                if let Some(value) = row.column.float(step) {
                    row.column.floats[step] = change(step, value).unwrap_or(super::column::ABSENT);
                }
            }
            self.drop_name(row);
        }
        self.merged(rows)
    }
}
