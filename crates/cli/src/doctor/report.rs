//! Says what was found: for people by place, with the way to mend what is not as it should be; for machines as rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::finding::{Finding, Outcome, Place, count};
use super::table::{CHECKS, Check};
use crate::error::CliError;
use crate::output::{self, Format, Rows};

/// A check that was made.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) check: &'static Check,
    pub(crate) findings: Vec<Finding>,
}

impl Checked {
    /// The worst of what it found.
    pub(crate) fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Unknown)
    }
}

pub(crate) fn print(format: Format, reports: &[Checked], is_quiet: bool) -> Result<(), CliError> {
    match format {
        Format::Table => output::print_line(output::harmless(text(reports, is_quiet)).trim_end()),
        Format::Json | Format::Csv => output::print(format, rows(format, reports, is_quiet)),
    }
}

fn is_shown(finding: &Finding, is_quiet: bool) -> bool {
    !is_quiet || finding.outcome >= Outcome::Warn
}

fn rows(format: Format, reports: &[Checked], is_quiet: bool) -> Rows {
    let rows = reports.iter().flat_map(|Checked { check, findings }| {
        findings.iter().filter(|finding| is_shown(finding, is_quiet)).map(|finding| {
            vec![
                check.name.into(),
                finding.outcome.name().into(),
                finding.place.name().into(),
                finding.about.as_str().into(),
                finding.text.as_str().into(),
                finding.mend.unwrap_or(check.remedy).into(),
                pages(format, if finding.mend.is_some() { &[] } else { check.pages }),
            ]
        })
    });
    let columns = ["check", "outcome", "where", "about", "finding", "remedy", "pages"];
    Rows { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect(), ..Rows::default() }
}

/// Paths in the repository.
fn pages(format: Format, pages: &[&str]) -> Value {
    let pages: Vec<String> = pages.iter().map(|page| path(page)).collect();
    if format == Format::Json { pages.into() } else { pages.join(" ").into() }
}

fn path(page: &str) -> String {
    page.strip_prefix("../").map_or_else(|| format!("docs/{page}"), str::to_owned)
}

/// Prints the table of checks.
pub(crate) fn list(format: Format) -> Result<(), CliError> {
    let rows = CHECKS.iter().map(|check| {
        let places: Vec<&str> = check.places.iter().map(|place| place.name()).collect();
        vec![check.name.into(), places.join(", ").into(), check.remedy.into(), pages(format, check.pages)]
    });
    let columns = ["check", "where", "remedy", "pages"].map(str::to_owned).to_vec();
    output::print(format, Rows { columns, rows: rows.collect(), ..Rows::default() })
}

/// Width of the widest name of a check, and of the widest outcome.
const NAME: usize = 22;
const OUTCOME: usize = 7;

fn text(reports: &[Checked], is_quiet: bool) -> String {
    let mut out = String::new();
    for ((place, about), found) in by_subject(reports, is_quiet) {
        let heading = match (place, about) {
            (Place::Node, about) => about.to_owned(),
            (place, "") => place.name().to_owned(),
            (place, about) => format!("{}: {about}", place.name()),
        };
        line(&mut out, format_args!("{heading}"));
        section(&mut out, place, &found);
        out.push('\n');
    }
    summary(&mut out, reports);
    out
}

type Found<'a> = Vec<(&'static Check, &'a Finding)>;

/// What was found about each thing, in the order of the places and then of the things as they were named.
fn by_subject(reports: &[Checked], is_quiet: bool) -> Vec<((Place, &str), Found<'_>)> {
    let mut subjects: Vec<((Place, &str), Found<'_>)> = Vec::new();
    for Checked { check, findings } in reports {
        for finding in findings.iter().filter(|finding| is_shown(finding, is_quiet)) {
            let key = (finding.place, finding.about.as_str());
            match subjects.iter_mut().find(|(subject, _)| *subject == key) {
                Some((_, found)) => found.push((check, finding)),
                None => subjects.push((key, vec![(check, finding)])),
            }
        }
    }
    subjects.sort_by_key(|((place, _), _)| *place);
    subjects
}

fn section(out: &mut String, place: Place, found: &Found<'_>) {
    // What many checks lack is said once, after what could be judged.
    let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (check, finding) in found.iter().filter(|(_, finding)| finding.outcome == Outcome::Unknown) {
        lacking.entry(&finding.text).or_default().push(check.name);
    }
    let is_together = |finding: &Finding| {
        finding.outcome == Outcome::Unknown
            && lacking.get(finding.text.as_str()).is_some_and(|all| all.len() > 1)
    };
    for (check, finding) in found.iter().filter(|(_, finding)| !is_together(finding)) {
        let outcome = shout(finding.outcome);
        line(out, format_args!("  {outcome:OUTCOME$}  {:NAME$}  {}", check.name, finding.text));
        if finding.outcome == Outcome::Unknown && place == Place::You {
            line(out, format_args!("  {:OUTCOME$}  {:NAME$}  -> {}", "", "", remedy(check, finding)));
        }
    }
    for (reason, names) in lacking.iter().filter(|(_, names)| names.len() > 1) {
        line(out, format_args!("  {:OUTCOME$}  {reason}", Outcome::Unknown.name()));
        line(out, format_args!("  {:OUTCOME$}  not judged: {}", "", names.join(", ")));
    }
}

fn summary(out: &mut String, reports: &[Checked]) {
    let of = |outcome: &Outcome| reports.iter().filter(|report| report.outcome() == *outcome).count();
    let counts = Outcome::ALL.iter().map(|outcome| (of(outcome), outcome.name()));
    let counts = counts.filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}"));
    let counts: Vec<String> = counts.collect();
    line(out, format_args!("{}: {}", count(reports.len(), "check"), counts.join(", ")));
    // Last, where a terminal stands: each thing to do once, the worst first.
    for outcome in [Outcome::Fail, Outcome::Warn] {
        for Checked { check, findings } in reports {
            let mut said = Vec::new();
            for finding in findings.iter().filter(|finding| finding.outcome == outcome) {
                let remedy = remedy(check, finding);
                if !said.contains(&remedy) {
                    line(
                        out,
                        format_args!("  {:OUTCOME$}  {:NAME$}  -> {remedy}", shout(outcome), check.name),
                    );
                    said.push(remedy);
                }
            }
        }
    }
}

/// What to do, and where that is told.
fn remedy(check: &Check, finding: &Finding) -> String {
    let pages: Vec<String> = check.pages.iter().map(|page| path(page)).collect();
    match finding.mend {
        Some(mend) => mend.to_owned(),
        None => format!("{}: {}", check.remedy, pages.join(", ")),
    }
}

/// An outcome, so that the worst is seen first.
const fn shout(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fail => "FAIL",
        other => other.name(),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}
