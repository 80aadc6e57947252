//! Answers of two servers, and where they differ.

use std::collections::BTreeMap;

use serde_json::Value;

/// By how much two values may differ, as a part of the larger one.
const TOLERANCE: f64 = 1e-9;
/// Below this size a difference is what rounding left of values that cancel out.
const NOTHING: f64 = 1e-12;

/// The values of each series by its labels, or why there are none.
pub(crate) enum Answer {
    Series(BTreeMap<String, Vec<(i64, f64)>>),
    Refused(String),
}

impl Answer {
    pub(crate) fn read(json: &Value) -> Self {
        if json["status"] != "success" {
            return Self::Refused(json["error"].as_str().unwrap_or("(no text)").to_owned());
        }
        let result = &json["data"]["result"];
        let several = |name: &str| -> BTreeMap<String, Vec<(i64, f64)>> {
            let all = result.as_array().into_iter().flatten();
            all.map(|series| {
                let points = match name {
                    "value" => vec![point(&series[name])],
                    _ => series[name].as_array().into_iter().flatten().map(point).collect(),
                };
                (series["metric"].to_string(), points)
            })
            .collect()
        };
        Self::Series(match json["data"]["resultType"].as_str() {
            Some("vector") => several("value"),
            Some("matrix") => several("values"),
            _ => BTreeMap::from([(String::new(), vec![point(result)])]),
        })
    }
}

fn point(json: &Value) -> (i64, f64) {
    let (Some(at), Some(text)) = (json[0].as_f64(), json[1].as_str()) else {
        panic!("{json} is no value");
    };
    let value = text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
    ((at * 1e3).round() as i64, value)
}

/// The first difference, if there is one.
pub(crate) fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Answer::Series(ours), Answer::Series(theirs)) => (ours, theirs),
        // The texts differ where ours say more.
        (Answer::Refused(_), Answer::Refused(_)) => return None,
        (Answer::Refused(text), _) => return Some(format!("refused by ours: {text}")),
        (_, Answer::Refused(text)) => return Some(format!("refused by theirs: {text}")),
    };
    for (labels, their_points) in theirs {
        let Some(our_points) = ours.get(labels) else {
            return Some(format!("{labels} is missing in ours: {:?}", their_points.first()));
        };
        if our_points.len() != their_points.len() {
            let (ours, theirs) = (our_points.len(), their_points.len());
            return Some(format!("{labels} has {ours} values, theirs {theirs}"));
        }
        let differing =
            our_points.iter().zip(their_points).find(|(a, b)| a.0 != b.0 || !is_same(a.1, b.1));
        if let Some((ours, theirs)) = differing {
            return Some(format!("{labels} is {ours:?}, theirs {theirs:?}"));
        }
    }
    let extra = ours.keys().find(|labels| !theirs.contains_key(*labels));
    extra.map(|labels| format!("{labels} is missing in theirs: {:?}", ours[labels].first()))
}

fn is_same(a: f64, b: f64) -> bool {
    a == b
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
        || (a - b).abs() < NOTHING
}
