//! Random queries over the series of the test.

use fastrand::Rng;

use crate::data::{BASE, INTERVAL};

/// What to ask, and how.
pub(crate) struct Query {
    pub(crate) path: &'static str,
    pub(crate) parameters: Vec<(&'static str, String)>,
}

/// Makes queries, the same ones for the same seed.
pub(crate) struct Generator {
    rng: Rng,
    /// Whether what is made now stands within a sub-query.
    in_subquery: bool,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), in_subquery: false }
    }

    /// A query at one time, or every third time at several.
    pub(crate) fn query(&mut self) -> Query {
        let depth = self.rng.u8(1..=3);
        let expr = self.vector(depth);
        let at = BASE - 123 + 6_000_000 + self.rng.i64(0..400) * INTERVAL + 4_217;
        let seconds = |millis: i64| format!("{}.{:03}", millis / 1_000, millis % 1_000);
        if self.rng.u8(0..3) > 0 {
            return Query {
                path: "query",
                parameters: vec![("query", expr), ("time", seconds(at))],
            };
        }
        let step = [60_000, 30_000, 15_000, 97_000][self.rng.usize(0..4)];
        let end = at + step * self.rng.i64(0..12);
        let parameters = vec![
            ("query", expr),
            ("start", seconds(at)),
            ("end", seconds(end)),
            ("step", (step / 1_000).to_string()),
        ];
        Query { path: "query_range", parameters }
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.rng.usize(0..choices.len())]
    }

    fn chance(&mut self, one_in: u8) -> bool {
        self.rng.u8(0..one_in) == 0
    }

    fn selector(&mut self) -> String {
        let name = self.one_of(&[
            "requests_total",
            "requests_total",
            "temperature",
            "temperature",
            "flag",
            "job_info",
            "odd",
            "seconds_count",
        ]);
        self.matched(name)
    }

    /// A selector of series that are numbers throughout.
    fn plain_selector(&mut self) -> String {
        let name = self.one_of(&["requests_total", "temperature", "flag", "seconds_count"]);
        self.matched(name)
    }

    fn matched(&mut self, name: &str) -> String {
        let matchers = self.one_of(&[
            "",
            "",
            "",
            "{job=\"api\"}",
            "{instance=~\"0|1\"}",
            "{job!=\"db\"}",
            "{instance=\"1\"}",
            "{code!~\"5..\"}",
            "{nope=\"\"}",
        ]);
        format!("{name}{matchers}")
    }

    fn modifiers(&mut self) -> String {
        match self.rng.u8(0..14) {
            0 => String::from(" offset 7m3s"),
            1 => String::from(" offset -4m1s"),
            2 => format!(" @ {}.456", BASE / 1_000 + 7_000),
            3 => String::from(" @ end()"),
            4 => String::from(" @ start() offset 1m1s"),
            _ => String::new(),
        }
    }

    fn window(&mut self) -> &'static str {
        self.one_of(&["1m", "5m", "3m7s", "47s", "20m", "1h"])
    }

    fn range(&mut self, depth: u8) -> String {
        if depth > 0 && !self.in_subquery && self.chance(4) {
            self.in_subquery = true;
            let inner = self.vector(depth - 1);
            self.in_subquery = false;
            let (window, step) =
                (self.one_of(&["5m", "11m", "23m"]), self.one_of(&["1m", "", "37s"]));
            return format!("({inner})[{window}:{step}]{}", self.modifiers());
        }
        format!("{}[{}]{}", self.selector(), self.window(), self.modifiers())
    }

    fn scalar(&mut self, depth: u8) -> String {
        match self.rng.u8(0..7) {
            0 if depth > 0 => format!("scalar({})", self.vector(depth - 1)),
            0 | 1 => String::from("time()"),
            2 => String::from("0"),
            3 => String::from("-1.5"),
            4 => String::from("2"),
            5 => String::from("pi()"),
            _ => String::from("1e3"),
        }
    }

    fn grouping(&mut self) -> &'static str {
        self.one_of(&[
            "",
            " by (job)",
            " by (instance)",
            " without (instance)",
            " by (job, code)",
            " without (job, code)",
            " by ()",
        ])
    }

    fn vector(&mut self, depth: u8) -> String {
        if depth == 0 {
            return format!("{}{}", self.selector(), self.modifiers());
        }
        match self.rng.u8(0..16) {
            0..=2 => self.over_time(depth),
            3..=5 => self.aggregation(depth),
            6 | 7 => self.vector_operation(depth),
            8 => self.set_operation(depth),
            9 => self.scalar_operation(depth),
            10 => self.function(depth),
            11 => self.clamped(depth),
            12 => self.quantile(),
            13 => self.deviation(),
            _ => self.labelled(depth),
        }
    }

    /// A function of a range.
    fn over_time(&mut self, depth: u8) -> String {
        match self.rng.u8(0..6) {
            0 => {
                let (selector, window) = (self.selector(), self.window());
                format!("predict_linear({selector}[{window}], {})", self.scalar(0))
            }
            1 => {
                let quantile = self.one_of(&["0.5", "0.99", "0", "1", "-1", "2"]);
                format!("quantile_over_time({quantile}, {})", self.range(depth))
            }
            _ => {
                let function = self.one_of(&[
                    "rate",
                    "increase",
                    "delta",
                    "irate",
                    "idelta",
                    "deriv",
                    "changes",
                    "resets",
                    "sum_over_time",
                    "min_over_time",
                    "max_over_time",
                    "count_over_time",
                    "last_over_time",
                    "present_over_time",
                    "absent_over_time",
                ]);
                format!("{function}({})", self.range(depth))
            }
        }
    }

    /// What is only asked for of series that are numbers throughout.
    fn deviation(&mut self) -> String {
        if self.chance(2) {
            let function = self.one_of(&["avg_over_time", "stddev_over_time", "stdvar_over_time"]);
            let range = format!("{}[{}]{}", self.plain_selector(), self.window(), self.modifiers());
            return format!("{function}({range})");
        }
        let function = self.one_of(&["avg", "stddev", "stdvar"]);
        format!("{function}{} ({}{})", self.grouping(), self.plain_selector(), self.modifiers())
    }

    fn aggregation(&mut self, depth: u8) -> String {
        if self.chance(4) {
            let function = self.one_of(&["topk", "bottomk"]);
            let count = self.one_of(&["1", "3", "100", "0"]);
            let (vector, modifiers) = (self.matched("temperature"), self.modifiers());
            return format!("{function}{} ({count}, {vector}{modifiers})", self.grouping());
        }
        let (parameter, function) = match self.rng.u8(0..3) {
            0 if self.chance(2) => (self.one_of(&["0.3, ", "0.9, "]), "quantile"),
            _ => ("", self.one_of(&["sum", "min", "max", "count", "group"])),
        };
        format!("{function}{} ({parameter}{})", self.grouping(), self.vector(depth - 1))
    }

    fn vector_operation(&mut self, depth: u8) -> String {
        let op = self.one_of(&[
            "+", "-", "*", "/", "^", "==", "!=", "<", ">", "<=", ">=", "> bool", "== bool",
        ]);
        let matching = self.one_of(&[
            "",
            "",
            " on (job)",
            " on (job, instance)",
            " ignoring (code)",
            " ignoring (code, zone)",
            " on (job) group_left ()",
            " on (job) group_left (version)",
            " on (job, instance) group_right (code)",
            " ignoring (code, zone) group_left ()",
            " on (job, instance) group_left (zone)",
        ]);
        format!("({}) {op}{matching} ({})", self.vector(depth - 1), self.vector(depth - 1))
    }

    fn set_operation(&mut self, depth: u8) -> String {
        let op = self.one_of(&["and", "or", "unless"]);
        let matching = self.one_of(&["", " on (job)", " ignoring (code)", " on (instance, job)"]);
        format!("({}) {op}{matching} ({})", self.vector(depth - 1), self.vector(depth - 1))
    }

    fn scalar_operation(&mut self, depth: u8) -> String {
        let op = self.one_of(&["+", "*", "/", "^", ">", "<=", "!= bool", "-"]);
        let (vector, scalar) = (self.vector(depth - 1), self.scalar(depth - 1));
        if self.chance(2) {
            format!("({vector}) {op} {scalar}")
        } else {
            format!("{scalar} {op} ({vector})")
        }
    }

    fn function(&mut self, depth: u8) -> String {
        if self.chance(8) {
            return format!("{} % {}", self.plain_selector(), self.scalar(0));
        }
        if self.chance(5) {
            let function = self.one_of(&["minute", "hour", "day_of_week"]);
            return format!("{function}({}{})", self.plain_selector(), self.modifiers());
        }
        let function = self.one_of(&[
            "abs",
            "absent",
            "asinh",
            "atan",
            "ceil",
            "deg",
            "exp",
            "floor",
            "ln",
            "log10",
            "log2",
            "round",
            "sgn",
            "sin",
            "sort",
            "sqrt",
            "tanh",
            "timestamp",
            "-",
        ]);
        format!("{function}({})", self.vector(depth - 1))
    }

    fn clamped(&mut self, depth: u8) -> String {
        let (vector, scalar) = (self.vector(depth - 1), self.scalar(0));
        match self.rng.u8(0..3) {
            0 => format!("clamp_max({vector}, {scalar})"),
            1 => format!("clamp({vector}, -3, {scalar})"),
            _ => format!("round({vector}, {scalar})"),
        }
    }

    fn quantile(&mut self) -> String {
        let quantile = self.one_of(&["0.5", "0.9", "0.99", "1.5", "0"]);
        let grouping = self.one_of(&["by (le)", "by (le, job)", "without (instance)"]);
        let window = self.window();
        format!("histogram_quantile({quantile}, sum {grouping} (rate(seconds_bucket[{window}])))")
    }

    fn labelled(&mut self, depth: u8) -> String {
        let vector = self.vector(depth - 1);
        match self.rng.u8(0..4) {
            0 => format!("label_replace({vector}, \"x\", \"$1-y\", \"instance\", \"(.).*\")"),
            1 => format!("label_join({vector}, \"y\", \"-\", \"job\", \"code\")"),
            2 => format!("count_values(\"v\", {}{})", self.plain_selector(), self.modifiers()),
            _ => format!("vector({})", self.scalar(depth - 1)),
        }
    }
}
