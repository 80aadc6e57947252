//! The workflow of an analysis: plan, query, chart, answer.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::answer::Answer;
use crate::chart::{self, Chart, ChartKind};
use crate::database::{Database, Executed, Query};
use crate::error::AnalystError;
use crate::model::{HISTORY, Model};
use crate::questions::{Plan, Planner, Rules};
use crate::recent::Recent;
use crate::sessions::{Message, Sessions};
use crate::table::{Table, Value};
use crate::telemetry::{Telemetry, Who};

/// The most rows that an answer shows.
const MAX_ROWS_SHOWN: usize = 200;

/// The most bytes of values that an answer shows.
const MAX_BYTES_SHOWN: usize = 256 << 10;

const MAX_QUESTION_BYTES: usize = 1_000;
const MAX_ID_BYTES: usize = 64;

/// What a client asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A question, in words.
    pub question: Option<String>,
    /// Or a statement.
    pub sql: Option<String>,
    /// The kind of chart; `none` for no chart, `auto` or nothing for the one that suits a question.
    pub chart: Option<String>,
    /// Who asks.
    pub user_id: Option<String>,
    /// For which organization.
    pub organization_id: Option<String>,
    /// In which conversation.
    pub session_id: Option<String>,
}

/// An analysis.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Its name.
    pub id: String,
    /// The rule that read the question, or `sql`, or `model`.
    pub planner: &'static str,
    /// The question, if one was asked.
    pub question: Option<String>,
    /// The statement that was run, with its parameters filled in.
    pub sql: String,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The first rows.
    pub rows: Vec<Vec<Value>>,
    /// How many rows there are.
    pub row_count: usize,
    /// Whether `rows` leaves some out.
    pub rows_truncated: bool,
    /// The chart, if there is one.
    pub chart: Option<Chart>,
    /// What the rows show, in a sentence.
    pub answer: String,
    /// How long each step took.
    pub timings_ms: Timings,
}

/// How long each step of an analysis took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timings {
    /// Making the plan.
    pub plan: f64,
    /// Running the statement.
    pub query: f64,
    /// Drawing the chart, if there is one.
    pub chart: Option<f64>,
    /// Writing the sentence.
    pub answer: f64,
    /// Everything.
    pub total: f64,
}

/// Which chart a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Suitable,
    Nothing,
    Kind(ChartKind),
}

/// What is to be analysed.
enum Subject {
    Question(String),
    Statement(String),
}

impl Subject {
    fn text(&self) -> &str {
        let (Self::Question(text) | Self::Statement(text)) = self;
        text
    }
}

/// Makes analyses.
#[derive(Debug)]
pub struct Analyst {
    database: Database,
    rules: Rules,
    model: Option<Model>,
    sessions: Sessions,
    recent: Recent,
    telemetry: Telemetry,
}

impl Analyst {
    /// An analyst of that database, who asks the model, if there is one, how to answer questions, and else its rules.
    ///
    /// # Errors
    ///
    /// The names of the airports cannot be read from the database.
    pub async fn new(
        database: Database,
        model: Option<Model>,
        telemetry: Telemetry,
    ) -> Result<Self, AnalystError> {
        let rules = Rules::new(database.places().await?);
        let sessions = Sessions::new(telemetry.clone());
        Ok(Self { database, rules, model, sessions, recent: Recent::default(), telemetry })
    }

    /// The rules that read questions.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The answer that was given under that id, when it is still kept.
    #[must_use]
    pub fn recent(&self, id: &str) -> Option<Bytes> {
        self.recent.get(id)
    }

    /// Makes an analysis and gives its JSON.
    ///
    /// # Errors
    ///
    /// The request is not valid, or a step fails.
    pub async fn answer(&self, request: Request) -> Result<Bytes, AnalystError> {
        let (subject, wanted, who) = validated(request)?;
        let id = Uuid::new_v4().to_string();
        let work = self.analyse(&id, &subject, wanted, &who);
        let analysis = self.telemetry.workflow(&who, &id, subject.text(), work).await?;
        let body = serde_json::to_vec(&analysis);
        let body = Bytes::from(body.map_err(|_| AnalystError::Stopped { work: "serialization" })?);
        self.telemetry.answer_accumulated(body.len());
        self.recent.keep(&id, body.clone());
        Ok(body)
    }

    async fn analyse(
        &self,
        id: &str,
        subject: &Subject,
        wanted: Wanted,
        who: &Who,
    ) -> Result<Analysis, AnalystError> {
        let started = Instant::now();
        let history = self.sessions.resume(who, if self.model.is_some() { HISTORY } else { 0 });
        let plan = self.telemetry.step("plan", self.plan(subject, history)).await?;
        let planned = started.elapsed();
        let executed = self.telemetry.step("query", self.query(&plan, who)).await?;
        let queried = started.elapsed();
        let kind = match wanted {
            Wanted::Suitable => plan.chart.filter(|_| !executed.table.rows.is_empty()),
            Wanted::Nothing => None,
            Wanted::Kind(kind) => Some(kind),
        };
        let chart = match kind {
            Some(kind) => {
                Some(self.telemetry.step("chart", self.chart(kind, &plan, &executed, who)).await?)
            }
            None => None,
        };
        let drawn = started.elapsed();
        let say = async { Ok(plan.answer.say(&executed.table)) };
        let answer = self.telemetry.step("answer", say).await?;
        self.sessions.add(who, subject.text(), &answer);
        let elapsed = started.elapsed();
        let timings_ms = Timings {
            plan: milliseconds(planned),
            query: milliseconds(queried - planned),
            chart: chart.as_ref().map(|_| milliseconds(drawn - queried)),
            answer: milliseconds(elapsed - drawn),
            total: milliseconds(elapsed),
        };
        let row_count = executed.table.rows.len();
        self.telemetry.analysis_succeeded(who, plan.planner.name(), row_count, elapsed);
        let Executed { table: Table { columns, mut rows }, sql, .. } = executed;
        rows.truncate(shown(&rows));
        Ok(Analysis {
            id: id.to_owned(),
            planner: plan.planner.name(),
            question: match subject {
                Subject::Question(question) => Some(question.clone()),
                Subject::Statement(_) => None,
            },
            sql,
            columns,
            rows_truncated: rows.len() < row_count,
            rows,
            row_count,
            chart,
            answer,
            timings_ms,
        })
    }

    async fn plan(&self, subject: &Subject, history: Vec<Message>) -> Result<Plan, AnalystError> {
        match (subject, &self.model) {
            (Subject::Statement(sql), _) => Ok(Plan {
                sql: sql.clone(),
                parameters: Vec::new(),
                chart: None,
                title: "Rows of a statement".to_owned(),
                answer: Answer::Rows,
                planner: Planner::Caller,
            }),
            (Subject::Question(question), Some(model)) => model.plan(question, &history).await,
            (Subject::Question(question), None) => self.rules.plan(question),
        }
    }

    async fn query(&self, plan: &Plan, who: &Who) -> Result<Executed, AnalystError> {
        let query = match plan.planner {
            Planner::Rule(_) => Query::rule(plan.sql.clone(), plan.parameters.clone()),
            Planner::Caller | Planner::Model => Query::statement(plan.sql.clone()),
        };
        let executed = self.telemetry.tool("execute_sql", self.database.run(query)).await?;
        self.telemetry.statement_executed(who);
        Ok(executed)
    }

    async fn chart(
        &self,
        kind: ChartKind,
        plan: &Plan,
        executed: &Executed,
        who: &Who,
    ) -> Result<Chart, AnalystError> {
        let draw = async { chart::create(kind, &plan.title, &executed.table) };
        let chart = self.telemetry.tool("create_chart", draw).await?;
        self.telemetry.chart_created(who, kind.name());
        Ok(chart)
    }
}

/// Checks what a request asks for; every problem is named at once.
fn validated(request: Request) -> Result<(Subject, Wanted, Who), AnalystError> {
    let mut problems = Vec::new();
    let subject = match (request.question, request.sql) {
        (Some(question), None) if question.len() > MAX_QUESTION_BYTES => {
            problems.push(format!("\"question\" is longer than {MAX_QUESTION_BYTES} bytes"));
            None
        }
        (Some(question), None) => Some(Subject::Question(question)),
        (None, Some(sql)) => Some(Subject::Statement(sql)),
        _ => {
            problems.push("give either a \"question\" or \"sql\"".to_owned());
            None
        }
    };
    let wanted = match request.chart.as_deref() {
        None | Some("auto") => Wanted::Suitable,
        Some("none") => Wanted::Nothing,
        Some(name) => ChartKind::from_name(name).map_or_else(
            || {
                let kinds = ChartKind::ALL.map(ChartKind::name).join(", ");
                problems.push(format!("\"chart\" is {name:?}: give auto, none, {kinds}"));
                Wanted::Suitable
            },
            Wanted::Kind,
        ),
    };
    let who = Who {
        user: request.user_id,
        organization: request.organization_id,
        session: request.session_id,
    };
    for (name, id) in [
        ("user_id", &who.user),
        ("organization_id", &who.organization),
        ("session_id", &who.session),
    ] {
        if id.as_deref().is_some_and(|id| !is_id(id)) {
            problems.push(format!(
                "\"{name}\" is not 1 to {MAX_ID_BYTES} letters, digits and characters of ._@-"
            ));
        }
    }
    match subject {
        Some(subject) if problems.is_empty() => Ok((subject, wanted, who)),
        _ => Err(AnalystError::InvalidRequest(problems.join("; "))),
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte))
}

/// How many of the rows an answer shows.
fn shown(rows: &[Vec<Value>]) -> usize {
    let mut bytes = 0;
    rows.iter()
        .take(MAX_ROWS_SHOWN)
        .take_while(|row| {
            bytes += row.iter().map(Value::size_bytes).sum::<usize>();
            bytes <= MAX_BYTES_SHOWN
        })
        .count()
}

/// In milliseconds, to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
