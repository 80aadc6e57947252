//! The words of PromQL.

use std::fmt;

use super::span::Span;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name without a colon that is not a keyword.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    Keyword(Keyword),
    /// A number, `Inf` and `NaN` included.
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    /// `=`
    Equal,
    /// `==`
    Equals,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `=~`
    Match,
    /// `!~`
    NotMatch,
    End,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::MetricIdentifier => "metric identifier",
            Self::Keyword(_) => "keyword",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::String => "string",
            Self::LeftParen => "\"(\"",
            Self::RightParen => "\")\"",
            Self::LeftBrace => "\"{\"",
            Self::RightBrace => "\"}\"",
            Self::LeftBracket => "\"[\"",
            Self::RightBracket => "\"]\"",
            Self::Comma => "\",\"",
            Self::Colon => "\":\"",
            Self::At => "\"@\"",
            Self::Equal => "\"=\"",
            Self::End => "end of input",
            Self::Match => "\"=~\"",
            Self::NotMatch => "\"!~\"",
            _ => "operator",
        }
    }
}

/// Written as an error message names it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A word and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

macro_rules! keywords {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// A word with a meaning of its own, which in most places can be a name too.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Keyword {
            $($variant),*
        }

        impl Keyword {
            /// The keyword that `word` is, in whatever case.
            pub(super) fn of(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($text) { return Some(Self::$variant); })*
                None
            }
        }
    };
}

keywords! {
    And "and", Or "or", Unless "unless", Atan2 "atan2",
    Sum "sum", Avg "avg", Count "count", Min "min", Max "max", Group "group", Stddev "stddev",
    Stdvar "stdvar", Topk "topk", Bottomk "bottomk", CountValues "count_values", Quantile "quantile",
    Limitk "limitk", LimitRatio "limit_ratio",
    Offset "offset", By "by", Without "without", On "on", Ignoring "ignoring",
    GroupLeft "group_left", GroupRight "group_right", Bool "bool", Start "start", End "end",
}

impl Keyword {
    /// Whether it can be a metric's name without quotes.
    pub(super) const fn can_name_metric(self) -> bool {
        !matches!(
            self,
            Self::Atan2
                | Self::Bool
                | Self::On
                | Self::Ignoring
                | Self::GroupLeft
                | Self::GroupRight
        )
    }

    /// Whether it can be a label's name without quotes in a list of labels.
    pub(super) const fn can_name_label(self) -> bool {
        !matches!(self, Self::Without)
    }
}
