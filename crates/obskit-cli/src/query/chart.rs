//! A matrix as charts: one line of bars for each series.

use super::answer::{Point, Series};

/// How many columns a chart has at most.
const WIDTH: usize = 60;
/// How many series are drawn; the others are counted.
const MAX_SERIES: usize = 50;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn charts(series: &[Series]) -> String {
    let times = || series.iter().flat_map(|series| series.points.iter().map(|point| point.at));
    let (Some(start), Some(end)) = (times().min(), times().max()) else {
        return String::from("no values\n");
    };
    let columns = columns(series, start.as_millis(), end.as_millis());
    let mut text = format!("{start} to {end}\n");
    for one in series.iter().take(MAX_SERIES) {
        let (bars, least, most) = bars(&one.points, start.as_millis(), end.as_millis(), columns);
        let last = one.points.last().map_or("", |point| &*point.text);
        let range = match (least, most) {
            (Some(least), Some(most)) => format!("  min {least}  max {most}"),
            _ => String::new(),
        };
        text.push_str(&format!("{}\n  {bars}{range}  last {last}\n", name(&one.labels)));
    }
    if series.len() > MAX_SERIES {
        text.push_str(&format!("and {} more series\n", series.len() - MAX_SERIES));
    }
    text
}

/// A series as PromQL writes it.
fn name(labels: &[(String, String)]) -> String {
    let metric = labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, value)| value);
    let others: Vec<String> = labels
        .iter()
        .filter(|(name, _)| name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if others.is_empty() && !metric.is_empty() {
        metric.to_owned()
    } else {
        format!("{metric}{{{}}}", others.join(", "))
    }
}

/// One column for each step, as far as there is room; the step is the least distance of two points.
fn columns(series: &[Series], start: i64, end: i64) -> usize {
    let step = series
        .iter()
        .flat_map(|series| series.points.windows(2))
        .map(|pair| pair[1].at.as_millis() - pair[0].at.as_millis())
        .min()
        .unwrap_or(1)
        .max(1);
    usize::try_from((end - start) / step + 1).map_or(WIDTH, |steps| steps.clamp(1, WIDTH))
}

/// One bar for each stretch of time, as high as the mean of its finite values; a space where there is none.
fn bars(
    points: &[Point],
    start: i64,
    end: i64,
    columns: usize,
) -> (String, Option<f64>, Option<f64>) {
    let numbers: Vec<(i64, f64)> = points
        .iter()
        .filter_map(|point| Some((point.at.as_millis(), point.text.parse::<f64>().ok()?)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let least = numbers.iter().map(|(_, value)| *value).reduce(f64::min);
    let most = numbers.iter().map(|(_, value)| *value).reduce(f64::max);
    let length = (end - start).max(1) as f64;
    let mut sums = vec![(0.0, 0.0); columns];
    for (at, value) in &numbers {
        let share = (at - start) as f64 / length;
        let column = &mut sums[((share * columns as f64) as usize).min(columns - 1)];
        *column = (column.0 + value, column.1 + 1.0);
    }
    let (low, high) = (least.unwrap_or(0.0), most.unwrap_or(0.0));
    let bar = |(sum, count): &(f64, f64)| {
        if *count == 0.0 {
            ' '
        } else if high > low {
            let share = (sum / count - low) / (high - low);
            BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)]
        } else {
            BARS[BARS.len() / 2]
        }
    };
    (sums.iter().map(bar).collect(), least, most)
}

#[cfg(test)]
mod tests {
    use obs_model::Timestamp;

    use super::*;

    fn series(labels: &[(&str, &str)], values: &[&str]) -> Series {
        let points = values.iter().enumerate().map(|(index, text)| Point {
            at: Timestamp::from_millis(index as i64 * 1_000),
            text: (*text).to_owned(),
        });
        Series {
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            points: points.collect(),
        }
    }

    #[test]
    fn a_series_is_drawn_from_its_lowest_to_its_highest_value() {
        let rising: Vec<String> = (0..60).map(|value| value.to_string()).collect();
        let rising: Vec<&str> = rising.iter().map(String::as_str).collect();
        let text = charts(&[series(&[("__name__", "up"), ("job", "a")], &rising)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1970-01-01T00:00:00.000Z to 1970-01-01T00:00:59.000Z");
        assert_eq!(lines[1], "up{job=\"a\"}");
        assert!(lines[2].starts_with("  ▁▁▁▁▁▁▁▁▂"), "{}", lines[2]);
        assert!(lines[2].ends_with("█  min 0  max 59  last 59"), "{}", lines[2]);
    }

    #[test]
    fn gaps_and_what_is_no_number_leave_a_space() {
        let text = charts(&[series(&[], &["1", "NaN", "+Inf", "1"])]);
        assert_eq!(text.lines().nth(2), Some("  ▅  ▅  min 1  max 1  last 1"));
        assert!(text.contains("{}\n"));
    }

    #[test]
    fn of_very_many_series_some_are_drawn_and_the_others_counted() {
        let all: Vec<Series> = (0..53).map(|_| series(&[("__name__", "a")], &["1"])).collect();
        assert!(charts(&all).ends_with("and 3 more series\n"));
        assert_eq!(charts(&[series(&[], &[])]), "no values\n");
    }
}
