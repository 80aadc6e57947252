//! What is accepted, what is refused and with which message, and that what is written reads back.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// What the extraction of the upstream cases cut off in the middle: there they are joined from two strings.
const CUT_OFF: [&str; 2] = ["{'foo\\'bar', ", "`"];

fn accepted(text: &str) -> Expr {
    parse(text, ParseOptions::all()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    match parse(text, ParseOptions::all()) {
        Ok(expr) => panic!("{text} was accepted: {expr}"),
        Err(error) => error.to_string(),
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped has to say so")]
fn prometheus_parser_tests_are_accepted_or_refused_as_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/promql-parse/v3.5.5.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in &cases {
        let (expr, valid) = (case["expr"].as_str().unwrap(), case["valid"].as_bool().unwrap());
        if CUT_OFF.contains(&expr) {
            continue;
        }
        checked += 1;
        let outcome = parse_bytes(&as_bytes(expr), ParseOptions::all());
        if outcome.is_ok() != valid {
            wrong.push(format!("{expr}: expected valid = {valid}, got {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}: {wrong:#?}", wrong.len());
    assert_eq!(checked, 312);
}

/// The bytes of an upstream case, in which `ÿ` stands for the byte 0xFF.
fn as_bytes(expr: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for character in expr.chars() {
        match character {
            'ÿ' => bytes.push(0xff),
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    bytes
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (text, expected) in [
        ("1 + 2 * 3 ^ 4 ^ 5", "(1 + (2 * (3 ^ (4 ^ 5))))"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a - b - c", "((a - b) - c)"),
        ("a == b + c > d", "((a == (b + c)) > d)"),
        ("-a ^ 2", "-(a ^ 2)"),
        ("-a * b", "(-a * b)"),
        ("2 ^ -a ^ b * c", "((2 ^ -(a ^ b)) * c)"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("a + b offset 5m", "(a + b offset 5m)"),
        ("a offset 5 + 2", "(a offset 5s + 2)"),
        ("a offset -2 ^ 2", "(a offset -2s ^ 2)"),
        ("a offset (2 + 3) * 2", "a offset (2s + 3s) * 2s"),
        ("-x[5m:] ", "-x[5m:]"),
    ] {
        // The tree is told by the parentheses that stand round every operator.
        assert_eq!(bracketed(&accepted_untyped(text)), expected, "{text}");
    }
}

fn accepted_untyped(text: &str) -> Expr {
    let tokens = lexer::tokens(text).unwrap();
    let mut parser = Parser { text, tokens, at: 0, options: ParseOptions::all(), depth: 0 };
    parser.whole().unwrap()
}

fn bracketed(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(binary) => format!(
            "({} {} {})",
            bracketed(&binary.left),
            binary.op.as_str(),
            bracketed(&binary.right)
        ),
        ExprKind::Unary(_, inner) => format!("-{}", bracketed(inner)),
        _ => expr.to_string(),
    }
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, expected) in [
        ("", "1:1: parse error: no expression found in input"),
        (
            "foo{\n  a=b}",
            "2:5: parse error: unexpected identifier \"b\" in label matching, expected string",
        ),
        (
            "sum(a) by b",
            "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\"",
        ),
        ("a +\n", "2:1: parse error: unexpected end of input, expected an expression"),
        ("foo(1)", "1:1: parse error: unknown function with name \"foo\""),
        (
            "rate(a)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        (
            "a and 1",
            "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "{a=\"\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        (
            "a[5m] + b[5m]",
            "1:1: parse error: binary expression must contain only scalar and instant vector types; 1:9: parse error",
        ),
        ("\"a\\q\"", "1:3: parse error: unknown escape"),
        ("a{b=~\"(\"}", "1:6: parse error: matcher b=~\"(\" is not valid"),
        ("a @ NaN", "timestamp out of bounds"),
        (
            "topk(a)",
            "wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn experimental_parts_have_to_be_enabled() {
    for text in ["limitk(1, a)", "mad_over_time(a[5m])", "a[5m + 1m]", "a offset (5m)"] {
        accepted(text);
        let error = parse(text, ParseOptions::default()).unwrap_err();
        assert!(error.is_parse() && error.to_string().contains("experimental"), "{text}: {error}");
    }
}

#[test]
fn keywords_can_be_names_where_prometheus_lets_them() {
    for text in [
        "sum",
        "by",
        "offset",
        "start + end",
        "and and and",
        "without",
        "sum by (sum, by, start) (count)",
        "a{sum='1', on='2', NaN='3'}",
        "min offset 5m",
        "SUM",
        "count[5m]",
    ] {
        accepted_untyped(text);
    }
    for text in [
        "bool",
        "on",
        "ignoring",
        "group_left",
        "atan2",
        "inf{}",
        "sum by (without) (a)",
        "sum by (inf) (a)",
    ] {
        refused(text);
    }
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let chain = |part: &str, count: usize| format!("{}1", part.repeat(count));
    for text in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        chain("1+", 10_000),
        chain("1^", 10_000),
        chain("-", 10_000),
        format!("{}a{}", "abs(".repeat(10_000), ")".repeat(10_000)),
        format!("a[{}1{}]", "(".repeat(10_000), ")".repeat(10_000)),
        format!("a[{}]", chain("1+", 10_000)),
        format!("a{}", "[1m:]".repeat(10_000)),
        format!("a offset {}1", "-".repeat(10_000)),
    ] {
        let message = refused(&text);
        assert!(message.contains("nested too deeply: at most 256"), "{message}");
    }
    let message = refused(&chain("1+", 500_000));
    assert!(message.contains("at most 262144 are accepted"), "{message}");
    accepted(&format!("{}1{}", "(".repeat(250), ")".repeat(250)));
    accepted(&chain("1+", 250));
}

#[test]
fn bytes_that_are_not_text_are_refused_with_their_place() {
    let error = parse_bytes(b"some_metric{a=\"\xff\"}", ParseOptions::all()).unwrap_err();
    assert_eq!(error.to_string(), "1:16: parse error: invalid UTF-8: expected text");
}

#[test]
fn what_the_extraction_cut_off_is_accepted_when_whole() {
    accepted("{'foo\\'bar', `a\\dos\\path`='boo\\\\urns'}");
    assert_eq!(accepted("`\\`").to_string(), "\"\\\\\"");
}

#[test]
fn an_expression_is_written_in_one_way_only() {
    for (text, expected) in [
        ("sum(a) by(b,'c d')", "sum by (b, \"c d\") (a)"),
        (
            "a{b='c',d=~`e`}[90s] offset 1h30m @ 5.5",
            "a{b=\"c\",d=~\"e\"}[1m30s] @ 5.500 offset 1h30m",
        ),
        ("{'my.metric', 'x.y'!='z'}", "{__name__=\"my.metric\",\"x.y\"!=\"z\"}"),
        ("a*on(b)group_left(c)d", "a * on (b) group_left (c) d"),
        ("a == bool 1e3", "a == bool 1000"),
        ("+inf", "+Inf"),
        ("1h", "1h"),
        ("topk(3,a)", "topk(3, a)"),
        ("a[1w1d:500ms]", "a[8d:500ms]"),
        ("sum without () (a)", "sum without () (a)"),
        ("label_replace(a,'\\xff',\"\",'','')", "label_replace(a, \"\\xff\", \"\", \"\", \"\")"),
    ] {
        let written = accepted(text).to_string();
        assert_eq!(written, expected);
        assert_eq!(accepted(&written).to_string(), expected);
    }
}

/// Texts of expressions as `Display` writes them.
fn vectors() -> impl Strategy<Value = String> {
    let value = "[ -~é]{0,5}".prop_map(|text| Text::from(text.as_str()).to_string());
    let matcher = ("[a-z_]{1,3}", prop_oneof![Just("="), Just("!=")], value)
        .prop_map(|(label, op, value)| format!("{label}{op}{value}"));
    let modifiers = (
        "",
        prop_oneof![
            Just(String::new()),
            (1..9_999_i64).prop_map(|ms| format!(" @ {}.{:03}", ms / 1_000, ms % 1_000)),
            Just(" @ end()".to_owned())
        ],
        prop_oneof![
            Just(String::new()),
            (1..60_u32).prop_map(|s| format!(" offset {s}s")),
            (1..60_u32).prop_map(|s| format!(" offset -{s}ms"))
        ],
    );
    ("m[a-z:]{0,4}", proptest::collection::vec(matcher, 0..3), modifiers).prop_map(
        |(name, matchers, (_, at, offset))| {
            let braces = if matchers.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", matchers.join(","))
            };
            format!("{name}{braces}{at}{offset}")
        },
    )
}

fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        vectors(),
        (0..100_u32).prop_map(|n| format!("vector({n})")),
        ("m[a-z]{0,3}", 1..50_u32).prop_map(|(name, s)| format!("rate({name}[{s}s])")),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let op = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("^"),
            Just("atan2"),
            Just("== bool"),
            Just("<"),
            Just("and"),
            Just("or on (a, b)"),
            Just("* ignoring (c) group_left (d)"),
        ];
        prop_oneof![
            (inner.clone(), op, inner.clone())
                .prop_map(|(left, op, right)| format!("({left}) {op} ({right})")),
            inner.clone().prop_map(|inner| format!("-({inner})")),
            inner.clone().prop_map(|inner| format!("sum by (a, \"b c\") ({inner})")),
            inner.clone().prop_map(|inner| format!("quantile without (x) (0.5, {inner})")),
            inner.clone().prop_map(|inner| format!("label_join({inner}, \"a\", \"-\", \"b\")")),
            inner.prop_map(|inner| format!("max_over_time(({inner})[5m:30s] offset 1m)")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_expression(text in expressions()) {
        let expr = accepted(&text);
        prop_assert_eq!(expr.to_string(), text.clone());
        prop_assert_eq!(accepted(&text), expr);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9(){}\\[\\]:@\"'`,.+*^ =~!<>#\\\\\n-]{0,60}") {
        let _ = parse(&text, ParseOptions::all());
    }

    #[test]
    fn whatever_is_accepted_is_written_so_that_it_reads_back(
        text in "(a|b|sum|by|\\(|\\)|\\[5m\\]|\\[1h:\\]| offset 5m| @ 1|\\+|-|\\^| or |1|1h|\\{x='y'\\}){1,10}"
    ) {
        if let Ok(expr) = parse(&text, ParseOptions::all()) {
            let written = expr.to_string();
            prop_assert_eq!(accepted(&written).to_string(), written);
        }
    }
}
