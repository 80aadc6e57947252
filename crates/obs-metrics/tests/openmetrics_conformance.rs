//! The strict OpenMetrics parser against the standard's own documents and against examples of each rule.

use std::fs;
use std::path::Path;

use obs_metrics::expose::parse::{
    FamilyType, Names, openmetrics, openmetrics_with, text, text_with,
};

#[test]
fn the_parser_agrees_with_the_documents_of_the_standard() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/openmetrics");
    let Ok(entries) = fs::read_dir(&folder) else {
        say_that_it_is_skipped(&folder);
        return;
    };
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let test = fs::read_to_string(path.join("test.json")).unwrap();
        let test: String = test.chars().filter(|character| !character.is_whitespace()).collect();
        let should_parse = test.contains("\"shouldParse\":true");
        assert!(should_parse || test.contains("\"shouldParse\":false"), "{}", path.display());
        let parsed = openmetrics(&fs::read(path.join("metrics")).unwrap());
        if parsed.is_ok() != should_parse {
            wrong.push(format!("{}: {:?}", path.display(), parsed.err()));
        }
        count += 1;
    }
    assert!(count > 0);
    assert_eq!(wrong, Vec::<String>::new(), "{} of {count} differ", wrong.len());
}

#[expect(clippy::print_stderr, reason = "a test says that it was skipped")]
fn say_that_it_is_skipped(folder: &Path) {
    eprintln!("skipped: there is no {}", folder.display());
}

/// Each document without its last line, `# EOF`, and where it is wrong: line and column, nothing when it is right.
#[test]
fn each_rule_of_openmetrics_is_kept() {
    for (document, expected) in [
        ("", None),
        ("a 1\n", None),
        ("a{} 1\n", None),
        ("a{b=\"\"} +Inf\n", None),
        ("a{b=\"\\\\ \\\" \\n \\t\"} 1 0042.5\n", None),
        ("a{b=\"1\",} 1\n", Some((1, 9))),
        ("a{,b=\"1\"} 1\n", Some((1, 3))),
        ("a{b=\"1\"c=\"2\"} 1\n", Some((1, 8))),
        ("a{b =\"1\"} 1\n", Some((1, 4))),
        ("a {b=\"1\"} 1\n", Some((1, 3))),
        ("a{__name__=\"b\"} 1\n", Some((1, 3))),
        ("a{b=\"\\\n\"} 1\n", Some((1, 7))),
        ("{\"a.b\"} 1\n", Some((1, 1))),
        ("a 1\r\n", Some((1, 1))),
        ("\n", Some((1, 1))),
        ("# a comment\n", Some((1, 3))),
        ("#EOF\n", Some((1, 2))),
        ("\u{feff}a 1\n", Some((1, 1))),
        ("# EOF \n", Some((1, 3))),
        // Metadata.
        ("# HELP a with \\\"quotes\\\"\n", None),
        ("# HELP a with \"quotes\"\n", Some((1, 15))),
        ("# HELP a ends in \\\n", Some((1, 19))),
        ("# TYPE a_s gauge\n# UNIT a_s s\n", None),
        ("# UNIT a_s m\n", Some((1, 1))),
        ("# UNIT as s\n", Some((1, 1))),
        ("# UNIT a_s s\n# TYPE a_s info\n", Some((2, 1))),
        ("# TYPE a Gauge\n", Some((1, 10))),
        ("# TYPE a gauge\n# TYPE b gauge\n# HELP a x\n", Some((3, 1))),
        // Names and their order.
        ("# TYPE a counter\na 1\n", Some((2, 1))),
        ("# TYPE a_total counter\na_total 1\n", Some((2, 1))),
        ("# TYPE a gauge\na_total 1\n", None),
        ("a 1\nb 1\na 2\n", Some((3, 1))),
        ("# TYPE a histogram\n# TYPE a_count gauge\n", Some((2, 1))),
        ("# TYPE a info\n# TYPE a_info gauge\n", Some((2, 1))),
        ("# TYPE a gauge\na{b=\"1\"} 1\na{b=\"2\"} 1\na{b=\"1\"} 1\n", Some((4, 1))),
        // Points.
        ("a 1\na 1\n", Some((2, 1))),
        ("a 1 5\na 1 5\n", None),
        ("a 1 5\na 1\n", Some((2, 1))),
        ("a 1\na 1 5\n", Some((2, 1))),
        ("a 1 6\na 1 5\n", Some((2, 1))),
        ("# TYPE a summary\na_count 0 1\na_sum 0 1\na_count 0 2\na_sum 0 2\n", None),
        ("# TYPE a summary\na_count 0 1\na_count 0 2\na_sum 0 1\na_sum 0 2\n", Some((4, 1))),
        // Values.
        ("# TYPE a counter\na_created 1\n", Some((2, 1))),
        ("# TYPE a counter\na_created 1\na_total 1\n", None),
        ("# TYPE a counter\na_total 1\na_created NaN\n", Some((3, 1))),
        ("# TYPE a counter\na_total NaN\n", Some((2, 1))),
        ("# TYPE a counter\na_total +Inf\n", None),
        ("# TYPE a info\na_info 1\n", None),
        ("# TYPE a info\na_info{b=\"1\"} 1\na_info{b=\"1\"} 1\n", Some((3, 1))),
        ("# TYPE a stateset\na{a=\"x\"} 1\na{a=\"y\"} 0\n", None),
        ("# TYPE a stateset\na{a=\"x\"} 1\na{a=\"x\"} 0\n", Some((3, 1))),
        ("# TYPE a summary\na{quantile=\"0.5\"} NaN\n", None),
        ("# TYPE a summary\na_count 1.5\n", Some((2, 1))),
        ("# TYPE a summary\na_sum{quantile=\"0.5\"} 1\n", Some((2, 1))),
        // Histograms.
        (
            "# TYPE a histogram\na_bucket{le=\"0\"} 1\na_bucket{le=\"1e9\"} 1.0\na_bucket{le=\"+Inf\"} 2\na_count 2\na_sum 3\na_created 4\n",
            None,
        ),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\n", None),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 2\n", Some((2, 1))),
        ("# TYPE a histogram\na_bucket{le=\"+inf\"} 2\n", Some((2, 1))),
        ("# TYPE a histogram\na_bucket{le=\"2\"} 2\na_bucket{le=\"1\"} 2\n", Some((3, 1))),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"1.0\"} 2\n", Some((3, 1))),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n", Some((3, 1))),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_count 3\na_sum 1\n", Some((4, 1))),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} +Inf\n", Some((2, 1))),
        ("# TYPE a histogram\na_sum{le=\"1\"} 2\n", Some((2, 1))),
        (
            "# TYPE a histogram\na_bucket{le=\"-1\"} 0\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 2\n",
            Some((5, 1)),
        ),
        // Exemplars.
        ("# TYPE a counter\na_total 1 # {} 1\n", None),
        ("# TYPE a counter\na_total 1 5 # {b=\"c\"} 1 6\n", None),
        ("# TYPE a counter\na_total 1 # {b=\"c\",b=\"d\"} 1\n", Some((2, 25))),
        ("# TYPE a counter\na_total 1 # {} 1 6 7\n", Some((2, 19))),
        ("# TYPE a counter\na_total 1 # {}\n", Some((2, 15))),
        ("# TYPE a counter\na_total 1 # x\n", Some((2, 10))),
        ("a 1 # {} 1\n", Some((1, 1))),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1 # {} NaN\n", None),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 1 # {} 2\na_bucket{le=\"+Inf\"} 1\n",
            Some((2, 1)),
        ),
    ] {
        let parsed = openmetrics(format!("{document}# EOF\n").as_bytes());
        let found = parsed.err().map(|error| (error.line(), error.column()));
        assert_eq!(found, expected, "{document}");
    }
}

#[test]
fn a_document_ends_in_eof_and_nothing_else() {
    for (document, line) in
        [("", 1), ("a 1\n", 2), ("a 1", 1), ("# EOF\n\n", 2), ("# EOF\na 1\n", 2), ("a 1\n# EO", 2)]
    {
        let error = openmetrics(document.as_bytes()).unwrap_err();
        assert_eq!(error.line(), line, "{document:?}: {error}");
    }
    assert!(openmetrics(b"# EOF").is_ok());
    let error = openmetrics(b"a 1\nb{c=\"\xff\"} 1\n# EOF\n").unwrap_err();
    assert_eq!((error.line(), error.column()), (2, 6));
}

#[test]
fn quoted_names_are_read_when_they_are_asked_for() {
    let document = b"# TYPE \"my.jobs\" counter\n{\"my.jobs_total\",\"a \\\"b\\\"\"=\"x\",c=\"y\"} 1\nplain{\"d.e\"=\"z\"} 2\n# EOF\n";
    assert_eq!(openmetrics(document).unwrap_err().line(), 1);
    let families = openmetrics_with(document, Names::Utf8).unwrap();
    assert_eq!((families[0].name.as_str(), families[0].kind), ("my.jobs", FamilyType::Counter));
    assert_eq!(families[0].samples[0].label("a \"b\""), Some("x"));
    assert_eq!(families[1].samples[0].label("d.e"), Some("z"));
    for document in
        ["{} 1\n", "{a=\"b\"} 1\n", "{\"\"} 1\n", "{\"a\" 1\n", "{\"a\",} 1\n", "{\"a\",\"b\"} 1\n"]
    {
        let document = format!("{document}# EOF\n");
        assert!(openmetrics_with(document.as_bytes(), Names::Utf8).is_err(), "{document}");
    }
}

/// Documents of the text format and where they are wrong.
#[test]
fn each_rule_of_the_text_format_is_kept() {
    for (document, expected) in [
        ("", None),
        ("\n \n# a comment\n#\n#EOF\n# HELPS a b\n", None),
        ("a 1\n", None),
        ("a 1", Some((1, 1))),
        ("  a \t { b = \"1\" , c=\"2\" , } \t 1  -5 \n", None),
        ("a{}1\n", None),
        ("a{b=\"\\t\"} 1\n", Some((1, 7))),
        ("a{b=\"1\" c=\"2\"} 1\n", Some((1, 9))),
        ("a{b=\"1\",b=\"2\"} 1\n", Some((1, 14))),
        ("a 1 1.5\n", Some((1, 5))),
        ("a 1 1 1\n", Some((1, 7))),
        ("a\n", Some((1, 2))),
        ("a.b 1\n", Some((1, 2))),
        ("# HELP a x \\\\ \\n \"y\"\n", None),
        ("# HELP a \\x\n", Some((1, 10))),
        ("# HELP a\na 1\n", None),
        ("#  TYPE\ta  counter \na 1\n", None),
        ("# TYPE a unknown\n", Some((1, 10))),
        ("# TYPE a counter\n# TYPE a counter\n", Some((2, 1))),
        ("a 1\n# TYPE a counter\n", Some((2, 1))),
        ("a 1\nb 1\na{c=\"1\"} 2\n", Some((3, 1))),
        ("a 1\na 2\n", Some((2, 1))),
        ("# TYPE a counter\na -1\n", None),
        (
            "# TYPE a histogram\na_bucket{b=\"1\",le=\"1\"} 1\na_bucket{b=\"2\",le=\"1\"} 1\na_bucket{b=\"1\",le=\"+Inf\"} 2\na_bucket{b=\"2\",le=\"+Inf\"} 2\na_sum{b=\"1\"} 1\na_count{b=\"1\"} 2\na_sum{b=\"2\"} 1\na_count{b=\"2\"} 2\n",
            None,
        ),
        ("# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 3\n", Some((4, 1))),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 2\na_sum 1\na_count 2\n", Some((4, 1))),
        ("# TYPE a histogram\na_bucket 2\n", Some((2, 1))),
        (
            "# TYPE a summary\na{quantile=\"0.5\"} 1\na{quantile=\"0.9\"} 2\na_sum 1\na_count 2\n",
            None,
        ),
        ("# TYPE a summary\na{quantile=\"0.9\"} 1\na{quantile=\"0.5\"} 2\n", Some((3, 1))),
    ] {
        let found = text(document.as_bytes()).err().map(|error| (error.line(), error.column()));
        assert_eq!(found, expected, "{document}");
    }
    let families = text_with(b"{\"my.jobs\",\"a.b\"=\"c\",} 1 1500\n", Names::Utf8).unwrap();
    assert_eq!(families[0].name, "my.jobs");
    assert_eq!(families[0].samples[0].timestamp, Some(1.5));
}
