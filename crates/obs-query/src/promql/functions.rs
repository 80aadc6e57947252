//! The functions of PromQL and what they take and give.

use super::ast::ValueType;

use ValueType::{InstantVector as Vector, RangeVector as Matrix, Scalar, String as Str};

/// What a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments, in order; the last one's also that of any further ones.
    pub arguments: &'static [ValueType],
    /// How many arguments it can do with at least.
    pub least: usize,
    /// How many arguments it takes at most; any number if that is not said.
    pub most: Option<usize>,
    /// What its value is.
    pub returns: ValueType,
    /// Whether it has to be enabled.
    pub experimental: bool,
}

macro_rules! functions {
    ($($variant:ident $name:literal ($($argument:ident),*) [$least:expr, $most:expr] $returns:ident $experimental:literal;)*) => {
        /// A function of PromQL, as Prometheus 3.5 has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`")] $variant),*
        }

        impl Function {
            /// Every function, in order of name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it takes and gives.
            #[must_use]
            pub const fn signature(self) -> &'static Signature {
                match self {
                    $(Self::$variant => &Signature {
                        name: $name,
                        arguments: &[$($argument),*],
                        least: $least,
                        most: $most,
                        returns: $returns,
                        experimental: $experimental,
                    }),*
                }
            }

            /// The function of this name, which is about case.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

functions! {
    Abs "abs" (Vector) [1, Some(1)] Vector false;
    Absent "absent" (Vector) [1, Some(1)] Vector false;
    AbsentOverTime "absent_over_time" (Matrix) [1, Some(1)] Vector false;
    Acos "acos" (Vector) [1, Some(1)] Vector false;
    Acosh "acosh" (Vector) [1, Some(1)] Vector false;
    Asin "asin" (Vector) [1, Some(1)] Vector false;
    Asinh "asinh" (Vector) [1, Some(1)] Vector false;
    Atan "atan" (Vector) [1, Some(1)] Vector false;
    Atanh "atanh" (Vector) [1, Some(1)] Vector false;
    AvgOverTime "avg_over_time" (Matrix) [1, Some(1)] Vector false;
    Ceil "ceil" (Vector) [1, Some(1)] Vector false;
    Changes "changes" (Matrix) [1, Some(1)] Vector false;
    Clamp "clamp" (Vector, Scalar, Scalar) [3, Some(3)] Vector false;
    ClampMax "clamp_max" (Vector, Scalar) [2, Some(2)] Vector false;
    ClampMin "clamp_min" (Vector, Scalar) [2, Some(2)] Vector false;
    Cos "cos" (Vector) [1, Some(1)] Vector false;
    Cosh "cosh" (Vector) [1, Some(1)] Vector false;
    CountOverTime "count_over_time" (Matrix) [1, Some(1)] Vector false;
    DayOfMonth "day_of_month" (Vector) [0, Some(1)] Vector false;
    DayOfWeek "day_of_week" (Vector) [0, Some(1)] Vector false;
    DayOfYear "day_of_year" (Vector) [0, Some(1)] Vector false;
    DaysInMonth "days_in_month" (Vector) [0, Some(1)] Vector false;
    Deg "deg" (Vector) [1, Some(1)] Vector false;
    Delta "delta" (Matrix) [1, Some(1)] Vector false;
    Deriv "deriv" (Matrix) [1, Some(1)] Vector false;
    DoubleExponentialSmoothing "double_exponential_smoothing" (Matrix, Scalar, Scalar) [3, Some(3)] Vector true;
    Exp "exp" (Vector) [1, Some(1)] Vector false;
    Floor "floor" (Vector) [1, Some(1)] Vector false;
    HistogramAvg "histogram_avg" (Vector) [1, Some(1)] Vector false;
    HistogramCount "histogram_count" (Vector) [1, Some(1)] Vector false;
    HistogramFraction "histogram_fraction" (Scalar, Scalar, Vector) [3, Some(3)] Vector false;
    HistogramQuantile "histogram_quantile" (Scalar, Vector) [2, Some(2)] Vector false;
    HistogramStddev "histogram_stddev" (Vector) [1, Some(1)] Vector false;
    HistogramStdvar "histogram_stdvar" (Vector) [1, Some(1)] Vector false;
    HistogramSum "histogram_sum" (Vector) [1, Some(1)] Vector false;
    Hour "hour" (Vector) [0, Some(1)] Vector false;
    Idelta "idelta" (Matrix) [1, Some(1)] Vector false;
    Increase "increase" (Matrix) [1, Some(1)] Vector false;
    Info "info" (Vector, Vector) [1, Some(2)] Vector true;
    Irate "irate" (Matrix) [1, Some(1)] Vector false;
    LabelJoin "label_join" (Vector, Str, Str, Str) [3, None] Vector false;
    LabelReplace "label_replace" (Vector, Str, Str, Str, Str) [5, Some(5)] Vector false;
    LastOverTime "last_over_time" (Matrix) [1, Some(1)] Vector false;
    Ln "ln" (Vector) [1, Some(1)] Vector false;
    Log10 "log10" (Vector) [1, Some(1)] Vector false;
    Log2 "log2" (Vector) [1, Some(1)] Vector false;
    MadOverTime "mad_over_time" (Matrix) [1, Some(1)] Vector true;
    MaxOverTime "max_over_time" (Matrix) [1, Some(1)] Vector false;
    MinOverTime "min_over_time" (Matrix) [1, Some(1)] Vector false;
    Minute "minute" (Vector) [0, Some(1)] Vector false;
    Month "month" (Vector) [0, Some(1)] Vector false;
    Pi "pi" () [0, Some(0)] Scalar false;
    PredictLinear "predict_linear" (Matrix, Scalar) [2, Some(2)] Vector false;
    PresentOverTime "present_over_time" (Matrix) [1, Some(1)] Vector false;
    QuantileOverTime "quantile_over_time" (Scalar, Matrix) [2, Some(2)] Vector false;
    Rad "rad" (Vector) [1, Some(1)] Vector false;
    Rate "rate" (Matrix) [1, Some(1)] Vector false;
    Resets "resets" (Matrix) [1, Some(1)] Vector false;
    Round "round" (Vector, Scalar) [1, Some(2)] Vector false;
    ScalarOf "scalar" (Vector) [1, Some(1)] Scalar false;
    Sgn "sgn" (Vector) [1, Some(1)] Vector false;
    Sin "sin" (Vector) [1, Some(1)] Vector false;
    Sinh "sinh" (Vector) [1, Some(1)] Vector false;
    Sort "sort" (Vector) [1, Some(1)] Vector false;
    SortByLabel "sort_by_label" (Vector, Str) [1, None] Vector true;
    SortByLabelDesc "sort_by_label_desc" (Vector, Str) [1, None] Vector true;
    SortDesc "sort_desc" (Vector) [1, Some(1)] Vector false;
    Sqrt "sqrt" (Vector) [1, Some(1)] Vector false;
    StddevOverTime "stddev_over_time" (Matrix) [1, Some(1)] Vector false;
    StdvarOverTime "stdvar_over_time" (Matrix) [1, Some(1)] Vector false;
    SumOverTime "sum_over_time" (Matrix) [1, Some(1)] Vector false;
    Tan "tan" (Vector) [1, Some(1)] Vector false;
    Tanh "tanh" (Vector) [1, Some(1)] Vector false;
    Time "time" () [0, Some(0)] Scalar false;
    Timestamp "timestamp" (Vector) [1, Some(1)] Vector false;
    TsOfLastOverTime "ts_of_last_over_time" (Matrix) [1, Some(1)] Vector true;
    TsOfMaxOverTime "ts_of_max_over_time" (Matrix) [1, Some(1)] Vector true;
    TsOfMinOverTime "ts_of_min_over_time" (Matrix) [1, Some(1)] Vector true;
    VectorOf "vector" (Scalar) [1, Some(1)] Vector false;
    Year "year" (Vector) [0, Some(1)] Vector false;
}

impl Function {
    /// Whether its value can differ between steps although its arguments do not.
    pub(crate) const fn depends_on_step(self) -> bool {
        matches!(
            self,
            Self::DaysInMonth
                | Self::DayOfMonth
                | Self::DayOfWeek
                | Self::DayOfYear
                | Self::Hour
                | Self::Minute
                | Self::Month
                | Self::Year
                | Self::PredictLinear
                | Self::Time
                | Self::Timestamp
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        for function in Function::ALL {
            assert_eq!(Function::by_name(function.signature().name), Some(*function));
        }
        assert_eq!(Function::by_name("Rate"), None);
        assert_eq!(Function::ALL.len(), 80);
    }

    #[test]
    fn names_are_in_order() {
        assert!(Function::ALL.is_sorted_by_key(|function| function.signature().name));
    }
}
