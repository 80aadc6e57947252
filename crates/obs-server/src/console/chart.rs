//! Line charts that need no script: SVG for the lines, text for the axes and the legend.
//!
//! The drawing is stretched to the width of its box (`preserveAspectRatio="none"`) while the labels stay
//! ordinary text beside it, so a chart is as readable on a phone as on a wide screen.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use obs_model::Timestamp;

use super::format::{Unit, time_of_day, time_of_day_with_seconds};

/// Into how many equal parts the value axis is cut.
const VALUE_STEPS: usize = 4;
/// Into how many equal parts the time axis is cut.
const TIME_STEPS: usize = 3;
/// The size of the drawing in its own units; its box decides the size on the screen.
const WIDTH: f64 = 600.0;
/// Its height.
const HEIGHT: f64 = 100.0;

/// A chart of one or more lines over one time range.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: &'static str,
    /// What its values count.
    pub(super) unit: Unit,
    /// The times of the points, the same for every line, rising.
    pub(super) times: Vec<Timestamp>,
    /// The lines; empty when there is nothing to show.
    pub(super) lines: Vec<Line>,
    /// What would fill the chart, for when it is empty.
    pub(super) filled_by: Markup,
    /// What the reader should know about the data, if anything.
    pub(super) note: Option<String>,
}

/// One line of a chart.
pub(super) struct Line {
    /// Its name in the legend.
    pub(super) name: String,
    /// Its colour.
    pub(super) tone: Tone,
    /// Its values, one for each time; a time without one leaves a gap.
    pub(super) values: Vec<Option<f64>>,
}

/// The colours that lines may have; the style sheet says what they are in light and in dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Main,
    Soft,
    Third,
    Warn,
    Bad,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Main => "tone-main",
            Self::Soft => "tone-soft",
            Self::Third => "tone-third",
            Self::Warn => "tone-warn",
            Self::Bad => "tone-bad",
        }
    }
}

impl Line {
    /// The last value of the line, if the last point has one.
    pub(super) fn now(&self) -> Option<f64> {
        self.values.last().copied().flatten()
    }

    fn has_values(&self) -> bool {
        self.values.iter().any(Option::is_some)
    }
}

impl Chart {
    /// The chart as it stands in a page.
    pub(super) fn render(&self) -> Markup {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.has_values()).collect();
        html! {
            section.card.chart {
                header.chart-head {
                    h3 { (self.title) }
                    ul.legend {
                        @for line in &lines {
                            li {
                                span.swatch.(line.tone.class()) aria-hidden="true" {}
                                span.legend-name { (line.name) }
                                span.legend-value { (line.now().map_or_else(|| String::from("–"), |now| self.unit.write(now))) }
                            }
                        }
                    }
                }
                @if lines.is_empty() {
                    div.empty.chart-empty { p { "No data yet." } p { (self.filled_by) } }
                } @else {
                    (self.plot(&lines))
                }
                @if let Some(note) = &self.note { p.note { (note) } }
            }
        }
    }

    fn plot(&self, lines: &[&Line]) -> Markup {
        let highest = lines
            .iter()
            .flat_map(|line| line.values.iter().flatten())
            .copied()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        let top = self.unit.round_up(highest);
        let ticks = (0..=VALUE_STEPS).rev().map(|step| top * step as f64 / VALUE_STEPS as f64);
        html! {
            div.plot {
                div.axis-y aria-hidden="true" {
                    @for tick in ticks { span { (self.unit.write(tick)) } }
                }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                    aria-label=(self.described(lines)) {
                    @for step in 0..=VALUE_STEPS {
                        @let y = HEIGHT * step as f64 / VALUE_STEPS as f64;
                        line.grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                    }
                    @if let [line] = lines { path.area.(line.tone.class()) d=(self.area(line, top)) {} }
                    @for line in lines { path.line.(line.tone.class()) d=(self.path(line, top)) {} }
                    @for index in 0..self.times.len() { (self.hover(index, lines)) }
                }
                div.axis-x aria-hidden="true" {
                    @for time in self.time_ticks() { span { (time_of_day(time)) } }
                }
            }
        }
    }

    /// The chart in words, for those who do not see it.
    fn described(&self, lines: &[&Line]) -> String {
        let mut text = self.title.to_owned();
        for line in lines {
            let values = || line.values.iter().flatten().copied();
            let (low, high) =
                (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
            // OK because writing to a String cannot fail.
            let _ = write!(
                text,
                "; {}: between {} and {}",
                line.name,
                self.unit.write(low),
                self.unit.write(high)
            );
        }
        text
    }

    fn time_ticks(&self) -> impl Iterator<Item = Timestamp> {
        let first = self.times.first().copied().unwrap_or_default();
        let last = self.times.last().copied().unwrap_or_default();
        let step = last.since(first) / TIME_STEPS as u32;
        (0..=TIME_STEPS as u32).map(move |index| first.plus(step * index))
    }

    /// An invisible strip over one point in time that tells its values when the pointer rests on it.
    fn hover(&self, index: usize, lines: &[&Line]) -> Markup {
        let strip = WIDTH / self.times.len() as f64;
        let mut told = time_of_day_with_seconds(self.times[index]) + " UTC";
        for line in lines {
            if let Some(value) = line.values.get(index).copied().flatten() {
                told += &format!("\n{}: {}", line.name, self.unit.write(value));
            }
        }
        html! {
            rect.hover x=(rounded(index as f64 * strip)) y="0" width=(rounded(strip)) height=(HEIGHT) {
                title { (told) }
            }
        }
    }

    fn x(&self, index: usize) -> f64 {
        let last = self.times.len().saturating_sub(1).max(1);
        rounded(WIDTH * index as f64 / last as f64)
    }

    /// The stretches of a line between its gaps, as points of the drawing.
    fn stretches(&self, line: &Line, top: f64) -> Vec<Vec<(f64, f64)>> {
        let mut stretches = vec![Vec::new()];
        for (index, value) in line.values.iter().enumerate() {
            match value {
                Some(value) if value.is_finite() => {
                    let y = rounded(HEIGHT * (1.0 - value.max(0.0) / top));
                    if let Some(stretch) = stretches.last_mut() {
                        stretch.push((self.x(index), y));
                    }
                }
                _ => stretches.push(Vec::new()),
            }
        }
        stretches.retain(|stretch| !stretch.is_empty());
        stretches
    }

    fn path(&self, line: &Line, top: f64) -> PreEscaped<String> {
        let mut path = String::new();
        for stretch in self.stretches(line, top) {
            for (index, (x, y)) in stretch.iter().enumerate() {
                let _ = write!(path, "{}{x} {y}", if index == 0 { 'M' } else { 'L' });
            }
            if stretch.len() == 1 {
                // A lone point becomes a dot, because its line ends are round.
                path.push_str("h0.01");
            }
        }
        PreEscaped(path)
    }

    fn area(&self, line: &Line, top: f64) -> PreEscaped<String> {
        let mut path = String::new();
        for stretch in self.stretches(line, top) {
            let (first, last) = (stretch[0].0, stretch[stretch.len() - 1].0);
            let _ = write!(path, "M{first} {HEIGHT}");
            for (x, y) in stretch {
                let _ = write!(path, "L{x} {y}");
            }
            let _ = write!(path, "L{last} {HEIGHT}Z");
        }
        PreEscaped(path)
    }
}

/// To a tenth of a drawing unit, which is finer than a pixel.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: Vec<Option<f64>>) -> Chart {
        let times = (0..values.len()).map(|index| Timestamp::from_millis(index as i64 * 15_000));
        Chart {
            title: "Request rate",
            unit: Unit::PerSecond,
            times: times.collect(),
            lines: vec![Line { name: String::from("<all>"), tone: Tone::Main, values }],
            filled_by: html! { "Requests." },
            note: None,
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_point_becomes_a_dot() {
        let chart = chart(vec![Some(0.0), Some(4.0), None, Some(2.0), None]);
        let path = chart.path(&chart.lines[0], 4.0).0;
        assert_eq!(path, "M0 100L150 0M450 50h0.01");
        assert_eq!(
            chart.area(&chart.lines[0], 4.0).0,
            "M0 100L0 100L150 0L150 100ZM450 100L450 50L450 100Z"
        );
    }

    #[test]
    fn a_chart_without_values_says_what_would_fill_it() {
        let page = chart(vec![None, None]).render().into_string();
        assert!(page.contains("No data yet.") && page.contains("Requests."), "{page}");
        assert!(!page.contains("<svg"), "{page}");
    }

    #[test]
    fn names_are_escaped_and_axes_carry_units() {
        let page = chart(vec![Some(1.0), Some(3.0)]).render().into_string();
        assert!(page.contains("&lt;all&gt;") && !page.contains("<all>"), "{page}");
        for part in ["3.2/s", "0/s", "00:00", "between 1/s and 3/s", "00:00:15 UTC"] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }

    #[test]
    fn values_that_are_not_numbers_draw_nothing() {
        let chart = chart(vec![Some(f64::NAN), Some(f64::INFINITY), Some(1.0)]);
        assert_eq!(chart.path(&chart.lines[0], 1.0).0, "M600 0h0.01");
        assert!(chart.render().into_string().contains("<svg"));
    }
}
