//! The fields that a sink adds to each of its lines.

use obs_model::FieldValue;

use crate::line::write;

/// The end of a line that was cut.
const TRUNCATED: &[u8] = b",\"truncated\":true}";

/// Where the members of `metadata` begin. It stands nowhere else in a line, because a quote inside a text has a
/// backslash before it, and no value is an object of its own.
const METADATA: &[u8] = b",\"metadata\":{";

/// Rendered members, each with the key that it stands under.
#[derive(Debug, Default)]
pub(super) struct StaticFields(Vec<Member>);

#[derive(Debug)]
struct Member {
    /// `"key":`
    key: Vec<u8>,
    value: Vec<u8>,
}

impl StaticFields {
    pub(super) fn new(fields: &[(String, FieldValue)]) -> Self {
        let members = fields.iter().map(|(name, value)| {
            let mut key = Vec::new();
            write::push_string(&mut key, name, 0, usize::MAX);
            key.push(b':');
            let mut rendered = Vec::new();
            match value {
                FieldValue::Bool(value) => rendered.extend_from_slice(value.to_string().as_bytes()),
                FieldValue::I64(value) => rendered.extend_from_slice(value.to_string().as_bytes()),
                FieldValue::U64(value) => write::push_u64(&mut rendered, *value),
                FieldValue::F64(value) => write::push_f64(&mut rendered, *value),
                FieldValue::Text(text) => {
                    write::push_string(&mut rendered, text, 0, usize::MAX);
                }
            }
            Member { key, value: rendered }
        });
        Self(members.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes `line` with the fields that it does not have itself.
    pub(super) fn add_to(&self, line: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let end: &[u8] = if line.ends_with(TRUNCATED) { TRUNCATED } else { b"}" };
        // OK because a line is an object, which ends so.
        let body = &line[..line.len() - end.len()];
        let metadata = find(body, METADATA).map(|at| &body[at + METADATA.len() - 1..]);
        out.extend_from_slice(metadata.map_or(body, |_| &body[..body.len() - 1]));
        let mut separator: &[u8] = if metadata.is_some() { b"," } else { METADATA };
        for Member { key, value } in &self.0 {
            if metadata.is_some_and(|members| has_key(members, key)) {
                continue;
            }
            out.extend_from_slice(separator);
            out.extend_from_slice(key);
            out.extend_from_slice(value);
            separator = b",";
        }
        if separator == b"," {
            out.push(b'}');
        }
        out.extend_from_slice(end);
    }
}

/// Whether one of the members, of which each stands behind a brace or a comma, has this key.
fn has_key(members: &[u8], key: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = find(&members[from..], key).map(|at| at + from) {
        if at > 0 && matches!(members[at - 1], b'{' | b',') {
            return true;
        }
        from = at + 1;
    }
    false
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, fields: &[(&str, FieldValue)], expected: &str) {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut out = Vec::new();
        StaticFields::new(&fields).add_to(line.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn static_fields_stand_in_the_metadata_and_never_replace_a_lines_own() {
        let zone = [("zone", FieldValue::from("eu \"1\"")), ("rack", FieldValue::from(7_u64))];
        check(
            r#"{"message":"m"}"#,
            &zone,
            r#"{"message":"m","metadata":{"zone":"eu \"1\"","rack":7}}"#,
        );
        check(
            r#"{"message":"m","metadata":{"a":1,"zone":"x"},"truncated":true}"#,
            &zone,
            r#"{"message":"m","metadata":{"a":1,"zone":"x","rack":7},"truncated":true}"#,
        );
        check(
            r#"{"message":",\"metadata\":{\"zone\":","error":{"name":"E"}}"#,
            &zone[1..],
            r#"{"message":",\"metadata\":{\"zone\":","error":{"name":"E"},"metadata":{"rack":7}}"#,
        );
        check(r#"{"metadata":1}"#, &[], r#"{"metadata":1}"#);
        check(
            r#"{"message":"m","metadata":{"rack":1}}"#,
            &zone[1..],
            r#"{"message":"m","metadata":{"rack":1}}"#,
        );
    }
}
