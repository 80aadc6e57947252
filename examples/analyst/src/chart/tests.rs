//! The drawings are well-formed XML that shows the rows' own numbers.

use super::*;
use crate::table::Value;

/// Checks tags, quotes and entities of an XML document, and returns its texts.
fn texts(xml: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let text = rest[..start].trim();
        for part in text.split('&').skip(1) {
            let entity = part.split_once(';').ok_or_else(|| format!("a bare & in {text:?}"))?.0;
            if !["lt", "gt", "amp", "quot", "apos"].contains(&entity) {
                return Err(format!("unknown entity {entity}"));
            }
        }
        if !text.is_empty() {
            texts.push(text.to_owned());
        }
        let end = start + rest[start..].find('>').ok_or("a tag without an end")?;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.contains('<') || tag.matches('"').count() % 2 == 1 {
            return Err(format!("malformed tag {tag:?}"));
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or(tag));
        }
        if open.is_empty() && !rest.trim().is_empty() {
            return Err("more than one root".to_owned());
        }
    }
    if open.is_empty() { Ok(texts) } else { Err(format!("{open:?} stay open")) }
}

fn table(columns: &[&str], rows: Vec<Vec<Value>>) -> Table {
    Table { columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows }
}

fn named() -> Table {
    let row = |name: &str, value| vec![Value::Text(name.into()), Value::Integer(value)];
    table(
        &["airport", "flights"],
        vec![row("DFW", 1103), row("ORD <&> \"O'Hare\"", 1095), row("ATL", 846)],
    )
}

fn numbers() -> Table {
    let row = |n: i64| vec![Value::Integer(n), Value::Integer(n * n)];
    table(&["distance", "delay"], (0..40).map(row).collect())
}

#[test]
fn every_kind_of_chart_is_well_formed_and_carries_its_title() {
    for kind in ChartKind::ALL {
        let table = if matches!(kind, ChartKind::Scatter | ChartKind::Histogram) {
            numbers()
        } else {
            named()
        };
        let chart = create(kind, "Flights & delays", &table).expect("the rows suit the chart");
        let texts = texts(&chart.svg).unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
        assert_eq!(texts[0], "Flights &amp; delays");
        assert_eq!(chart.points, table.rows.len());
        assert!(chart.svg.starts_with("<svg ") && !chart.svg.contains("NaN"), "{}", kind.name());
    }
}

#[test]
fn the_xml_check_can_fail() {
    for broken in
        ["<a><b></a>", "<a>&</a>", "<a x=\"1></a>", "<a></a><b></b>", "<a>", "<a>&nbsp;</a>"]
    {
        assert!(texts(broken).is_err(), "{broken}");
    }
}

#[test]
fn bars_show_each_name_and_number_and_their_lengths_are_in_proportion() {
    let chart = create(ChartKind::Bar, "t", &named()).expect("the rows suit the chart");
    let texts = texts(&chart.svg).expect("well-formed");
    for text in ["DFW", "1,103", "ORD &lt;&amp;&gt; &quot;O&apos;Hare&quot;", "1,095", "ATL", "846"]
    {
        assert!(texts.iter().any(|t| t == text), "{text} in {texts:?}");
    }
    // The first rectangle is the sheet.
    let widths: Vec<f64> = chart
        .svg
        .split("<rect ")
        .skip(2)
        .filter_map(|tag| tag.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    assert_eq!(widths.len(), 3);
    assert!((widths[2] / widths[0] - 846.0 / 1103.0).abs() < 0.01, "{widths:?}");
}

#[test]
fn a_pie_names_shares_and_puts_small_slices_together() {
    let rows = (1..=12).map(|n| vec![Value::Text(format!("s{n}")), Value::Integer(n)]).collect();
    let chart =
        create(ChartKind::Pie, "t", &table(&["s", "n"], rows)).expect("the rows suit the chart");
    let texts = texts(&chart.svg).expect("well-formed");
    assert!(texts.contains(&"s12: 12 (15.4 %)".to_owned()), "{texts:?}");
    assert!(texts.contains(&"other: 15 (19.2 %)".to_owned()), "{texts:?}");
}

#[test]
fn points_of_a_line_lie_at_their_numbers_or_else_evenly_apart() {
    let row = |name: Value| vec![name, Value::Integer(1)];
    let hours = table(&["hour", "n"], [0, 6, 7].map(|hour| row(Value::Integer(hour))).to_vec());
    let data = data::named(&hours, 9).expect("there are numbers");
    assert_eq!(data.places, Some(vec![0.0, 6.0, 7.0]));
    let days = table(&["day", "n"], ["a", "b"].map(|day| row(Value::Text(day.into()))).to_vec());
    assert_eq!(data::named(&days, 9).expect("there are numbers").places, None);
}

#[test]
fn a_histogram_counts_every_value_once() {
    let bins = data::bins(&numbers()).expect("there are numbers");
    assert_eq!(bins.counts.iter().sum::<u32>(), 40);
    assert_eq!((bins.start, bins.width, bins.counts[0]), (0.0, 2.0, 2));
    let same = table(&["n"], vec![vec![Value::Integer(7)]; 5]);
    let bins = data::bins(&same).expect("there are numbers");
    assert_eq!((bins.start, bins.width, bins.counts), (7.0, 1.0, vec![5]));
}

#[test]
fn rows_that_do_not_suit_the_chart_are_refused_with_what_they_lack() {
    let texts_only = table(&["a"], vec![vec![Value::Text("x".into())]]);
    let negative = table(&["a", "n"], vec![vec![Value::Text("x".into()), Value::Integer(-1)]]);
    let many =
        table(&["a", "n"], (0..51).map(|n| vec![Value::Integer(n), Value::Integer(n)]).collect());
    let cases = [
        (ChartKind::Bar, &texts_only, "no column of numbers"),
        (ChartKind::Scatter, &texts_only, "no two columns of numbers"),
        (ChartKind::Histogram, &texts_only, "no column of numbers"),
        (ChartKind::Pie, &negative, "x is -1"),
        (ChartKind::Bar, &many, "51 rows, and it shows at most 50"),
        (ChartKind::Line, &Table::default(), "no rows"),
    ];
    for (kind, table, says) in cases {
        let error = create(kind, "t", table).expect_err("the rows do not suit").to_string();
        assert!(error.contains(kind.name()) && error.contains(says), "{error}");
    }
}
