//! Asks the processes that were named: what they show of themselves, and their picture of the cluster.

use std::time::Duration;

use serde_json::Value;
use server::config::{BindAddress, Config};

use super::http::Http;
use crate::doctor::exposition::Metrics;
use crate::doctor::facts::{ClusterFacts, Missing, NodeFacts, Probed};
use crate::doctor::survey::Survey;

/// Largest `/metrics`, picture of a cluster, and other answer that is read.
const METRICS_BYTES_MAX: u64 = 16 << 20;
const SURVEY_BYTES_MAX: u64 = 64 << 20;
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// How often, and how many times more, a cluster is looked at in which somebody is behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_MORE: usize = 10;

const PROBES: [&str; 3] = ["/startupz", "/livez", "/readyz"];

/// What a process says of itself.
pub(crate) fn node(http: &Http, url: &str, settings: Option<Config>) -> NodeFacts {
    let probes_at = settings
        .as_ref()
        .and_then(|settings| beside(url, settings.probe_bind_address.as_ref()?))
        .unwrap_or_else(|| url.to_owned());
    let mut facts = NodeFacts {
        url: url.to_owned(),
        metrics: Err(String::new()),
        probes: ask_probes(http, &probes_at),
        probes_at,
        strangers: Vec::new(),
        settings,
    };
    facts.metrics = match http.get(&format!("{url}/metrics"), None, METRICS_BYTES_MAX) {
        Ok(answer) if answer.status == 200 => {
            let metrics = Metrics::read(&answer.body);
            if metrics.find("tidemark_starting", &[]).is_some() {
                Ok(metrics)
            } else {
                Err(format!("{url}/metrics is not Tidemark's"))
            }
        }
        Ok(answer) => Err(format!("{url}/metrics answers {}", answer.status)),
        // Who does not answer is not asked on and on.
        Err(reason) => {
            facts.metrics = Err(reason);
            return facts;
        }
    };
    let questions = [
        ("GET /query", "GET", "/query?q=SHOW+DATABASES"),
        ("POST /api/v2/write", "POST", "/api/v2/write?org=tidemark-doctor&bucket=tidemark-doctor"),
    ];
    facts.strangers = questions
        .into_iter()
        .map(|(request, method, path)| {
            let answer = http.ask(method, &format!("{url}{path}"), None, ANSWER_BYTES_MAX);
            (request, answer.map(|answer| answer.status))
        })
        .collect();
    facts
}

fn ask_probes(http: &Http, base: &str) -> Vec<Probed> {
    let mut answers = Vec::new();
    for path in PROBES {
        let answer = http.get(&format!("{base}{path}"), None, ANSWER_BYTES_MAX);
        let is_silent = answer.is_err();
        answers.push((path, answer.map(|answer| (answer.status, answer.body))));
        if is_silent {
            break;
        }
    }
    answers
}

/// The URL of another port of the host of a URL.
fn beside(url: &str, address: &BindAddress) -> Option<String> {
    let (host, _) = super::machine::host_and_port(url)?;
    let host = match address.host() {
        "" | "::" | "0.0.0.0" => host,
        bound => bound.to_owned(),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(format!("http://{host}:{}", address.port()))
}

/// The picture that a process has of the cluster.
pub(crate) fn survey(http: &Http, url: &str, token: Option<&str>) -> Result<Survey, Missing> {
    let failed = |reason: String| Missing { reason, is_failure: true };
    let path = "/api/v1/cluster/status";
    let answer = http.get(&format!("{url}{path}"), token, SURVEY_BYTES_MAX).map_err(failed)?;
    match answer.status {
        200 => Survey::read(&answer.body).map_err(|error| failed(format!("{url}{path}: {error}"))),
        401 | 403 if token.is_none() => Err(Missing {
            reason: format!("{url} wants an operator's token: --token, TIDEMARK_TOKEN or a profile"),
            is_failure: false,
        }),
        401 | 403 => Err(failed(format!("{url} does not take the token: it must be an operator's"))),
        status => {
            let said: Option<Value> = serde_json::from_str(&answer.body).ok();
            let said = said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or_default();
            Err(failed(format!("{url}{path} answers {status} {said}").trim_end().to_owned()))
        }
    }
}

/// One picture of those that several have: the first that is current, else the first.
pub(crate) fn cluster(told: Vec<(String, Result<Survey, Missing>)>) -> Result<ClusterFacts, Missing> {
    let ids = told.iter().filter_map(|(url, told)| Some((url.clone(), told.as_ref().ok()?.cluster.clone())));
    let told_by = ids.collect();
    let (surveys, missing): (Vec<_>, Vec<_>) =
        told.into_iter().map(|(_, told)| told).partition(Result::is_ok);
    let mut surveys: Vec<Survey> = surveys.into_iter().filter_map(Result::ok).collect();
    if surveys.is_empty() {
        let missing: Vec<Missing> = missing.into_iter().filter_map(Result::err).collect();
        let reasons: Vec<&str> = missing.iter().map(|missing| missing.reason.as_str()).collect();
        let is_failure = missing.iter().any(|missing| missing.is_failure);
        return Err(Missing { reason: reasons.join("; "), is_failure });
    }
    let best = surveys.iter().position(|survey| survey.is_current).unwrap_or(0);
    Ok(ClusterFacts { survey: surveys.swap_remove(best), later: Vec::new(), told_by })
}

/// Looks at the cluster again while somebody is behind, until each was level once.
#[expect(clippy::disallowed_methods, reason = "a person looks on, in real time")]
pub(crate) fn look_again(http: &Http, urls: &[String], token: Option<&str>, facts: &mut ClusterFacts) {
    let mut behind: Vec<String> = facts
        .survey
        .members()
        .filter(|node| node.is_up() && node.lag > 0)
        .map(|node| node.id.clone())
        .collect();
    for _ in 0..LOOKS_MORE {
        if behind.is_empty() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
        let Some(look) = urls.iter().find_map(|url| survey(http, url, token).ok()) else { return };
        behind.retain(|id| look.nodes.iter().any(|node| node.id == *id && node.lag > 0));
        facts.later.push(look);
    }
}
