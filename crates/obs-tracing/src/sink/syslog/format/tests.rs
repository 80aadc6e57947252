//! Messages, read back by a strict reader of RFC 5424's grammar.

use obs_model::{Level, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::sink::LineHead;

/// A message as RFC 5424, 6 defines it.
#[derive(Debug, PartialEq)]
struct Read {
    priority: u8,
    header: [String; 5],
    elements: Vec<(String, Vec<(String, String)>)>,
    text: Option<String>,
}

/// Reads a message by the grammar, and nothing else.
fn read(message: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(message).map_err(|error| error.to_string())?;
    let rest = text.strip_prefix('<').ok_or("no PRI")?;
    let (priority, rest) = rest.split_once('>').ok_or("PRI without its end")?;
    let is_number = priority == "0" || (!priority.starts_with('0') && priority.len() <= 3);
    let priority: u8 = priority.parse().map_err(|_| "PRI is no number")?;
    if !is_number || priority > 191 {
        return Err(format!("PRI is {priority}"));
    }
    let mut rest = rest.strip_prefix("1 ").ok_or("no VERSION")?;
    let mut header = [const { String::new() }; 5];
    for (field, most) in header.iter_mut().zip([32, 255, 48, 128, 32]) {
        let (word, after) = rest.split_once(' ').ok_or("the header ends early")?;
        if word.is_empty() || word.len() > most || !word.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(format!("{word:?} is no field of a header"));
        }
        *field = word.to_owned();
        rest = after;
    }
    let (elements, rest) = read_elements(rest)?;
    let text = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(' ').ok_or("no space before MSG")?.to_owned()),
    };
    Ok(Read { priority, header, elements, text })
}

type Elements = Vec<(String, Vec<(String, String)>)>;

fn read_elements(text: &str) -> Result<(Elements, &str), String> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok((Vec::new(), rest));
    }
    let (mut elements, mut rest) = (Vec::new(), text);
    while let Some(inner) = rest.strip_prefix('[') {
        let (id, mut after) = read_name(inner)?;
        let mut parameters = Vec::new();
        while let Some(parameter) = after.strip_prefix(' ') {
            let (name, value) = read_name(parameter)?;
            let value = value.strip_prefix("=\"").ok_or("no value")?;
            let (value, next) = read_value(value)?;
            parameters.push((name, value));
            after = next;
        }
        rest = after.strip_prefix(']').ok_or("an element without its end")?;
        elements.push((id, parameters));
    }
    if elements.is_empty() { Err("no STRUCTURED-DATA".to_owned()) } else { Ok((elements, rest)) }
}

fn read_name(text: &str) -> Result<(String, &str), String> {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let end = text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len());
    if (1..=32).contains(&end) {
        Ok((text[..end].to_owned(), &text[end..]))
    } else {
        Err(format!("{:?} is no SD-NAME", &text[..end]))
    }
}

fn read_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            ']' => return Err("a bracket that is not escaped".to_owned()),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                other => return Err(format!("{other:?} need not be escaped")),
            },
            other => value.push(other),
        }
    }
    Err("a value without its end".to_owned())
}

fn rendered(
    json: &str,
    level: Level,
    max: usize,
    change: impl FnOnce(&mut SyslogConfig),
) -> Vec<u8> {
    let mut config = SyslogConfig::new("syslog://localhost");
    config.hostname = Some("mymachine.example.com".to_owned());
    change(&mut config);
    let head = LineHead {
        at: Timestamp::from_millis(1_065_910_455_003),
        level,
        target: "shop::pay",
        trace: None,
        span: None,
        sampled: false,
    };
    let line = Line::new(head, json.as_bytes());
    Formatter::new(&config, &Resource::new("shop"), max).render(&line)
}

#[test]
fn the_examples_of_the_rfc_are_what_we_would_write() {
    // RFC 5424, 6.5, with the process id in the place of its PROCID.
    let process = std::process::id();
    let as_example = |config: &mut SyslogConfig| {
        config.facility = Facility::Auth;
        config.app_name = Some("su".to_owned());
        config.message_id = Some("ID47".to_owned());
        config.byte_order_mark = true;
    };
    let first = rendered(
        r#"{"message":"'su root' failed for lonvick on /dev/pts/8"}"#,
        Level::Error,
        2_048,
        as_example,
    );
    let expected = format!(
        "<35>1 2003-10-11T22:14:15.003Z mymachine.example.com su {process} ID47 - \
         \u{feff}'su root' failed for lonvick on /dev/pts/8"
    );
    assert_eq!(String::from_utf8(first).unwrap(), expected);

    let third = rendered(
        r#"{"message":"An application event log entry...","metadata":{"eventID":"1011","eventSource":"Application","iut":3}}"#,
        Level::Info,
        2_048,
        |config| {
            config.facility = Facility::Local4;
            config.app_name = Some("evntslog".to_owned());
            config.message_id = Some("ID47".to_owned());
        },
    );
    let expected = format!(
        "<166>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog {process} ID47 \
         [obskit@32473 eventID=\"1011\" eventSource=\"Application\" iut=\"3\"] \
         An application event log entry..."
    );
    assert_eq!(String::from_utf8(third).unwrap(), expected);
}

#[test]
fn the_examples_of_the_rfc_are_read_as_it_says() {
    for example in [
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" \
         eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
    ] {
        read(example.as_bytes()).expect(example);
    }
    for wrong in [
        "<192>1 - - - - - -",
        "<034>1 - - - - - -",
        "<34>2 - - - - - -",
        "<34>1 - - - - -",
        "<34>1 - - - - - [a b=\"]\"]",
        "<34>1 - - - - - [a b=\"\\x\"]",
        "<34>1 - - - - - [a=b]",
        "<34>1 - - - - - -text",
    ] {
        read(wrong.as_bytes()).expect_err(wrong);
    }
}

#[test]
fn a_line_has_its_members_in_the_header_or_in_the_element() {
    let json = r#"{"timestamp":"2003-10-11T22:14:15.003Z","level":"WARN","message":"the card: \"x\"]\\","service":"pay ment","target":"shop::pay","traceId":"4bf9","userId":"u-17","error":{"name":"E","message":"no ]"},"metadata":{"a b=\"]":true,"cents":950,"zone":"eu-1\n"}}"#;
    let message = read(&rendered(json, Level::Warn, 2_048, |_| {})).unwrap();
    assert_eq!(message.priority, 8 + 4);
    let process = std::process::id().to_string();
    assert_eq!(
        message.header,
        ["2003-10-11T22:14:15.003Z", "mymachine.example.com", "pay_ment", &process, "shop::pay"]
    );
    let [(id, parameters)] = &message.elements[..] else { panic!("{message:?}") };
    assert_eq!(id, "obskit@32473");
    let mut parameters: Vec<_> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parameters.sort_unstable();
    assert_eq!(
        parameters,
        [
            ("a_b___", "true"),
            ("cents", "950"),
            ("error.message", "no ]"),
            ("error.name", "E"),
            ("target", "shop::pay"),
            ("traceId", "4bf9"),
            ("userId", "u-17"),
            ("zone", "eu-1\n"),
        ]
    );
    assert_eq!(message.text.unwrap(), "the card: \"x\"]\\");

    let whole = read(&rendered(json, Level::Trace, 2_048, |config| config.body = SyslogBody::Json));
    let whole = whole.unwrap();
    assert_eq!((whole.priority, whole.elements.len(), whole.text.as_deref()), (15, 0, Some(json)));
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let json = format!(
        r#"{{"message":"{}","metadata":{{"large":"{}","small":1}}}}"#,
        "é".repeat(1_000),
        "x".repeat(1_000)
    );
    let message = rendered(&json, Level::Info, 480, |_| {});
    assert!(message.len() <= 480);
    let message = read(&message).unwrap();
    let parameters = &message.elements[0].1;
    assert_eq!(parameters[0], ("small".to_owned(), "1".to_owned()));
    assert_eq!(parameters[1], ("truncated".to_owned(), "true".to_owned()));
    let text = message.text.unwrap();
    let (kept, mark) = text.split_once('…').unwrap();
    assert_eq!(mark, format!("[truncated {} bytes]", 2_000 - kept.len()));

    let nothing = read(&rendered(r#"{"message":""}"#, Level::Info, 480, |_| {})).unwrap();
    assert_eq!((nothing.elements.len(), nothing.text), (0, None));
}

#[test]
fn a_short_text_keeps_its_room_beside_parameters_that_fill_the_message() {
    for length in 440..500 {
        let json = format!(
            r#"{{"message":"short text","metadata":{{"large":"{}"}}}}"#,
            "x".repeat(length)
        );
        for mark in [false, true] {
            let bytes = rendered(&json, Level::Info, 600, |config| config.byte_order_mark = mark);
            assert!(
                bytes.len() <= 600 && bytes.ends_with(b"short text"),
                "{length}: {}",
                bytes.len()
            );
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_line_holds_the_message_keeps_to_the_grammar_and_to_its_length(
        text in any::<String>(),
        service in any::<String>(),
        hostname in any::<String>(),
        fields in proptest::collection::vec((any::<String>(), any::<String>()), 0..12),
        max in 480_usize..3_000,
    ) {
        let metadata: Map<String, Value> =
            fields.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let json = serde_json::json!({"message": text, "service": service, "metadata": metadata}).to_string();
        let bytes = rendered(&json, Level::Debug, max, |config| config.hostname = Some(hostname));
        prop_assert!(bytes.len() <= max, "{} of {max}", bytes.len());
        let message = read(&bytes).map_err(TestCaseError::fail)?;
        let parameters: Vec<_> = message.elements.iter().flat_map(|(_, parameters)| parameters).collect();
        if !parameters.iter().any(|(name, _)| name == "truncated") {
            let values: Vec<&String> = parameters.iter().map(|(_, value)| value).collect();
            let expected: Vec<&str> = metadata.values().filter_map(Value::as_str).collect();
            prop_assert_eq!(values, expected);
        }
        if let Some(read) = message.text.filter(|read| !read.contains("…[truncated ")) {
            prop_assert_eq!(read, text);
        }
    }
}
