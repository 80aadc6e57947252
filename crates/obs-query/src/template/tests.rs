//! Tests of templates: what is refused, where, and what bounds them.

use obs_model::{Labels, Timestamp};
use proptest::prelude::*;

use super::*;

fn expand(text: &str) -> Result<String, Error> {
    Template::parse(text)?.expand(&Environment {
        labels: &Labels::new([("job", "api")]).unwrap(),
        external_labels: &Labels::empty(),
        external_url: "http://host:9090/pre/fix?q",
        value: &SampleValue::Float(1.0),
        at: Timestamp::from_millis(90_500),
        query: &|_, _| Ok(Vec::new()),
    })
}

#[test]
fn what_is_no_template_is_refused_with_its_place() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("a\n  {{ nope }}", "2:6: function \"nope\" not defined"),
        ("{{ $x }}", "1:4: undefined variable \"$x\""),
        ("{{ $x = 1 }}", "1:4: undefined variable \"$x\""),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "1:39: undefined variable \"$x\""),
        ("{{ define \"t\" }}{{ $value }}{{ end }}", "1:20: undefined variable \"$value\""),
        ("{{", "1:3: unclosed action: expected }}"),
        ("{{ \"a }}", "1:4: unterminated quoted string: expected \""),
        ("{{ `a }}", "1:4: unterminated raw quoted string: expected `"),
        ("{{/* a }}", "1:3: unclosed comment: expected */"),
        ("{{ (1 }}", "1:7: unclosed left paren: expected )"),
        ("{{ 1) }}", "1:5: unexpected right paren"),
        ("{{ }}", "1:4: missing value for command"),
        ("{{ if }}{{ end }}", "1:7: missing value for if"),
        ("{{ 1 | }}", "1:6: missing value for command"),
        ("{{ 1 | 2 }}", "1:8: non executable command in pipeline stage 2"),
        ("{{ 1 2 }}", "1:4: can't give argument to non-function 1"),
        ("{{ end }}", "1:4: unexpected {{end}}"),
        ("{{ else }}", "1:4: unexpected {{else}}"),
        ("{{ if true }}", "1:4: unexpected EOF: expected {{end}} for {{if}}"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "1:27: expected end; found {{else}}"),
        ("{{ break }}", "1:4: {{break}} outside {{range}}"),
        ("{{ if true }}{{ define \"a\" }}{{ end }}{{ end }}", "1:17: unexpected {{define}}"),
        ("{{ range $a, $b, $c := 1 }}{{ end }}", "1:14: too many declarations in range"),
        ("{{ 08x }}", "1:4: bad number syntax: \"08x\""),
        ("{{ 99999999999999999999 }}", "1:4: integer overflow: 99999999999999999999"),
        ("{{ \"a\"\"b\" }}", "1:7: unexpected \"\\\"b\\\"\" in operand"),
        ("{{ $job! }}", "1:8: bad character '!'"),
        ("{{ template }}", "1:13: unexpected \"}}\" in template clause"),
        ("{{ tmpl \"a\" . }}", "1:4: function \"tmpl\" not defined"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert!(error.is_invalid_template(), "{text}");
        if error.to_string() != expected {
            wrong.push(format!("{text}: expected {expected}, found {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_expanded_says_where() {
    for (text, expected) in [
        ("a {{ .Nope }}", "1:6: can't evaluate field Nope in type struct"),
        (
            "{{ toUpper 1 }}",
            "1:4: error calling toUpper: wrong type for value; expected string; got int",
        ),
        (
            "{{ first (query \"x\") }}",
            "1:4: error calling first: first() called on vector with no elements",
        ),
        ("{{ label \"a\" }}", "1:4: wrong number of args for label: want 2 got 1"),
        ("{{ template \"t\" }}", "1:4: template \"t\" not defined"),
        ("{{ slice \"abc\" 2 1 }}", "1:4: error calling slice: invalid slice index: 2 > 1"),
    ] {
        let error = expand(text).unwrap_err();
        assert!(error.is_expansion(), "{text}");
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn later_functions_of_prometheus_are_known() {
    assert_eq!(
        expand("{{ pathPrefix }} {{ externalURL }}").unwrap(),
        "/pre/fix http://host:9090/pre/fix?q"
    );
    assert_eq!(expand("{{ now }}").unwrap(), "90.5");
    assert_eq!(expand("{{ range 3 }}{{ . }}{{ end }}").unwrap(), "012");
    let chained = "{{ with \"\" }}a{{ else with \"b\" }}{{ . }}{{ end }}";
    assert_eq!(expand(chained).unwrap(), "b");
}

#[test]
fn the_work_and_the_text_of_a_template_are_bounded() {
    for (text, expected) in [
        ("{{ range 1000000000 }}{{ end }}", "takes too long"),
        ("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}", "too deeply"),
        ("{{ range 1000 }}{{ query \"x\" }}{{ end }}", "takes too long"),
        ("{{ range 1000 }}{{ printf \"%10000d\" 1 }}{{ end }}", "too long"),
        ("{{ $x := \"aaaaaaaa\" }}{{ range 1000 }}{{ $x = print $x $x }}{{ end }}", "too long"),
        ("{{ $x := args 1 }}{{ range 1000 }}{{ $x = args $x $x }}{{ end }}{{ $x }}", "too long"),
    ] {
        let error = expand(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let nested = format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200));
    assert!(Template::parse(&nested).unwrap_err().to_string().contains("nested too deeply"));
    let nested = "{{ if true }}".repeat(200) + &"{{ end }}".repeat(200);
    assert!(Template::parse(&nested).unwrap_err().to_string().contains("nested too deeply"));
    let nested = "{{ if true }}{{ else if true }}".to_owned() + &"{{ else if true }}".repeat(200);
    assert!(Template::parse(&nested).unwrap_err().to_string().contains("nested too deeply"));
    let long = "a".repeat(MAX_TEMPLATE_BYTES + 1);
    assert!(
        Template::parse(&long).unwrap_err().to_string().contains("at most 262144 are accepted")
    );
}

proptest! {
    #[test]
    fn no_text_makes_a_template_panic(
        text in "(\\{\\{|\\}\\}|\\{\\{- | -\\}\\}| |\\.|\\$|\\$x|:=|=|,|\\||\\(|\\)|if|else|end|range|with|define|template|block|break|/\\*|\\*/|\"a\"|`b`|'c'|1|-2.5e3|0x|true|nil|print|printf|\"%5.2f%d%s\"|query|first|humanize|index|slice|\\.Labels|\\.Value|é|\n){0,40}"
    ) {
        let _ = expand(&text);
    }

    #[test]
    fn text_without_actions_is_kept(text in "[^{]{0,40}") {
        prop_assert_eq!(expand(&text).unwrap(), text);
    }

    #[test]
    fn no_format_makes_printf_panic(format in "[%+# 0-9.*vdsqxXeEfFgGtTcUbo!é-]{0,12}", number in any::<f64>()) {
        let _ = format::printf(&format, &[Value::Float(number), Value::Integer(7), Value::text("é")]);
    }

    #[test]
    fn any_number_can_be_humanized(number in any::<f64>()) {
        for text in [humanize::decimal(number), humanize::binary(number), humanize::percentage(number), humanize::duration(number)] {
            prop_assert!(!text.is_empty() && text.len() < 40, "{}", text);
        }
    }
}
