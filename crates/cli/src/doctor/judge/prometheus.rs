//! Checks of what Prometheus knows.

use super::node;
use crate::doctor::facts::{Facts, PrometheusFacts};
use crate::doctor::finding::{Finding, Judged, Place, Verdict, count, listed};

/// How near to the scaling decision a plan should be made, where it is taken, and where it is late: at the last a disk is at 90
/// per cent.
const PRESSURE_WARN: f64 = 0.7;
const PRESSURE_ACT: f64 = 1.0;
const PRESSURE_FAIL: f64 = 1.2;

/// The alerts that come with this version, each with its runbook.
pub(crate) fn alerts_of_this_version() -> impl Iterator<Item = &'static str> {
    include_str!("../alerts.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn of_prometheus(facts: &Facts, judge: impl Fn(&PrometheusFacts) -> Judged) -> Vec<Finding> {
    let (judged, about) = match &facts.prometheus {
        Ok(prometheus) => (judge(prometheus), prometheus.url.as_str()),
        Err(reason) => (Err(reason.clone()), ""),
    };
    vec![Verdict::of(judged).about(Place::Prometheus, about)]
}

pub(crate) fn scraped(facts: &Facts) -> Vec<Finding> {
    of_prometheus(facts, |prometheus| {
        let up = match &prometheus.up {
            Ok(up) => up,
            // It was named, so it should be there.
            Err(reason) => return Ok(Verdict::fail(reason)),
        };
        // A target may be found by two jobs: the pods behind two Services.
        let mut targets: Vec<&str> = up.iter().map(|(_, instance, _)| instance.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        let down: Vec<&str> =
            up.iter().filter(|(_, _, up)| *up != 1.0).map(|(_, instance, _)| instance.as_str()).collect();
        let found = count(targets.len(), "target");
        if !down.is_empty() {
            return Ok(Verdict::fail(format!("of {found} these do not answer: {}", listed(&down))));
        }
        if targets.is_empty() {
            return Ok(Verdict::fail("it scrapes no target with job=~\"tidemark.*\""));
        }
        let survey = match &facts.cluster {
            Ok(cluster) => &cluster.survey,
            Err(missing) => {
                return Err(format!("{found} up; of how many is not known: {}", missing.reason));
            }
        };
        let wanted = survey.members().count().saturating_add(survey.gateways.len());
        let whole = format!("the nodes and gateways are {wanted}");
        Ok(if targets.len() < wanted {
            Verdict::fail(format!("{found}, and {whole}"))
        } else if targets.len() > wanted {
            Verdict::ok(format!("{found} up; {whole}: the others are another cluster's (--prometheus-match)"))
        } else {
            Verdict::ok(format!("{found} up, which are all nodes and gateways"))
        })
    })
}

pub(crate) fn alerts(facts: &Facts) -> Vec<Finding> {
    of_prometheus(facts, |prometheus| {
        let rules = prometheus.rules.as_ref().map_err(Clone::clone)?;
        let firing = prometheus.firing.as_ref().map_err(Clone::clone)?;
        let is_ours = |name: &str| alerts_of_this_version().any(|ours| ours == name);
        let missing: Vec<&str> =
            alerts_of_this_version().filter(|name| !rules.iter().any(|rule| rule.name == *name)).collect();
        let broken: Vec<String> = rules
            .iter()
            .filter(|rule| is_ours(&rule.name) && rule.health == "err")
            .map(|rule| format!("{}: {}", rule.name, rule.error))
            .collect();
        let of = |severity: &str| {
            let mut names: Vec<&str> =
                firing.iter().filter(|(_, of)| of == severity).map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let (critical, warning) = (of("critical"), of("warning"));
        let mut bad = Vec::new();
        if !critical.is_empty() {
            bad.push(format!("critical, firing: {}", listed(&critical)));
        }
        if !missing.is_empty() {
            let all = alerts_of_this_version().count();
            bad.push(format!("{} of {all} alerts are not loaded: {}", missing.len(), listed(&missing)));
        }
        if !broken.is_empty() {
            bad.push(format!("in error: {}", listed(&broken)));
        }
        Ok(if !bad.is_empty() {
            Verdict::fail(bad.join("; "))
        } else if !warning.is_empty() {
            Verdict::warn(format!("firing: {}", listed(&warning)))
        } else {
            Verdict::ok(format!("{} alerts are loaded, and none fires", alerts_of_this_version().count()))
        })
    })
}

pub(crate) fn pressure(facts: &Facts) -> Vec<Finding> {
    match &facts.prometheus {
        Ok(PrometheusFacts { pressure: Ok(ratios), .. }) if !ratios.is_empty() => {
            of_prometheus(facts, |_| Ok(judge_pressure(ratios)))
        }
        // Without a history there are the figures of now.
        _ if !facts.nodes.is_empty() => facts.of_nodes(node::pressure),
        _ => of_prometheus(facts, |prometheus| match &prometheus.pressure {
            Ok(_) => Err("nothing is recorded as namespace:tidemark_scaling_pressure:ratio".to_owned()),
            Err(reason) => Err(reason.clone()),
        }),
    }
}

/// Judges ratios of which 1 is where the scaling decision is taken.
pub(crate) fn judge_pressure(ratios: &[(String, f64)]) -> Verdict {
    let above = |least: f64| {
        let above = ratios.iter().filter(|(_, ratio)| *ratio > least);
        above.map(|(name, ratio)| format!("{name} {ratio:.2}")).collect::<Vec<_>>()
    };
    if !above(PRESSURE_FAIL).is_empty() {
        return Verdict::fail(format!("far beyond where to act: {}", listed(&above(PRESSURE_FAIL))));
    }
    if !above(PRESSURE_ACT).is_empty() {
        return Verdict::warn(format!("time to act: {}", listed(&above(PRESSURE_ACT))));
    }
    if !above(PRESSURE_WARN).is_empty() {
        return Verdict::warn(format!("nearly time to act: {}", listed(&above(PRESSURE_WARN))));
    }
    match ratios.iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((name, ratio)) => Verdict::ok(format!("the most is {name}, {ratio:.2}; at 1 it is time to act")),
        None => Verdict::unknown("there is no figure"),
    }
}
