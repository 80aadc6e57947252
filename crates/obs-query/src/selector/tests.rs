//! Tests of selectors and matchers.

use proptest::prelude::*;

use super::*;
use crate::Problem;

fn parse(text: &str) -> Selector {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Reads `text` and checks that it is written as `expected` and reads back from that.
fn check(text: &str, expected: &str) {
    let selector = parse(text);
    assert_eq!(selector.to_string(), expected, "{text}");
    assert_eq!(parse(expected), selector, "{text}");
}

#[test]
fn selectors_are_read_and_written_in_one_way() {
    for (text, expected) in [
        ("up", "up"),
        ("up{}", "up"),
        (" up { } # comment", "up"),
        ("job:rate:sum", "job:rate:sum"),
        (r#"up{b="2",a="1",}"#, r#"up{a="1",b="2"}"#),
        (r#"up{a="1",a="1",a!="3"}"#, r#"up{a="1",a!="3"}"#),
        ("up\n{ # first\n a = 'x' , b=~`\\d+` }", r#"up{a="x",b=~"\\d+"}"#),
        (r#"{__name__="up"}"#, "up"),
        (r#"{a="b", __name__="up"}"#, r#"up{a="b"}"#),
        (r#"{__name__=~"up|down"}"#, r#"{__name__=~"up|down"}"#),
        (r#"{__name__="a",__name__="b"}"#, r#"{__name__="a",__name__="b"}"#),
        (r#"{"up"}"#, "up"),
        (r#"{"any name", "odd label"!~'x'}"#, r#"{"any name","odd label"!~"x"}"#),
        (r#"{"bool"}"#, r#"{"bool"}"#),
        ("sum{by='x', on=\"\"}", r#"sum{by="x",on=""}"#),
        (r#"x{a='\'"\\\n\x41\101é\U0001F600'}"#, "x{a=\"'\\\"\\\\\\nAAé😀\"}"),
        (r#"x{a="\u00e9\xc3\xa9\x01"}"#, r#"x{a="éé\u0001"}"#),
    ] {
        check(text, expected);
    }
}

#[test]
fn mistakes_are_reported_with_their_column_and_what_was_expected() {
    for (text, expected) in [
        ("", "column 1: expected a metric name or {, found the end"),
        ("5up", "column 1: expected a metric name or {, found '5'"),
        ("up down", "column 4: expected the end of the selector, found 'd'"),
        ("up[5m]", "column 3: expected the end of the selector, found '['"),
        ("up{", "column 4: expected a label name, found the end"),
        ("up{,}", "column 4: expected a label name, found ','"),
        ("up{a}", "column 5: expected one of = != =~ !~, found '}'"),
        ("up{a:b='c'}", "column 5: expected one of = != =~ !~, found ':'"),
        ("up{a=b}", "column 6: expected a string in quotes, found 'b'"),
        ("up{a==\"b\"}", "column 6: expected a string in quotes, found '='"),
        ("up{é=\"b\"}", "column 4: expected a label name, found 'é'"),
        ("up{x='é' b='c'}", "column 10: expected , or }, found 'b'"),
        ("up{'a' 'b'}", "column 8: expected one of = != =~ !~ , }, found '\\''"),
        ("up{a=\"b}", "column 6: the string is not closed: expected \""),
        ("up{a=\"b\n\"}", "column 6: the string is not closed"),
        (r#"up{a="b\'"}"#, r"column 8: unknown escape: expected one of \a"),
        (r#"up{a="\xff"}"#, "column 6: the string's escapes do not make valid UTF-8"),
        (r#"up{a="\ud800"}"#, "column 7: unknown escape"),
        (r#"up{a="\400"}"#, "column 7: unknown escape"),
        (r#"up{a="\x+1"}"#, "column 7: unknown escape"),
        ("on{a='b'}", "column 1: on is a reserved word"),
        ("up{'down'}", "column 4: the metric name is given twice"),
        ("up{__name__=~'x'}", "column 4: the metric name is given twice"),
        ("{}", "column 1: expected at least one matcher that does not match the empty string"),
        ("{a=''}", "expected at least one matcher"),
        ("{a=~'.*', b!='x', c!~'.+'}", "expected at least one matcher"),
        ("up{a=~'('}", "column 7: matcher a=~\"(\" is not valid: expected a regular expression"),
        ("up{a=~'x)(y'}", "column 7: "),
        ("up{a=~'(x{1000}){1000}'}", "too large: at most 1048576 bytes"),
    ] {
        let error = text.parse::<Selector>().expect_err(text);
        assert!(error.is_invalid_selector());
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn independent_mistakes_are_reported_at_once() {
    let error = r#"up{a=~"(",b="\q",'down',c="d",e!~"["}"#.parse::<Selector>().unwrap_err();
    let columns: Vec<_> = error.problems().iter().map(Problem::column).collect();
    assert_eq!(columns, [7, 14, 18, 34], "{error}");
}

#[test]
fn a_matcher_sees_the_whole_value_and_an_absent_label_as_empty() {
    let labels = Labels::new([("__name__", "up"), ("code", "204"), ("text", "a\nb")]).unwrap();
    for (text, expected) in [
        ("up", true),
        ("down", false),
        ("up{code='204'}", true),
        ("up{code='20'}", false),
        ("up{code!='204'}", false),
        ("up{code!='200'}", true),
        ("up{code=~'2..'}", true),
        ("up{code=~'20'}", false),
        ("up{code=~'04'}", false),
        ("up{code=~'1|204'}", true),
        ("up{code=~'2|204x'}", false),
        ("up{code!~'2..'}", false),
        ("up{code!~'5..'}", true),
        ("up{text=~'a.b'}", true),
        ("up{text=~'a'}", false),
        ("up{absent=''}", true),
        ("up{absent!=''}", false),
        ("up{absent!='x'}", true),
        ("up{absent=~'x?'}", true),
        ("up{absent=~'.+'}", false),
        ("up{absent!~'x'}", true),
        ("up{absent!~'x|'}", false),
        ("up{code=''}", false),
        ("{__name__!='down',code=~'.+'}", true),
        ("{'odd label'='',code='204'}", true),
    ] {
        assert_eq!(parse(text).matches(&labels), expected, "{text}");
    }
}

#[test]
fn regular_expressions_are_those_of_re2() {
    for (pattern, accepted, refused) in [
        (r"\d+", "42", "٤٢"),
        (r"\w", "a", "é"),
        (r"\s", "\t", "\u{a0}"),
        (r"\D", "٤", "4"),
        (r"[\d-]+", "4-2", "٤"),
        (r"[^\w]", "é", "a"),
        (r"[\W]", "é", "a"),
        (r".*\bx\b.*", "éx-", "ax"),
        (r".*\Bx", "ax", "-x"),
        (r"[[]", "[", "]"),
        (r"[a[b]", "[", "c"),
        (r"[]a]", "]", "b"),
        (r"[^]a]", "b", "]"),
        (r"[a&&b]", "&", "c"),
        (r"[a~~b]", "~", "c"),
        (r"[+--]", ",", "."),
        (r"[a-c-]", "-", "d"),
        (r"[[:alpha:]_]+", "a_b", "4"),
        (r"a{", "a{", "a"),
        (r"a{,2}", "a{,2}", "aa"),
        (r"a{2}", "aa", "a{2}"),
        (r"a{1,}", "aa", ""),
        (r"\<x\>", "<x>", "x"),
        (r"\Qa.b\E.", "a.bc", "axbc"),
        (r"\Q[", "[", ""),
        (r"(?i:PRO).*", "production", "canary"),
        (r".*((?i)TION)", "production", "x"),
        (r"a\.b", "a.b", "axb"),
        (r"é{2}", "éé", "é"),
        (r"\p{Greek}", "α", "a"),
        (r"[\p{Greek}1]", "α", "G"),
        (r"\x{41}", "A", "x"),
        (r"[\x{41}-\x{43}]", "B", "x"),
        (r"\pL", "é", "1"),
    ] {
        let matcher = Matcher::new("l", MatchOp::Regex, pattern).unwrap();
        assert!(matcher.matches(accepted), "{pattern} should accept {accepted:?}");
        assert!(!matcher.matches(refused), "{pattern} should refuse {refused:?}");
    }
}

#[test]
fn a_built_selector_equals_the_parsed_one() {
    let built =
        Selector::metric("up").not_equal("b", "x").equal("a", "1").regex("c", "y+").unwrap();
    assert_eq!(built, parse(r#"up{a="1",b!="x",c=~"y+"}"#));
    assert!(Selector::metric("up").regex("c", "(").unwrap_err().is_invalid_selector());
    assert!(Selector::new([]).unwrap_err().is_invalid_selector());
    assert!(Selector::new([Matcher::equal("a", "")]).is_err());
    assert_eq!(Selector::new([Matcher::equal("__name__", "up")]).unwrap(), parse("up"));
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let label = prop_oneof![Just("__name__".to_owned()), "[a-zA-Z_][a-zA-Z0-9_]{0,4}", ".{0,3}"];
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    (label, op, any::<String>()).prop_map(|(label, op, value)| {
        Matcher::new(&label, op, &value)
            .unwrap_or_else(|_| Matcher::new(&label, op, &regex::escape("x.y")).unwrap())
    })
}

proptest! {
    #[test]
    fn a_selector_reads_back_as_it_was_written(
        matchers in proptest::collection::vec(any_matcher(), 1..6),
    ) {
        if let Ok(selector) = Selector::new(matchers) {
            let text = selector.to_string();
            prop_assert_eq!(text.parse::<Selector>().map_err(|e| e.to_string()), Ok(selector));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_panicking(text in r#"[a{}"'`=~!,\\# \nxu0é]{0,24}"#) {
        if let Err(error) = text.parse::<Selector>() {
            let length = text.chars().count();
            prop_assert!(!error.problems().is_empty());
            prop_assert!(error.problems().iter().all(|p| (1..=length + 1).contains(&p.column())));
        }
    }

    #[test]
    fn any_pattern_compiles_or_is_refused_without_panicking(pattern in r"[\[\]\\^a\-dQE{}(),<>&é:1]{0,16}") {
        let _ = Matcher::new("l", MatchOp::Regex, &pattern).map(|matcher| matcher.matches("a-1"));
    }
}
