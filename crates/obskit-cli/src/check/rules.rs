//! `obskit check rules FILE…`, as `promtool check rules` has it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use obs_query::promql::ParseOptions;
use obs_query::rules::{DuplicateRule, MAX_RULE_FILE_BYTES, RuleFile};

use crate::Failure;

/// The exit status for what only lint complains about, with `--lint-fatal`.
const LINT_STATUS: u8 = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to look for beyond mistakes.
    #[arg(long, value_enum, default_value_t = Lint::DuplicateRules)]
    lint: Lint,

    /// Ends with exit status 3 if lint finds something and there is no mistake.
    #[arg(long)]
    lint_fatal: bool,

    /// Accepts experimental functions and arithmetic in durations.
    #[arg(long)]
    experimental: bool,

    /// The files; standard input when there is none or for `-`.
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lint {
    /// Everything that lint knows.
    All,
    /// Rules that record the same series or raise the same alert.
    DuplicateRules,
    /// Nothing.
    None,
}

/// How a file is.
enum Verdict {
    Good,
    Linted,
    Wrong,
}

/// Checks each file and prints how it is: what is wrong goes to standard error.
pub(crate) fn check(arguments: &Arguments) -> Result<(), Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if arguments.files.is_empty() { &stdin[..] } else { &arguments.files };
    let (mut wrong, mut linted) = (0, 0);
    for file in files {
        match check_file(file, arguments)? {
            Verdict::Good => {}
            Verdict::Linted => linted += 1,
            Verdict::Wrong => wrong += 1,
        }
        println!();
    }
    if wrong > 0 {
        return Err(Failure::found(format!("{wrong} of {} files failed", files.len())));
    }
    if linted > 0 && arguments.lint_fatal {
        let reason = format!("lint found something in {linted} of {} files", files.len());
        return Err(Failure { reason, status: LINT_STATUS });
    }
    Ok(())
}

fn check_file(file: &Path, arguments: &Arguments) -> Result<Verdict, Failure> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    println!("Checking {name}");
    let bytes = read(file, is_stdin)
        .map_err(|error| Failure::found(format!("{name} cannot be read: {error}")))?;
    let Ok(text) = String::from_utf8(bytes) else {
        eprintln!("  FAILED:\n{name}: the file is not UTF-8");
        return Ok(Verdict::Wrong);
    };
    let options =
        if arguments.experimental { ParseOptions::all() } else { ParseOptions::default() };
    let rules = match RuleFile::parse(&text, options) {
        Ok(rules) => rules,
        Err(error) => {
            eprintln!("  FAILED:");
            for problem in error.rule_problems() {
                match problem.position() {
                    Some(position) => eprintln!("{name}:{position}: {}", problem.message()),
                    None => eprintln!("{name}: {}", problem.message()),
                }
            }
            return Ok(Verdict::Wrong);
        }
    };
    if rules.has_more_documents() {
        eprintln!("  WARNING: only the first YAML document of {name} is read");
    }
    let duplicates = match arguments.lint {
        Lint::All | Lint::DuplicateRules => rules.duplicate_rules(),
        Lint::None => Vec::new(),
    };
    if duplicates.is_empty() {
        println!("  SUCCESS: {} rules found", rules.rule_count());
        return Ok(Verdict::Good);
    }
    eprintln!("  FAILED:\n{} duplicate rule(s) found", duplicates.len());
    for duplicate in &duplicates {
        eprintln!("{}", describe(&name, &rules, duplicate));
    }
    Ok(Verdict::Linted)
}

fn describe(name: &str, rules: &RuleFile, duplicate: &DuplicateRule) -> String {
    let at = |(group, rule)| {
        rules.position(group, rule).map_or_else(String::new, |position| position.to_string())
    };
    let labels: Vec<_> =
        duplicate.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    format!(
        "{name}:{}: {}{{{}}} is already defined at {}: the rules may overwrite what each other gives",
        at(duplicate.rule),
        duplicate.name,
        labels.join(", "),
        at(duplicate.first),
    )
}

/// The file's content; of one that is too long only so much that this is seen.
fn read(file: &Path, is_stdin: bool) -> io::Result<Vec<u8>> {
    let limit = MAX_RULE_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if is_stdin {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
