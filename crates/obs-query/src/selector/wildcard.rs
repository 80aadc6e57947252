//! Text with wildcards: so many characters of any kind, or at least so many.

/// A part of a text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// So many characters of any kind.
    Any(usize),
}

/// Text with wildcards, which matches a value as a whole: stretches with any number of characters between them.
///
/// Without any piece it matches the empty value only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wildcard {
    first: Vec<Piece>,
    /// What comes after each place that takes any number of characters.
    others: Vec<Vec<Piece>>,
}

impl Wildcard {
    pub(super) fn text(text: &str) -> Self {
        Self { first: vec![Piece::Text(text.into())], others: Vec::new() }
    }

    /// So many characters of any kind, and more of them unless it is `exact`.
    pub(super) fn any(count: usize, exact: bool) -> Self {
        let first = if count == 0 { Vec::new() } else { vec![Piece::Any(count)] };
        Self { first, others: if exact { Vec::new() } else { vec![Vec::new()] } }
    }

    /// What matches a value whose beginning this matches and whose rest the other one does.
    pub(super) fn followed_by(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        let last = joined.others.last_mut().unwrap_or(&mut joined.first);
        other.first.iter().for_each(|piece| push(last, piece));
        joined.others.extend(other.others.iter().cloned());
        joined
    }

    /// The text in it, in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        let stretches = std::iter::once(&self.first).chain(&self.others);
        let texts = stretches.flatten().map(|piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Any(_) => 0,
        });
        texts.sum()
    }

    /// The one value that it matches, if it has no wildcard.
    pub(super) fn word(&self) -> Option<&str> {
        match (&*self.first, &*self.others) {
            ([], []) => Some(""),
            ([Piece::Text(text)], []) => Some(text),
            _ => None,
        }
    }

    /// How everything begins that it matches.
    pub(super) fn prefix(&self) -> &str {
        match &*self.first {
            [Piece::Text(text), ..] => text,
            _ => "",
        }
    }

    /// Whether it matches the whole value.
    pub(super) fn is_match(&self, value: &str) -> bool {
        let Some(mut rest) = after(&self.first, value) else { return false };
        let Some((last, middle)) = self.others.split_last() else { return rest.is_empty() };
        for stretch in middle {
            // Where a stretch stands first leaves the most room for those that follow.
            match earliest(stretch, rest) {
                Some(found) => rest = found,
                None => return false,
            }
        }
        before(last, rest).is_some()
    }
}

/// Adds a piece, joined with the one before it where both are of one kind.
fn push(pieces: &mut Vec<Piece>, piece: &Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(text)), Piece::Text(more)) => *text = [&**text, more].concat().into(),
        (Some(Piece::Any(count)), Piece::Any(more)) => *count += more,
        _ => pieces.push(piece.clone()),
    }
}

/// What is left of a value that begins with the stretch.
fn after<'v>(stretch: &[Piece], value: &'v str) -> Option<&'v str> {
    stretch.iter().try_fold(value, |rest, piece| match piece {
        Piece::Text(text) => rest.strip_prefix(&**text),
        Piece::Any(count) => {
            let mut characters = rest.chars();
            (0..*count).try_for_each(|_| characters.next().map(drop))?;
            Some(characters.as_str())
        }
    })
}

/// What is left of a value that ends with the stretch.
fn before<'v>(stretch: &[Piece], value: &'v str) -> Option<&'v str> {
    stretch.iter().rev().try_fold(value, |rest, piece| match piece {
        Piece::Text(text) => rest.strip_suffix(&**text),
        Piece::Any(count) => {
            let mut characters = rest.chars();
            (0..*count).try_for_each(|_| characters.next_back().map(drop))?;
            Some(characters.as_str())
        }
    })
}

/// What follows the first place of a value where the stretch stands.
fn earliest<'v>(stretch: &[Piece], value: &'v str) -> Option<&'v str> {
    let mut rest = value;
    loop {
        if let Some(Piece::Text(text)) = stretch.first() {
            rest = &rest[rest.find(&**text)?..];
        }
        if let Some(found) = after(stretch, rest) {
            return Some(found);
        }
        let mut characters = rest.chars();
        characters.next()?;
        rest = characters.as_str();
    }
}
