//! A language model that plans the statement, asked by the OpenAI protocol for chat completions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::chart::ChartKind;
use crate::error::AnalystError;
use crate::questions::{Plan, Planner};
use crate::sessions::{Message, Speaker};
use crate::telemetry::Telemetry;

/// How long the model may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How many messages of the conversation the model is shown.
pub const HISTORY: usize = 10;

const INSTRUCTIONS: &str = "You answer questions about US domestic flights from January to March 2001, airports, and wildlife \
strikes from 1990 to 2002 by writing one SQLite SELECT statement over these tables:
airports(iata, name, city, state, country, latitude, longitude) -- state is a postal code
flights(id, departed_at, day, month, hour, weekday, delay, distance, origin, destination) -- delay in minutes, distance in \
miles, weekday 0 is Sunday, origin and destination are airports.iata
birdstrikes(id, date, year, month, airport, state, aircraft, operator, damage, phase, size, species, time_of_day, cost_other, \
cost_repair, cost_total, speed) -- state is a full name, costs in US dollars, speed in knots
Return at most 10000 rows. Put the column that names a row first and the number to draw second.
Answer with a JSON object and nothing else: {\"sql\": \"SELECT …\", \"chart\": \"bar\" | \"line\" | \"scatter\" | \"pie\" | \
\"histogram\" | \"none\", \"title\": \"…\"}";

/// Where a model is and what it is called.
#[derive(Clone)]
pub struct ModelConfig {
    /// The address before `/chat/completions`, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key, if the server wants one.
    pub api_key: Option<String>,
    /// The model's name.
    pub model: String,
}

impl std::fmt::Debug for ModelConfig {
    /// The key is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelConfig")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A language model that plans statements.
#[derive(Clone, Debug)]
pub struct Model {
    config: ModelConfig,
    url: String,
    client: reqwest::Client,
    telemetry: Telemetry,
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    temperature: f32,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice {
    message: Content,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Proposal {
    sql: String,
    chart: Option<String>,
    title: Option<String>,
}

impl Model {
    /// A model that is asked by `client`.
    #[must_use]
    pub fn new(config: ModelConfig, client: reqwest::Client, telemetry: Telemetry) -> Self {
        let url = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        Self { config, url, client, telemetry }
    }

    /// Asks the model for a statement that answers the question, after what was said before.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, refuses, or answers with something that holds no plan.
    pub async fn plan(&self, question: &str, history: &[Message]) -> Result<Plan, AnalystError> {
        let run = self.telemetry.model_request(&self.config.model);
        let completion = match self.ask(question, history).await {
            Ok(completion) => completion,
            Err(error) => {
                run.fail(error.error_type());
                return Err(error);
            }
        };
        let Usage { prompt_tokens, completion_tokens } = completion.usage;
        match proposal(&completion) {
            Ok(proposal) => {
                run.succeed(prompt_tokens, completion_tokens);
                Ok(proposal.into_plan(question))
            }
            Err(error) => {
                self.telemetry.model_tokens(&self.config.model, prompt_tokens, completion_tokens);
                run.fail(error.error_type());
                Err(error)
            }
        }
    }

    async fn ask(&self, question: &str, history: &[Message]) -> Result<Completion, AnalystError> {
        let before = history.iter().map(|message| Said {
            role: match message.speaker {
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
            },
            content: &message.text,
        });
        let messages = std::iter::once(Said { role: "system", content: INSTRUCTIONS })
            .chain(before)
            .chain([Said { role: "user", content: question }])
            .collect();
        let ask = Ask { model: &self.config.model, messages, temperature: 0.0 };
        let mut request = self.client.post(&self.url).timeout(TIMEOUT).json(&ask);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| unavailable(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| unavailable(&error))?;
        if !status.is_success() {
            let kind = match status.as_u16() {
                429 => "model_rate_limited",
                400..500 => "model_rejected",
                _ => "model_failed",
            };
            let says: String = text.chars().take(300).collect();
            let message = format!("{} answers {status}: {says}", self.url);
            return Err(AnalystError::ModelUnavailable { kind, message });
        }
        serde_json::from_str(&text)
            .map_err(|error| AnalystError::ModelAnswer { message: error.to_string() })
    }
}

impl Proposal {
    fn into_plan(self, question: &str) -> Plan {
        Plan {
            sql: self.sql,
            parameters: Vec::new(),
            chart: self.chart.as_deref().and_then(ChartKind::from_name),
            title: self.title.unwrap_or_else(|| question.to_owned()),
            answer: Answer::Rows,
            planner: Planner::Model,
        }
    }
}

/// Takes the plan out of the model's answer, which may have prose or a fence around the JSON.
fn proposal(completion: &Completion) -> Result<Proposal, AnalystError> {
    let missing = |message: &str| AnalystError::ModelAnswer { message: message.to_owned() };
    let content = completion.choices.first().and_then(|choice| choice.message.content.as_deref());
    let content = content.ok_or_else(|| missing("it has no content"))?;
    let (Some(start), Some(end)) = (content.find('{'), content.rfind('}')) else {
        return Err(missing("it has no JSON object"));
    };
    let json = content.get(start..=end).ok_or_else(|| missing("it has no JSON object"))?;
    serde_json::from_str(json)
        .map_err(|error| AnalystError::ModelAnswer { message: error.to_string() })
}

fn unavailable(error: &reqwest::Error) -> AnalystError {
    let kind = if error.is_timeout() {
        "model_timeout"
    } else if error.is_connect() {
        "model_connection"
    } else {
        "model_body"
    };
    AnalystError::ModelUnavailable { kind, message: error.to_string() }
}
