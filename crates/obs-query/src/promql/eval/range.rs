//! Functions of windows: each series is gone through once, with a window that moves from step to step.

use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};

use super::Evaluator;
use super::change::Change;
use super::column::{Column, Grid, Row};
use super::extreme::Extreme;
use super::identity::Subject;
use super::rate::Resets;
use super::select::SeriesView;
use super::{over_time, rate, regression, rows};
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::error::execution;
use crate::promql::functions::Function;
use crate::promql::native::HistogramSample;
use crate::promql::plan::{CallPlan, Plan, PlanKind, RangePlan, RangeSource};
use crate::promql::span::Span;
use crate::promql::value::SampleValue;

/// What a function of a window sees at one step.
pub(super) struct Window<'w> {
    /// The numbers in the window, by rising time.
    pub(super) floats: &'w [Sample],
    /// The histograms in the window, by rising time.
    pub(super) histograms: &'w [HistogramSample],
    /// The values before each fall of the numbers in the window; for functions of counters only.
    pub(super) before_falls: &'w [f64],
    /// The window's open left end, in milliseconds.
    pub(super) start: i64,
    /// The window's right end, in milliseconds.
    pub(super) end: i64,
    /// The step's time, in milliseconds.
    pub(super) time: i64,
    /// The function's other arguments.
    pub(super) arguments: [f64; 2],
    /// Of the series.
    pub(super) labels: &'w Labels,
    /// Where the range stands in the query.
    pub(super) span: Span,
}

impl Window<'_> {
    pub(super) fn metric(&self) -> &str {
        self.labels.get(METRIC_NAME_LABEL).unwrap_or_default()
    }
}

/// What a function makes of a window: nothing, or a value.
pub(super) type Outcome = Result<Option<SampleValue>, Error>;

/// What is done with each row: what it is, whether its name goes away, and its values, whose column is used again.
pub(super) type RowSink<'v> =
    &'v mut dyn FnMut(Subject<'_>, bool, &mut Column) -> Result<(), Error>;

type WindowFn = fn(&Evaluator<'_>, &Window<'_>) -> Outcome;

/// The function of a window, if it is one.
fn window_fn(function: Function) -> Option<WindowFn> {
    Some(match function {
        Function::Rate => rate::rate,
        Function::Increase => rate::increase,
        Function::Delta => rate::delta,
        Function::Irate => rate::irate,
        Function::Idelta => rate::idelta,
        Function::Resets => rate::resets,
        Function::Changes => rate::changes,
        Function::Deriv => regression::deriv,
        Function::PredictLinear => regression::predict_linear,
        Function::DoubleExponentialSmoothing => regression::double_exponential_smoothing,
        Function::AbsentOverTime | Function::PresentOverTime => over_time::present,
        Function::AvgOverTime => over_time::avg,
        Function::CountOverTime => over_time::count,
        Function::LastOverTime => over_time::last,
        Function::MadOverTime => over_time::mad,
        Function::MaxOverTime => over_time::max,
        Function::MinOverTime => over_time::min,
        Function::QuantileOverTime => over_time::quantile,
        Function::StddevOverTime => over_time::stddev,
        Function::StdvarOverTime => over_time::stdvar,
        Function::SumOverTime => over_time::sum,
        Function::TsOfLastOverTime => over_time::time_of_last,
        Function::TsOfMaxOverTime => over_time::time_of_max,
        Function::TsOfMinOverTime => over_time::time_of_min,
        _ => return None,
    })
}

/// A call of a function of a window, taken apart.
pub(super) struct RangeCall<'p> {
    pub(super) function: Function,
    compute: WindowFn,
    range: &'p RangePlan,
    span: Span,
    /// The function's other arguments at every step.
    arguments: Vec<Vec<f64>>,
}

impl RangeCall<'_> {
    /// Whether every series that it reads is known to have the same name.
    fn of_one_metric(&self) -> bool {
        match &self.range.source {
            RangeSource::Selector(selector) => selector.metric_name().is_some(),
            RangeSource::Subquery { .. } => false,
        }
    }
}

/// Whether a series of a list is known to differ from all others of it, with the labels that count.
pub(super) fn surely_differs(subject: Subject<'_>) -> bool {
    match subject.place {
        Some(_) if !subject.bare => true,
        Some((list, _)) => list.differ_without_metric(rows::differ_without_metric),
        None => false,
    }
}

impl Evaluator<'_> {
    /// Evaluates a function of a window; `None` if it is no such function.
    pub(super) fn range_call(
        &self,
        call: &CallPlan,
        grid: &Grid,
    ) -> Result<Option<Vec<Row>>, Error> {
        let Some(call) = self.as_range_call(call, grid)? else {
            return Ok(None);
        };
        let before = self.budget.held();
        let mut rows = Vec::new();
        let mut differ = true;
        self.each_row(&call, grid, &mut |subject, drop_name, column| {
            self.budget.room_for(rows.len() + 1, grid.steps)?;
            self.budget.hold(column.count())?;
            let column = std::mem::replace(column, Column::absent(grid.steps));
            differ = differ && surely_differs(subject);
            rows.push(Row { labels: subject.identity(), drop_name, column });
            Ok(())
        })?;
        self.budget.settle(before, &rows)?;
        if call.function == Function::AbsentOverTime {
            return self.absent_steps(rows, &call.range.absent, grid).map(Some);
        }
        if differ {
            return Ok(Some(rows));
        }
        self.unique(rows).map(Some)
    }

    /// Takes a call of a function of a window apart; `None` if it is no such function.
    pub(super) fn as_range_call<'p>(
        &self,
        call: &'p CallPlan,
        grid: &Grid,
    ) -> Result<Option<RangeCall<'p>>, Error> {
        let Some(compute) = window_fn(call.function) else {
            return Ok(None);
        };
        let mut range = None;
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            match unwrapped(argument) {
                Plan { kind: PlanKind::Range(plan), span } => range = Some((&**plan, *span)),
                _ => arguments.push(self.eval_scalar(argument, grid)?),
            }
        }
        let Some((range, span)) = range else {
            return Err(execution("expected a range vector"));
        };
        Ok(Some(RangeCall { function: call.function, compute, range, span, arguments }))
    }

    /// Shows what a function of a window comes to, one series after the other.
    pub(super) fn each_row(
        &self,
        call: &RangeCall<'_>,
        grid: &Grid,
        sink: RowSink<'_>,
    ) -> Result<(), Error> {
        if grid.steps == 0 {
            return Ok(());
        }
        self.budget.room_for(1, grid.steps)?;
        let mut column = Column::absent(grid.steps);
        let drops = call.function != Function::LastOverTime;
        let mut noted = false;
        self.each_series(call.range, grid, &mut |series, drop_name| {
            column.reset();
            if self.walk(call, series, grid, &mut column)? == 0 {
                return Ok(());
            }
            if !noted {
                self.note_non_counter(call, series.subject.labels, &column);
                // Series of one metric would only be noted once more, unless their labels say what they are.
                noted = column.has_floats()
                    && call.of_one_metric()
                    && !self.options.type_and_unit_labels;
            }
            let bare = drops && !self.options.delayed_name_removal;
            sink(Subject { bare, ..series.subject }, drop_name || drops, &mut column)
        })
    }

    /// Goes through one series and says how many values there are.
    fn walk(
        &self,
        call: &RangeCall<'_>,
        series: SeriesView<'_>,
        grid: &Grid,
        column: &mut Column,
    ) -> Result<usize, Error> {
        let SeriesView { subject: Subject { labels, .. }, floats, histograms } = series;
        if histograms.is_empty() {
            let (window, when) = (call.range.window, call.range.when);
            if let Some(change) = Change::of(call.function) {
                self.budget.work(grid.steps)?;
                return Ok(change.walk(floats, window, when, grid, &mut column.floats));
            }
            // One window is gone through faster by itself.
            if grid.steps > 1
                && let Some(extreme) = Extreme::of(call.function)
            {
                self.budget.work(grid.steps)?;
                return Ok(extreme.walk(floats, window, when, grid, &mut column.floats));
            }
        }
        let mut float_bounds = Bounds::default();
        let mut histogram_bounds = Bounds::default();
        let counter = matches!(call.function, Function::Rate | Function::Increase);
        let mut resets = Resets::of(if counter { floats } else { &[] });
        let mut count = 0;
        for (step, time) in grid.times().enumerate() {
            self.budget.work(1)?;
            let end = call.range.when.at_step(time);
            let start = end.saturating_sub(call.range.window);
            let Bounds { from, to } =
                float_bounds.move_to(start, end, floats, |sample| sample.timestamp);
            let natives = if histograms.is_empty() {
                &[]
            } else {
                let Bounds { from, to } =
                    histogram_bounds.move_to(start, end, histograms, |sample| sample.timestamp);
                &histograms[from..to]
            };
            if from == to && natives.is_empty() {
                continue;
            }
            let argument = |index: usize| call.arguments.get(index).map_or(0.0, |a| a[step]);
            let window = Window {
                floats: &floats[from..to],
                histograms: natives,
                before_falls: resets.between(from, to),
                start,
                end,
                time,
                arguments: [argument(0), argument(1)],
                labels,
                span: call.span,
            };
            if let Some(value) = (call.compute)(self, &window)? {
                count += 1;
                column.set(step, value);
            }
        }
        Ok(count)
    }

    fn note_non_counter(&self, call: &RangeCall<'_>, labels: &Labels, column: &Column) {
        if !matches!(call.function, Function::Rate | Function::Increase) || !column.has_floats() {
            return;
        }
        let Some(metric) = labels.metric_name() else {
            return;
        };
        if self.options.type_and_unit_labels {
            let label = labels.get("__type__").unwrap_or_default();
            if label != "counter" && label != "histogram" {
                self.note(Note::PossibleNonCounterType { label, metric }, call.span);
            }
        } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end)) {
            self.note(Note::PossibleNonCounter(metric), call.span);
        }
    }
}

/// A plan without the mark that it is the same at every step.
pub(super) fn unwrapped(plan: &Plan) -> &Plan {
    match &plan.kind {
        PlanKind::Invariant(inner) => inner,
        _ => plan,
    }
}

/// Which samples of a series are in the window: `from..to`. Times must not fall from call to call.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    from: usize,
    to: usize,
}

impl Bounds {
    fn move_to<S>(
        &mut self,
        start: i64,
        end: i64,
        samples: &[S],
        time: impl Fn(&S) -> Timestamp,
    ) -> Self {
        while samples.get(self.to).is_some_and(|sample| time(sample).as_millis() <= end) {
            self.to += 1;
        }
        while self.from < self.to && time(&samples[self.from]).as_millis() <= start {
            self.from += 1;
        }
        *self
    }
}
