//! Reading series: instant selectors, and the samples that range selectors see.

use std::ops::ControlFlow;

use obs_model::{Labels, Sample, Timestamp};

use super::Evaluator;
use super::column::{Column, Grid, Row};
use super::identity::Subject;
use crate::promql::native::{HistogramSample, HistogramSeries};
use crate::promql::plan::{InstantPlan, When};
use crate::promql::value::SampleValue;
use crate::stale::{drop_markers, is_stale};
use crate::{Error, Scanned, Selector, TimeRange};

/// One series as it was read.
#[derive(Debug)]
pub(super) struct RawSeries {
    pub(super) labels: Labels,
    pub(super) floats: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
}

impl RawSeries {
    pub(super) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    pub(super) fn view(&self) -> SeriesView<'_> {
        let subject = Subject::new(&self.labels);
        SeriesView { subject, floats: &self.floats, histograms: &self.histograms }
    }

    /// Takes stale markers out.
    pub(super) fn drop_markers(&mut self) {
        drop_markers(&mut self.floats);
        self.histograms.retain(|sample| !is_stale(sample.value.sum));
    }
}

/// One series while it is being gone through.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesView<'s> {
    pub(super) subject: Subject<'s>,
    pub(super) floats: &'s [Sample],
    pub(super) histograms: &'s [HistogramSample],
}

/// What is done with each series; an error ends the reading.
type Visit<'v> = &'v mut dyn FnMut(SeriesView<'_>) -> Result<(), Error>;

/// What is done with each series that a selector selects; the column is used again for the next one.
pub(super) type Sink<'v> = &'v mut dyn FnMut(Subject<'_>, &mut Column) -> Result<(), Error>;

impl Evaluator<'_> {
    /// Shows the series that `selector` accepts, with what they have between `after` and `until`; in order of labels.
    ///
    /// Stale markers are among the samples.
    fn each(
        &self,
        selector: &Selector,
        after: i64,
        until: i64,
        extent: Extent,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let range =
            TimeRange { start: Timestamp::from_millis(after), end: Timestamp::from_millis(until) };
        let natives = self.source.read_histograms(selector, range);
        if !natives.is_empty() {
            for series in self.with_histograms(selector, range, natives) {
                visit(series.view())?;
            }
            return Ok(());
        }
        let mut outcome = Ok(());
        let mut show = |series: Scanned<'_>| {
            let subject = Subject { labels: series.labels, place: series.place(), bare: false };
            outcome = visit(SeriesView { subject, floats: series.samples, histograms: &[] });
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match extent {
            Extent::Whole => self.source.scan(selector, range, &mut show),
            Extent::Last => self.source.scan_last(selector, range, &mut show),
        }
        outcome
    }

    fn with_histograms(
        &self,
        selector: &Selector,
        range: TimeRange,
        natives: Vec<HistogramSeries>,
    ) -> Vec<RawSeries> {
        let mut found: Vec<RawSeries> = self
            .source
            .read(selector, range)
            .into_iter()
            .map(|series| RawSeries {
                labels: series.labels,
                floats: series.samples,
                histograms: Vec::new(),
            })
            .collect();
        for series in natives {
            match found.binary_search_by(|known| known.labels.cmp(&series.labels)) {
                Ok(place) => found[place].histograms = series.samples,
                Err(place) => found.insert(
                    place,
                    RawSeries {
                        labels: series.labels,
                        floats: Vec::new(),
                        histograms: series.samples,
                    },
                ),
            }
        }
        found
    }

    /// Shows what a range selector sees at the steps of `grid`: no stale markers, and no series without a sample.
    pub(super) fn each_window(
        &self,
        selector: &Selector,
        window: i64,
        when: When,
        grid: &Grid,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let after = when.at_step(grid.start).saturating_sub(window);
        let until = when.at_step(grid.end());
        self.each(selector, after, until, Extent::Whole, &mut |series| {
            let stale = series.floats.iter().any(|sample| is_stale(sample.value))
                || series.histograms.iter().any(|sample| is_stale(sample.value.sum));
            if stale {
                let mut live = RawSeries {
                    labels: series.subject.labels.clone(),
                    floats: series.floats.to_vec(),
                    histograms: series.histograms.to_vec(),
                };
                live.drop_markers();
                let view = SeriesView { subject: series.subject, ..live.view() };
                return if live.len() == 0 { Ok(()) } else { visit(view) };
            }
            visit(series)
        })
    }

    /// An instant selector: at each step the last sample that is not older than the look-back.
    pub(super) fn select(&self, plan: &InstantPlan, grid: &Grid) -> Result<Vec<Row>, Error> {
        self.selected_rows(plan, grid, Reading::Value)
    }

    /// As [`Evaluator::select`], with the time of each sample, in seconds, instead of its value.
    pub(super) fn select_times(&self, plan: &InstantPlan, grid: &Grid) -> Result<Vec<Row>, Error> {
        self.selected_rows(plan, grid, Reading::Time)
    }

    fn selected_rows(
        &self,
        plan: &InstantPlan,
        grid: &Grid,
        reading: Reading,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.each_selected(plan, grid, reading, &mut |subject, column| {
            self.budget.room_for(rows.len() + 1, grid.steps)?;
            self.budget.hold(column.count())?;
            let column = std::mem::replace(column, Column::absent(grid.steps));
            rows.push(Row { labels: subject.identity(), drop_name: false, column });
            Ok(())
        })?;
        Ok(rows)
    }

    /// Shows what an instant selector selects, one series after the other.
    pub(super) fn each_selected(
        &self,
        plan: &InstantPlan,
        grid: &Grid,
        reading: Reading,
        sink: Sink<'_>,
    ) -> Result<(), Error> {
        if grid.steps == 0 {
            return Ok(());
        }
        self.budget.room_for(1, grid.steps)?;
        let look_back = self.options.look_back_millis();
        let after = plan.when.at_step(grid.start).saturating_sub(look_back);
        let mut column = Column::absent(grid.steps);
        let until = plan.when.at_step(grid.end());
        let extent = if grid.steps == 1 { Extent::Last } else { Extent::Whole };
        self.each(&plan.selector, after, until, extent, &mut |series| {
            column.reset();
            let count = if series.histograms.is_empty() {
                self.last_floats(series.floats, plan.when, grid, reading, &mut column)?
            } else {
                self.last_samples(series, plan.when, grid, reading, &mut column)?
            };
            if count == 0 {
                return self.budget.work(series.floats.len() + 1);
            }
            self.budget.pass(count)?;
            sink(series.subject, &mut column)
        })
    }

    /// Reads the last sample of each step, and says how many steps have one; numbers only.
    fn last_floats(
        &self,
        floats: &[Sample],
        when: When,
        grid: &Grid,
        reading: Reading,
        column: &mut Column,
    ) -> Result<usize, Error> {
        let look_back = self.options.look_back_millis();
        let (mut next, mut count) = (0, 0);
        self.budget.work(grid.steps)?;
        for (out, time) in column.floats.iter_mut().zip(grid.times()) {
            let at = when.at_step(time);
            while floats.get(next).is_some_and(|sample| sample.timestamp.as_millis() <= at) {
                next += 1;
            }
            let Some(Sample { timestamp, value }) = next.checked_sub(1).map(|last| floats[last])
            else {
                continue;
            };
            if timestamp.as_millis() > at.saturating_sub(look_back) && !is_stale(value) {
                *out = if reading == Reading::Time { timestamp.as_secs_f64() } else { value };
                count += 1;
            }
        }
        Ok(count)
    }

    /// As [`Evaluator::last_floats`], with histograms.
    fn last_samples(
        &self,
        series: SeriesView<'_>,
        when: When,
        grid: &Grid,
        reading: Reading,
        column: &mut Column,
    ) -> Result<usize, Error> {
        let look_back = self.options.look_back_millis();
        let mut walk = Walk { series, floats: 0, histograms: 0 };
        let mut count = 0;
        for (step, time) in grid.times().enumerate() {
            self.budget.work(1)?;
            let at = when.at_step(time);
            let Some((time, value)) = walk.last_at(at) else {
                continue;
            };
            if time > at.saturating_sub(look_back) {
                count += 1;
                match reading {
                    Reading::Value => column.set(step, value),
                    Reading::Time => column.floats[step] = time as f64 / 1e3,
                }
            }
        }
        Ok(count)
    }
}

/// What is read of a series.
#[derive(Clone, Copy)]
enum Extent {
    Whole,
    /// The last number only; of native histograms everything.
    Last,
}

/// What is read of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Value,
    /// Its time, in seconds.
    Time,
}

/// Going through one series by rising time.
struct Walk<'s> {
    series: SeriesView<'s>,
    /// How many floats are behind.
    floats: usize,
    /// How many histograms are behind.
    histograms: usize,
}

impl Walk<'_> {
    /// The last sample at `at` or before it, unless it is a stale marker; times must not fall.
    fn last_at(&mut self, at: i64) -> Option<(i64, SampleValue)> {
        let SeriesView { floats, histograms, .. } = self.series;
        while floats.get(self.floats).is_some_and(|s| s.timestamp.as_millis() <= at) {
            self.floats += 1;
        }
        while histograms.get(self.histograms).is_some_and(|s| s.timestamp.as_millis() <= at) {
            self.histograms += 1;
        }
        let float = self.floats.checked_sub(1).map(|index| floats[index]);
        let histogram = self.histograms.checked_sub(1).map(|index| &histograms[index]);
        match (float, histogram) {
            (float, Some(histogram))
                if float.is_none_or(|float| float.timestamp < histogram.timestamp) =>
            {
                let value = SampleValue::Histogram(histogram.value.clone());
                (!is_stale(histogram.value.sum)).then(|| (histogram.timestamp.as_millis(), value))
            }
            (Some(float), _) => (!is_stale(float.value))
                .then(|| (float.timestamp.as_millis(), SampleValue::Float(float.value))),
            (None, _) => None,
        }
    }
}
