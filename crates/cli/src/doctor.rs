//! `tidemark doctor`: the production checklist as checks. Facts are gathered, judges find, a report says it.
//!
//! ```text
//! arguments -> gather (HTTP, /proc, files) -> Facts -> table of checks, each with its judge -> findings -> report
//! ```
//! Judges are pure. Nothing is changed anywhere, every question has an end to its time and to the size of its answer, and
//! what cannot be found out is `unknown` with the reason.

mod done;
mod exposition;
mod facts;
mod finding;
mod gather;
mod judge;
mod report;
mod survey;
mod table;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::PossibleValuesParser;
use serde_json::Value;
use server::config::Config;

use crate::error::CliError;
use crate::output::Format;
use crate::pod::url_of;
use crate::profile::Access;
use done::Done;
use facts::{ClusterFacts, Facts, MachineFacts, Missing, NodeFacts, PrometheusFacts};
use finding::{Outcome, Place};
use gather::http::Http;
use table::{CHECKS, Check};

/// Largest file of objects that is read.
const KUBERNETES_BYTES_MAX: u64 = 256 << 20;

/// Arguments of `tidemark doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no check fails, 1 a check fails (see --fail-on), 2 wrong usage.")]
pub(crate) struct Arguments {
    /// URL of a node or gateway; several, separated by commas or each with its flag, to look at each. Without it the saved
    /// profile's, else the server of this machine as its environment says.
    #[arg(long = "host", env = "TIDEMARK_HOST", value_name = "URL", value_delimiter = ',')]
    hosts: Vec<String>,
    #[command(flatten)]
    access: Access,
    /// Make this check only; may be given several times.
    #[arg(long = "check", value_name = "NAME", value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(table::names()))]
    only: Vec<String>,
    /// Leave this check out; may be given several times.
    #[arg(long, value_name = "NAME", value_delimiter = ',', hide_possible_values = true,
        value_parser = PossibleValuesParser::new(table::names()))]
    skip: Vec<String>,
    /// File with what `kubectl get statefulset,deployment,pdb,configmap -o json` has printed; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    kubernetes: Option<PathBuf>,
    /// URL of the Prometheus that scrapes the cluster.
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// Labels that set the cluster apart from others in that Prometheus, such as 'namespace="tidemark"'.
    #[arg(long, value_name = "MATCHERS", requires = "prometheus")]
    prometheus_match: Option<String>,
    /// Say that what nobody but you can see is done, and when it was: restore-tested=2026-01-31.
    #[arg(long, env = "TIDEMARK_DOCTOR_DONE", value_name = "NAME[=DATE]", value_delimiter = ',')]
    done: Vec<String>,
    /// The server's process on this machine; without it, the one that listens at --host.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Look at this machine although no server runs here yet, by the settings of this environment.
    #[arg(long, conflicts_with = "pid")]
    machine: bool,
    /// The outcome from which on the exit code is 1.
    #[arg(long, value_enum, default_value = "fail", value_name = "OUTCOME")]
    fail_on: FailOn,
    /// Print only what is to be mended.
    #[arg(long, short = 'q')]
    quiet: bool,
    /// Print the checks, and make none.
    #[arg(long)]
    list: bool,
    /// How findings are printed.
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    output: Format,
    /// Seconds after which a question is given up.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

/// From which outcome on the exit code is 1.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FailOn {
    /// What must be mended.
    Fail,
    /// Also what works and will hurt.
    Warn,
    /// Also what cannot be found out.
    Unknown,
}

impl FailOn {
    const fn least(self) -> Outcome {
        match self {
            Self::Fail => Outcome::Fail,
            Self::Warn => Outcome::Warn,
            Self::Unknown => Outcome::Unknown,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    if arguments.list {
        return report::list(arguments.output);
    }
    let checks = arguments.checks()?;
    let facts = arguments.gather(&checks)?;
    let reports: Vec<report::Checked> =
        checks.iter().map(|check| report::Checked { check, findings: (check.judge)(&facts) }).collect();
    report::print(arguments.output, &reports, arguments.quiet)?;
    let least = arguments.fail_on.least();
    let bad = reports.iter().filter(|report| report.outcome() >= least).count();
    if bad == 0 {
        return Ok(());
    }
    let at_least = if least == Outcome::Fail { "" } else { " or worse" };
    Err(CliError::NotPassed(format!(
        "{} {}{at_least}",
        finding::count(bad, "check"),
        match bad {
            1 => format!("ends as {}", least.name()),
            _ => format!("end as {}", least.name()),
        }
    )))
}

impl Arguments {
    /// The checks to make, in the order of the table.
    fn checks(&self) -> Result<Vec<&'static Check>, CliError> {
        let is_wanted = |check: &&Check| {
            let is_named = |names: &[String]| names.iter().any(|name| name == check.name);
            (self.only.is_empty() || is_named(&self.only)) && !is_named(&self.skip)
        };
        let checks: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
        if checks.is_empty() { Err(CliError::Usage("no check is left".to_owned())) } else { Ok(checks) }
    }

    /// Finds out what the checks need, and nothing else.
    fn gather(&self, checks: &[&Check]) -> Result<Facts, CliError> {
        let places: BTreeSet<Place> = checks.iter().flat_map(|check| check.places.iter().copied()).collect();
        let now = now();
        let yours: Vec<&str> =
            CHECKS.iter().filter(|check| check.is_yours()).map(|check| check.name).collect();
        let done = Done::read(&self.done, &yours, now).map_err(CliError::Usage)?;
        let kubernetes = match &self.kubernetes {
            Some(file) => Ok(kubernetes(file)?),
            None => {
                Err("no --kubernetes FILE: `kubectl get statefulset,deployment,pdb,configmap -o json`"
                    .to_owned())
            }
        };
        let prometheus = self.prometheus.as_deref().map(prometheus_url).transpose()?;
        let (urls, token) = self.hosts()?;
        let http = Http::new(Duration::from_secs(self.timeout));

        let machines = if places.contains(&Place::Machine) { self.machines(&urls) } else { Ok(Vec::new()) };
        let settings = |url: &str| {
            let own = machines.as_ref().ok()?.iter().find(|machine| machine.url.as_deref() == Some(url))?;
            own.settings.as_ref().ok().cloned()
        };
        let (nodes, told): (Vec<Option<NodeFacts>>, Vec<Option<(String, _)>>) = std::thread::scope(|scope| {
            let asked: Vec<_> = urls
                .iter()
                .map(|url| {
                    let (http, token, settings) = (&http, token.as_deref(), settings(url));
                    let (node, cluster) = (places.contains(&Place::Node), places.contains(&Place::Cluster));
                    scope.spawn(move || {
                        let node = node.then(|| gather::node::node(http, url, settings));
                        let told = cluster.then(|| (url.clone(), gather::node::survey(http, url, token)));
                        (node, told)
                    })
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().expect("whoever asks does not panic")).unzip()
        });
        let mut cluster: Result<ClusterFacts, Missing> =
            gather::node::cluster(told.into_iter().flatten().collect());
        if let Ok(cluster) = &mut cluster
            && checks.iter().any(|check| check.name == "lag")
        {
            gather::node::look_again(&http, &urls, token.as_deref(), cluster);
        }
        let prometheus: Result<PrometheusFacts, String> = match prometheus {
            Some(url) if places.contains(&Place::Prometheus) => {
                Ok(gather::prometheus::ask(&http, &url, self.prometheus_match.as_deref()))
            }
            _ => Err("no --prometheus URL".to_owned()),
        };
        let nodes = nodes.into_iter().flatten().collect();
        Ok(Facts { cluster, nodes, machines, kubernetes, prometheus, done, now })
    }

    /// Whom to ask, with which token.
    fn hosts(&self) -> Result<(Vec<String>, Option<String>), CliError> {
        let (mut urls, mut token) = self.access.resolve(&self.hosts)?;
        if urls.is_empty() {
            // In the container of a server the environment is the server's: it says where it answers, and which token
            // the set-up was done with.
            let settings = match self.pid.map(|pid| gather::machine::process(pid, None)) {
                Some(process) => process.and_then(|process| process.settings).ok(),
                None => Config::resolve_from_process(Vec::new()).ok().map(|resolved| resolved.config),
            };
            let url = settings.as_ref().map(|settings| url_of(&settings.http_bind_address));
            urls.push(url.unwrap_or_else(|| "http://127.0.0.1:8086".to_owned()));
            token = token.or_else(|| Some(settings?.init?.admin_token?.expose().to_owned()));
        }
        let mut seen = BTreeSet::new();
        urls.retain(|url| seen.insert(url.clone()));
        Ok((urls, token))
    }

    /// The servers of this machine among those that are asked.
    fn machines(&self, urls: &[String]) -> Result<Vec<MachineFacts>, String> {
        if self.machine {
            return Ok(vec![gather::machine::this_machine()]);
        }
        let found = urls.iter().map(|url| Ok((gather::machine::server_at(url)?, url.clone())));
        let found: Vec<Result<(u32, String), String>> = found.collect();
        if let Some(pid) = self.pid {
            let url = found.into_iter().flatten().find(|(found, _)| *found == pid).map(|(_, url)| url);
            return Ok(vec![gather::machine::process(pid, url)?]);
        }
        let (here, elsewhere): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        let here = here.into_iter().flatten().map(|(pid, url)| gather::machine::process(pid, Some(url)));
        let here = here.collect::<Result<Vec<MachineFacts>, String>>()?;
        match elsewhere.into_iter().find_map(Result::err) {
            Some(reason) if here.is_empty() => Err(reason),
            _ => Ok(here),
        }
    }
}

fn prometheus_url(url: &str) -> Result<String, CliError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(CliError::Usage(format!("--prometheus is a URL such as http://127.0.0.1:9090, not {url:?}")))
}

/// The objects of a file.
fn kubernetes(file: &Path) -> Result<Vec<Value>, CliError> {
    let failed = |source| CliError::File { action: "reading", path: file.to_owned(), source };
    let text = if file == Path::new("-") { read(std::io::stdin().lock()) } else { open(file).and_then(read) };
    let objects = judge::kubernetes::objects(&text.map_err(failed)?);
    objects.map_err(|reason| CliError::Usage(format!("--kubernetes {}: {reason}", file.display())))
}

#[expect(clippy::disallowed_methods, reason = "a file of the person's own, which is no data of the database")]
fn open(file: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(file)
}

fn read(from: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(KUBERNETES_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "a command that judges dates, which no simulation runs")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
