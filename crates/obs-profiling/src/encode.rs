//! From samples to a profile: the pprof bytes, and the cost of each function.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::protos::{self, Message};

use crate::error::Kind;
use crate::profile::Run;
use crate::{Error, FunctionCost, Profile};

/// Encodes a report as gzipped `perftools.profiles.Profile`, as `go tool pprof` reads it.
///
/// Source: `proto/profile.proto` in github.com/google/pprof.
pub(crate) fn encode(report: &pprof::Report, run: Run) -> Result<Profile, Error> {
    let mut proto = report.pprof().map_err(Kind::Read)?;
    let samples = proto.sample.iter().map(count_of).sum();
    let functions = costs(&proto);
    let mut profile = Profile { run, samples, functions, pprof_gz: Vec::new() };
    // The comment is shown by `go tool pprof -comments` and in its web view.
    let comment = i64::try_from(proto.string_table.len()).unwrap_or(0);
    proto.string_table.push(profile.headline());
    proto.comment.push(comment);
    profile.pprof_gz = gzip(&proto).map_err(|error| Kind::Encode(error.into()))?;
    Ok(profile)
}

fn gzip(proto: &protos::Profile) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(proto.encoded_len());
    proto.encode(&mut bytes)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&bytes)?;
    encoder.finish()
}

/// The first value of a sample is the number of times that its stack was seen.
fn count_of(sample: &protos::Sample) -> u64 {
    sample.value.first().and_then(|count| u64::try_from(*count).ok()).unwrap_or(0)
}

/// How often each function was innermost, and how often it was anywhere on the stack; most expensive first.
fn costs(proto: &protos::Profile) -> Vec<FunctionCost> {
    // `pprof-rs` writes one location for each function, with the same number.
    let names: HashMap<u64, &str> = proto
        .function
        .iter()
        .filter_map(|function| {
            let name = proto.string_table.get(usize::try_from(function.name).ok()?)?;
            Some((function.id, name.as_str()))
        })
        .collect();
    let mut costs: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut on_stack = HashSet::new();
    for sample in &proto.sample {
        let count = count_of(sample);
        if let Some(innermost) = sample.location_id.first() {
            costs.entry(*innermost).or_default().0 += count;
        }
        // A recursive function is on the stack once, however often it calls itself.
        on_stack.clear();
        for id in sample.location_id.iter().filter(|id| on_stack.insert(**id)) {
            costs.entry(*id).or_default().1 += count;
        }
    }
    let mut costs: Vec<FunctionCost> = costs
        .into_iter()
        .map(|(id, (flat_samples, cumulative_samples))| FunctionCost {
            name: names.get(&id).copied().unwrap_or("unknown").to_owned(),
            flat_samples,
            cumulative_samples,
        })
        .collect();
    costs.sort_by(|a, b| {
        (b.flat_samples, b.cumulative_samples, &a.name).cmp(&(
            a.flat_samples,
            a.cumulative_samples,
            &b.name,
        ))
    });
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_costs_once_a_stack_however_often_it_is_on_it() {
        let sample = |count, stack: &[u64]| protos::Sample {
            location_id: stack.to_vec(),
            value: vec![count, count * 10],
            label: Vec::new(),
        };
        let function = |id, name| protos::Function { id, name, ..protos::Function::default() };
        let proto = protos::Profile {
            string_table: ["", "main", "fib", "read"].map(str::to_owned).to_vec(),
            function: vec![function(1, 1), function(2, 2), function(3, 3)],
            sample: vec![sample(5, &[2, 2, 2, 1]), sample(2, &[3, 1]), sample(1, &[])],
            ..protos::Profile::default()
        };
        let shown: Vec<(String, u64, u64)> = costs(&proto)
            .into_iter()
            .map(|cost| (cost.name, cost.flat_samples, cost.cumulative_samples))
            .collect();
        let expected = [("fib", 5, 5), ("read", 2, 2), ("main", 0, 7)];
        assert_eq!(shown, expected.map(|(name, flat, all)| (name.to_owned(), flat, all)));
    }
}
