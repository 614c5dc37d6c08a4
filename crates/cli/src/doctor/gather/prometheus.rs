//! Asks Prometheus's HTTP API.

use serde_json::Value;

use super::http::Http;
use crate::api::encode;
use crate::doctor::facts::{PrometheusFacts, Rule};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

/// What it knows of the processes that the matchers (`namespace="tidemark"`) leave.
pub(crate) fn ask(http: &Http, url: &str, matchers: Option<&str>) -> PrometheusFacts {
    let url = url.trim_end_matches('/');
    let selector = |name: &str, own: &str| {
        let matchers: Vec<&str> =
            [Some(own), matchers].into_iter().flatten().filter(|m| !m.is_empty()).collect();
        format!("{name}{{{}}}", matchers.join(","))
    };
    let samples = |query: &str| {
        query_of(http, url, query).and_then(|data| {
            let all = data["result"].as_array().cloned();
            all.ok_or_else(|| format!("{url}: unexpected answer to {query}"))
        })
    };
    let label = |sample: &Value, name: &str| sample["metric"][name].as_str().unwrap_or_default().to_owned();
    let up = samples(&selector("up", "job=~\"tidemark.*\"")).map(|samples| {
        let of = |sample: &Value| Some((label(sample, "job"), label(sample, "instance"), value(sample)?));
        samples.iter().filter_map(of).collect()
    });
    let firing = samples(&selector("ALERTS", "service=\"tidemark\",alertstate=\"firing\"")).map(|samples| {
        samples.iter().map(|sample| (label(sample, "alertname"), label(sample, "severity"))).collect()
    });
    let pressure = selector("namespace:tidemark_scaling_pressure:ratio", "");
    let pressure = samples(&format!("max by (branch, signal) ({pressure})")).map(|samples| {
        let of = |sample: &Value| {
            let name = format!("{} {}", label(sample, "branch"), label(sample, "signal"));
            Some((name, value(sample).filter(|ratio| ratio.is_finite())?))
        };
        samples.iter().filter_map(of).collect()
    });
    let rules = data(http, &format!("{url}/api/v1/rules?type=alert")).and_then(|data| rules(&data));
    PrometheusFacts { url: url.to_owned(), up, rules, firing, pressure }
}

fn query_of(http: &Http, url: &str, query: &str) -> Result<Value, String> {
    data(http, &format!("{url}/api/v1/query?query={}", encode(query)))
}

/// The data of a success.
fn data(http: &Http, url: &str) -> Result<Value, String> {
    let answer = http.get(url, None, ANSWER_BYTES_MAX)?;
    let mut said: Value = serde_json::from_str(&answer.body)
        .map_err(|error| format!("{url} answers {} and no JSON: {error}", answer.status))?;
    if answer.status == 200 && said["status"] == "success" {
        Ok(said["data"].take())
    } else {
        let error = said["error"].as_str().unwrap_or("without a word");
        Err(format!("{url} answers {}: {error}", answer.status))
    }
}

/// The value of a sample: `[time, "value"]`.
fn value(sample: &Value) -> Option<f64> {
    sample["value"][1].as_str()?.parse().ok()
}

fn rules(data: &Value) -> Result<Vec<Rule>, String> {
    let groups = data["groups"].as_array().ok_or("Prometheus names no groups of rules")?;
    let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
    let text = |rule: &Value, member: &str| rule[member].as_str().unwrap_or_default().to_owned();
    Ok(rules
        .filter(|rule| rule["type"] == "alerting")
        .map(|rule| Rule {
            name: text(rule, "name"),
            health: text(rule, "health"),
            error: text(rule, "lastError"),
        })
        .collect())
}

#[cfg(test)]
mod tests;
