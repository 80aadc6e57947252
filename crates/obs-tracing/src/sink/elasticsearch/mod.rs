//! Log lines to Elasticsearch and OpenSearch.

mod answer;
mod document;
mod index;

use obs_delivery::{Compression, Framing};

use self::answer::{BulkAnswers, REASONS};
use self::document::Documents;
use self::index::IndexPattern;
use super::Endpoint;
use super::endpoint::{self, Protocol, Refused};
use super::{IntoSink, SinkStart, StartedSink};
use crate::Error;

const PATH: &str = "/_bulk";

/// The schemes of its URLs.
const SCHEMES: [(&str, &str); 8] = [
    ("elasticsearch", "http"),
    ("elasticsearch+http", "http"),
    ("elasticsearch+https", "https"),
    ("elasticsearchs", "https"),
    ("opensearch", "http"),
    ("opensearch+http", "http"),
    ("opensearch+https", "https"),
    ("opensearchs", "https"),
];

/// What of the answer is looked at: it is a tenth of the whole.
const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Log lines to Elasticsearch or OpenSearch, by the bulk API.
///
/// A document is the line as the crate documentation describes it, with `@timestamp` beside `timestamp`. Each has an id
/// of its own, so that one that is sent again after a lost answer is there once. Documents are only ever created, which
/// is what data streams want.
///
/// ```
/// use obs_tracing::sink::{ElasticsearchConfig, Endpoint, LogSink};
///
/// let endpoint = Endpoint::new("https://search.example.com").with_api_key("aWQ6a2V5");
/// let elasticsearch = ElasticsearchConfig::new(endpoint, "logs-checkout-%Y.%m.%d");
/// let sink = LogSink::new("elasticsearch", elasticsearch.with_pipeline("geoip"));
/// # let _ = sink;
/// ```
///
/// Of a request that is stored in part, only the lines that Elasticsearch could not take yet (429, 503, a full disk) are
/// sent again. Those that it never will, such as for a field of another type than the index has, are dropped, and counted
/// in `obskit_log_refused_total{destination,reason}` as `mapping`, `index` or `other`. 413 halves the request.
#[derive(Clone, Debug)]
pub struct ElasticsearchConfig {
    endpoints: Vec<Endpoint>,
    index: String,
    pipeline: Option<String>,
    compression: Compression,
}

impl ElasticsearchConfig {
    /// A cluster by its base URL, such as `http://search:9200`, and the index or data stream that lines go to.
    ///
    /// `%Y`, `%m`, `%d` and `%H` in the index are the year, month, day and hour of the line, in UTC. Documents are
    /// compressed with gzip.
    #[must_use]
    pub fn new(endpoint: impl Into<Endpoint>, index: impl Into<String>) -> Self {
        Self {
            endpoints: vec![endpoint.into()],
            index: index.into(),
            pipeline: None,
            compression: Compression::Gzip(1),
        }
    }

    /// A cluster and an index as one URL: `elasticsearch://host:9200/index`, with `opensearch` as well, and
    /// `elasticsearch+https`, or `elasticsearchs`, for TLS. A name and a password in it are those of basic authentication.
    ///
    /// ```
    /// use obs_tracing::sink::ElasticsearchConfig;
    ///
    /// ElasticsearchConfig::from_url("elasticsearch://search:9200/logs-%Y.%m.%d")?;
    /// assert!(ElasticsearchConfig::from_url("elasticsearch://search:9200").is_err());
    /// # Ok::<(), obs_tracing::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `is_config` if it is another URL, or one without an index. The message has no part of the URL, which may hold a
    /// password.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let wrong = || {
            let accepted = "expected elasticsearch://host:port/index";
            Error::config(vec![format!("the URL of an Elasticsearch sink is not one: {accepted}")])
        };
        let (base, index) = url.trim_end_matches('/').rsplit_once('/').ok_or_else(wrong)?;
        let endpoint = endpoint::of_url(base, &SCHEMES).ok_or_else(wrong)?;
        IndexPattern::parse(index).map_err(|problem| Error::config(vec![problem]))?;
        Ok(Self::new(endpoint, index))
    }

    /// This configuration with one more cluster, or another node of the same, which takes over while those before it
    /// fail.
    #[must_use]
    pub fn with_fallback(mut self, endpoint: impl Into<Endpoint>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// This configuration with each of its endpoints changed: for headers and credentials that all of them have.
    ///
    /// ```
    /// use obs_tracing::sink::ElasticsearchConfig;
    ///
    /// let config = ElasticsearchConfig::new("https://search:9200", "logs")
    ///     .each_endpoint(|endpoint| endpoint.with_bearer_token("s3cret"));
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn each_endpoint(mut self, change: impl FnMut(Endpoint) -> Endpoint) -> Self {
        self.endpoints = self.endpoints.into_iter().map(change).collect();
        self
    }

    /// This configuration with an ingest pipeline that documents go through.
    #[must_use]
    pub fn with_pipeline(mut self, pipeline: impl Into<String>) -> Self {
        self.pipeline = Some(pipeline.into());
        self
    }

    /// This configuration without gzip, for a cluster that has `http.compression` off.
    #[must_use]
    pub fn without_compression(mut self) -> Self {
        self.compression = Compression::None;
        self
    }

    fn targets(&self) -> Vec<Endpoint> {
        let target = |endpoint: &Endpoint| {
            let endpoint = endpoint.clone().with_path(PATH).with_parameter("filter_path", FILTER);
            match &self.pipeline {
                Some(pipeline) => endpoint.with_parameter("pipeline", pipeline),
                None => endpoint,
            }
        };
        self.endpoints.iter().map(target).collect()
    }
}

impl IntoSink for ElasticsearchConfig {
    fn problems(&self) -> Vec<String> {
        let index = IndexPattern::parse(&self.index).err();
        endpoint::problems(&self.targets()).into_iter().chain(index).collect()
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        let protocol = Protocol {
            render: Documents::new(IndexPattern::parse(&self.index)?),
            encoder: Framing::lines(),
            classifier: BulkAnswers { refused: Refused::bind(&start.name, &REASONS) },
            compression: self.compression,
        };
        protocol.start(start, &self.targets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, &str)>) {
        let read = ElasticsearchConfig::from_url(url).ok();
        let read = read.map(|config| (format!("{:?}", config.endpoints[0]), config.index));
        match (read, expected) {
            (Some((endpoint, index)), Some((part, expected))) => {
                assert!(endpoint.contains(part), "{part} is missing in {endpoint}");
                assert_eq!(index, expected);
            }
            (None, None) => {}
            (read, _) => panic!("{url} is {read:?}"),
        }
    }

    #[test]
    fn one_url_says_where_and_which_index() {
        check("elasticsearch://h:9200/logs-%Y", Some(("http://h:9200", "logs-%Y")));
        check("opensearch+https://h/logs/", Some(("https://h", "logs")));
        check("elasticsearchs://h/logs", Some(("https://h", "logs")));
        check("elasticsearch://h:9200/prefix/logs", Some(("http://h:9200/…", "logs")));
        check("elasticsearch://u:p%40s+x@h:9200/logs", Some(("Authorization", "logs")));
        for bad in [
            "http://h:9200/logs",
            "elasticsearch://h:9200",
            "elasticsearch://h:9200/",
            "elasticsearch:///logs",
            "elasticsearch://h:9200/LOGS",
            "logs",
        ] {
            check(bad, None);
        }
        let secret = ElasticsearchConfig::from_url("elasticsearch://u:hunter2@h:port/logs");
        assert!(!secret.unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let bad = ElasticsearchConfig::new("h:9200", "Logs").with_fallback("ftp://h");
        let problems = IntoSink::problems(&bad);
        assert_eq!(problems.len(), 3, "{problems:?}");
        let good = ElasticsearchConfig::new("http://h:9200", "logs").with_pipeline("a b&c");
        assert_eq!(IntoSink::problems(&good), [""; 0]);
    }
}
