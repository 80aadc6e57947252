//! Puts charts on paper.

use std::f64::consts::{FRAC_PI_2, TAU};

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::data::{Bins, Named, Pairs};
use crate::table::number_text;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<String, String>;

const WIDTH: i32 = 760;
const HEIGHT: i32 = 420;
const INK: RGBColor = RGBColor(31, 41, 55);
const GREY: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const ACCENT: RGBColor = RGBColor(37, 99, 235);
/// Colours that stay apart for colour-blind readers (Okabe and Ito), without yellow, which is faint on white.
const SLICES: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(60, 60, 60),
];
const ROW_HEIGHT: i32 = 24;
const TOP: i32 = 48;

/// A horizontal bar for each value, with its name before it and its number behind it.
pub(super) fn bar(title: &str, data: &Named) -> Drawn {
    let rows = i32::try_from(data.points.len()).map_err(as_text)?;
    paper(title, TOP + rows * ROW_HEIGHT + 16, |area| {
        let names: Vec<String> = data.points.iter().map(|(name, _)| shortened(name, 34)).collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let left = 30 + 7 * i32::try_from(longest).unwrap_or(34);
        // The numbers behind the bars need room on both sides when a value is negative.
        let lowest = data.points.iter().map(|point| point.1).fold(0.0, f64::min);
        let highest = data.points.iter().map(|point| point.1).fold(0.0, f64::max);
        let span = (highest - lowest).max(f64::MIN_POSITIVE);
        let margin = if lowest < 0.0 { 60 } else { 0 };
        let from = left + margin;
        let length = f64::from(WIDTH - 80 - from);
        let x = |value: f64| from + pixels((value - lowest) / span * length);
        for ((name, (_, value)), row) in names.iter().zip(&data.points).zip(0..) {
            let top = TOP + row * ROW_HEIGHT;
            let middle = top + ROW_HEIGHT / 2;
            write(area, name, (left - 8, middle), 13, INK, HPos::Right)?;
            let ends = [x(0.0), x(*value)];
            let corners =
                [(ends[0].min(ends[1]), top + 4), (ends[0].max(ends[1]), top + ROW_HEIGHT - 4)];
            area.draw(&Rectangle::new(corners, ACCENT.filled())).map_err(as_text)?;
            let (place, side) = if *value < 0.0 {
                (corners[0].0 - 6, HPos::Right)
            } else {
                (corners[1].0 + 6, HPos::Left)
            };
            write(area, &number_text(*value), (place, middle), 13, INK, side)?;
        }
        Ok(())
    })
}

/// A line through the values, in their order: at their names where these are numbers, else evenly apart.
pub(super) fn line(title: &str, data: &Named) -> Drawn {
    paper(title, HEIGHT, |area| {
        let count = data.points.len();
        let place =
            |point: usize| data.places.as_ref().map_or(to_f64(point), |places| places[point]);
        let (first, last) =
            (0..count).map(place).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                (low.min(at), high.max(at))
            });
        let end = if last > first { last } else { first + 1.0 };
        let mut plane = plane(area, (first, end), room(data.points.iter().map(|p| p.1), true))?;
        let name = |x: &f64| {
            let whole = (x - x.round()).abs() < 1e-6;
            if data.places.is_some() {
                // A year or an hour is a name here, so it gets no comma.
                return if whole { format!("{x:.0}") } else { number_text(*x) };
            }
            let point = usize::try_from(pixels(*x)).ok().filter(|_| whole);
            let point = point.and_then(|point| data.points.get(point));
            point.map_or_else(String::new, |(name, _)| shortened(name, 12))
        };
        mesh(&mut plane, &data.names, &data.unit, &name, count.min(8))?;
        let points =
            data.points.iter().enumerate().map(|(point, (_, value))| (place(point), *value));
        plane
            .draw_series(LineSeries::new(points.clone(), ACCENT.stroke_width(2)))
            .map_err(as_text)?;
        if count <= 40 {
            let dots = points.map(|point| Circle::new(point, 3, ACCENT.filled()));
            plane.draw_series(dots).map_err(as_text)?;
        }
        Ok(())
    })
}

/// A dot for each pair.
pub(super) fn scatter(title: &str, data: &Pairs) -> Drawn {
    paper(title, HEIGHT, |area| {
        let x = room(data.points.iter().map(|p| p.0), false);
        let y = room(data.points.iter().map(|p| p.1), false);
        let mut plane = plane(area, x, y)?;
        mesh(&mut plane, &data.x, &data.y, &|x: &f64| number_text(*x), 8)?;
        let dots =
            data.points.iter().map(|point| Circle::new(*point, 3, ACCENT.mix(0.45).filled()));
        plane.draw_series(dots).map_err(as_text)?;
        Ok(())
    })
}

/// A column for each range.
pub(super) fn histogram(title: &str, data: &Bins) -> Drawn {
    paper(title, HEIGHT, |area| {
        let at = |place: usize| data.start + to_f64(place) * data.width;
        let y = room(data.counts.iter().map(|count| f64::from(*count)), true);
        let mut plane = plane(area, (at(0), at(data.counts.len())), y)?;
        mesh(&mut plane, &data.unit, "count", &|x: &f64| number_text(*x), 10)?;
        let columns = data.counts.iter().enumerate().map(|(place, count)| {
            let mut column = Rectangle::new(
                [(at(place), 0.0), (at(place + 1), f64::from(*count))],
                ACCENT.filled(),
            );
            column.set_margin(0, 0, 1, 1);
            column
        });
        plane.draw_series(columns).map_err(as_text)?;
        Ok(())
    })
}

/// A slice for each value, clockwise from the top, and a legend with the values and their shares.
pub(super) fn pie(title: &str, data: &Named) -> Drawn {
    paper(title, HEIGHT, |area| {
        let total: f64 = data.points.iter().map(|point| point.1).sum();
        let (centre, radius) = ((210.0, 230.0), 160.0);
        let mut from = -FRAC_PI_2;
        for (((name, value), colour), row) in data.points.iter().zip(SLICES.iter().cycle()).zip(0..)
        {
            let part = value / total;
            let to = from + part * TAU;
            let steps = pixels(part * 180.0).max(2);
            let rim = (0..=steps).map(|step| {
                let angle = from + (to - from) * f64::from(step) / f64::from(steps);
                (pixels(centre.0 + radius * angle.cos()), pixels(centre.1 + radius * angle.sin()))
            });
            let middle = (pixels(centre.0), pixels(centre.1));
            let outline: Vec<(i32, i32)> = std::iter::once(middle).chain(rim).collect();
            area.draw(&Polygon::new(outline.clone(), colour.filled())).map_err(as_text)?;
            let edge = outline.into_iter().chain([middle]).collect::<Vec<_>>();
            area.draw(&PathElement::new(edge, WHITE.stroke_width(2))).map_err(as_text)?;
            from = to;

            let y = 90 + row * 34;
            area.draw(&Rectangle::new([(430, y - 8), (446, y + 8)], colour.filled()))
                .map_err(as_text)?;
            let text =
                format!("{}: {} ({:.1} %)", shortened(name, 24), number_text(*value), part * 100.0);
            write(area, &text, (456, y), 14, INK, HPos::Left)?;
        }
        Ok(())
    })
}

/// Draws on a white sheet with a title.
fn paper(title: &str, height: i32, draw: impl FnOnce(&Area<'_>) -> Result<(), String>) -> Drawn {
    let mut svg = String::with_capacity(8 * 1024);
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(as_text)?;
        write(&area, &shortened(title, 80), (20, 24), 18, INK, HPos::Left)?;
        draw(&area)?;
        area.present().map_err(as_text)?;
    }
    Ok(svg)
}

/// A plane with axes below the title.
fn plane<'a, 'b>(
    area: &'a Area<'b>,
    x: (f64, f64),
    y: (f64, f64),
) -> Result<Plane<'a, 'b>, String> {
    ChartBuilder::on(area)
        .margin_top(TOP)
        .margin_right(30)
        .margin_left(8)
        .margin_bottom(8)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)
        .map_err(as_text)
}

fn mesh(
    plane: &mut Plane<'_, '_>,
    x: &str,
    y: &str,
    x_text: &dyn Fn(&f64) -> String,
    x_labels: usize,
) -> Result<(), String> {
    plane
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GREY)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .x_desc(x)
        .y_desc(y)
        .x_labels(x_labels)
        .y_labels(7)
        .x_label_formatter(x_text)
        .y_label_formatter(&|y| number_text(*y))
        .draw()
        .map_err(as_text)
}

/// The range of the values with some room around them, and with zero in it when it is to be.
fn room(values: impl Iterator<Item = f64>, with_zero: bool) -> (f64, f64) {
    let (mut low, mut high) =
        if with_zero { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
    for value in values {
        low = f64::min(low, value);
        high = f64::max(high, value);
    }
    if !low.is_finite() || !high.is_finite() {
        return (0.0, 1.0);
    }
    let extra = ((high - low) * 0.05).max(if high > low { 0.0 } else { 0.5 });
    let low = if with_zero && low == 0.0 { 0.0 } else { low - extra };
    (low, high + extra)
}

fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: u32,
    colour: RGBColor,
    side: HPos,
) -> Result<(), String> {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&colour)
        .pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text, at, style)).map_err(as_text)
}

/// The text, cut with an ellipsis when it has more characters than `most`.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a place on the sheet, or of one of 2,000 points"
)]
fn pixels(value: f64) -> i32 {
    value.round() as i32
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 10,000 rows")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

fn as_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
