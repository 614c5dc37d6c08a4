//! What a container platform runs beside the server, in its container: a question for a probe, what must happen before it is
//! told to stop, and where it is. The image has no shell and no other program.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use server::config::{BindAddress, Config};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::CliError;
use crate::output;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Pause between two questions whether the server is ready to stop.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Where a pod finds what it may say to its cluster's API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The label of a Kubernetes node that names its zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Ask the server on this machine how it is.
#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    /// What to ask.
    #[arg(value_enum, default_value = "readyz")]
    question: Question,
    /// How long to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = seconds)]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Question {
    /// Is what is on its disk open?
    Startupz,
    /// Does it turn?
    Livez,
    /// May clients be sent to it?
    Readyz,
    /// Does everything work?
    Health,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Startupz => "/startupz",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Health => "/health",
        }
    }
}

pub(crate) fn probe(arguments: &ProbeArguments) -> Result<(), CliError> {
    let (status, body) = ask(&base_url()?, arguments.question, arguments.timeout)?;
    output::print_line(&body)?;
    if status == 200 { Ok(()) } else { Err(CliError::Refused { status, message: format!("{status}") }) }
}

/// Make the server of this container ready to be stopped, as a `preStop` hook: it says that it is not ready, waits
/// shutdown-delay, gives its leads away, and goes on serving. Returns when that is done.
#[derive(Debug, Args)]
pub(crate) struct PreStopArguments {
    /// The server's process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
    /// How long it may take.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = seconds)]
    timeout: Duration,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for another process, which no simulation runs"
)]
pub(crate) fn pre_stop(arguments: &PreStopArguments) -> Result<(), CliError> {
    let url = base_url()?;
    let pid = Pid::from_raw(arguments.pid).ok_or_else(|| CliError::Usage("no such process".to_owned()))?;
    let program = |of: &str| std::fs::read_link(format!("/proc/{of}/exe"));
    let (theirs, own) = (program(&arguments.pid.to_string()), program("self"));
    if !matches!((&theirs, &own), (Ok(theirs), Ok(own)) if theirs == own) {
        let found = theirs.map_or_else(|error| error.to_string(), |path| path.display().to_string());
        return Err(CliError::Usage(format!("process {} is not the server: {found}", arguments.pid)));
    }
    kill_process(pid, Signal::USR1)
        .map_err(|error| CliError::Usage(format!("process {} cannot be told: {error}", arguments.pid)))?;
    let deadline = Instant::now() + arguments.timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message =
                format!("the server was not ready to stop within {} s", arguments.timeout.as_secs());
            return Err(CliError::Refused { status: 503, message });
        }
        // It may end meanwhile, told by somebody else; then there is nothing more to wait for.
        if !std::path::Path::new(&format!("/proc/{}", arguments.pid)).exists() {
            return Ok(());
        }
        let answer = ask(&url, Question::Readyz, left.min(Duration::from_secs(1)));
        let said = answer.ok().and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
        if said.is_some_and(|said| said["draining"] == "drained") {
            return Ok(());
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Write down in which zone a Kubernetes node is, as its API server says, for init containers.
#[derive(Debug, Args)]
pub(crate) struct ZoneArguments {
    /// The node, from `spec.nodeName`.
    #[arg(long)]
    node: String,
    /// The file, for TIDEMARK_ZONE_FILE.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = seconds)]
    timeout: Duration,
}

pub(crate) fn zone(arguments: &ZoneArguments) -> Result<(), CliError> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| CliError::Usage(format!("{name} is not set: this is for pods of Kubernetes")))
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if arguments.node.is_empty() || !arguments.node.chars().all(is_plain) {
        return Err(CliError::Usage(format!("{:?} is not the name of a node", arguments.node)));
    }
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let account = PathBuf::from(
        std::env::var_os("TIDEMARK_SERVICE_ACCOUNT_DIR").unwrap_or_else(|| SERVICE_ACCOUNT.into()),
    );
    let read = |name: &str| {
        let path = account.join(name);
        std::fs::read(&path).map_err(|source| CliError::File { action: "cannot read", path, source })
    };
    let (token, authorities) = (read("token")?, read("ca.crt")?);
    let authorities = parse_pem(&authorities).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let tls = TlsConfig::builder().root_certs(RootCerts::from(authorities)).build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(arguments.timeout))
        .tls_config(tls)
        .build()
        .into();
    let url = format!("https://{host}:{port}/api/v1/nodes/{}", arguments.node);
    let unreachable = |source| CliError::Unreachable { url: url.clone(), source: Box::new(source) };
    let token = format!("Bearer {}", String::from_utf8_lossy(&token).trim());
    let mut answer = agent.get(&url).header("authorization", token).call().map_err(unreachable)?;
    let body =
        answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)?;
    if answer.status() != 200 {
        let message = format!("the API server refuses to say where node {} is: {body}", arguments.node);
        return Err(CliError::Refused { status: answer.status().as_u16(), message });
    }
    let node: Value = serde_json::from_str(&body).map_err(|error| CliError::Answer(error.to_string()))?;
    let zone = node["metadata"]["labels"][ZONE_LABEL].as_str().unwrap_or_default();
    if zone.is_empty() {
        output::say(&format!(
            "node {} has no label {ZONE_LABEL}: the server will have no zone",
            arguments.node
        ));
    }
    std::fs::write(&arguments.out, zone).map_err(|source| CliError::File {
        action: "cannot write",
        path: arguments.out.clone(),
        source,
    })
}

/// A number of seconds, as `60s` or `60`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    let seconds = number.ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected seconds from 1s to 3600s".to_owned())
}

/// Where the server of this machine answers probes, by the same configuration as its own.
fn base_url() -> Result<String, CliError> {
    let config = Config::resolve_from_process(Vec::new())?.config;
    Ok(url_of(&config.probe_bind_address.unwrap_or(config.http_bind_address)))
}

/// How a server of this machine that listens at an address is reached.
pub(crate) fn url_of(address: &BindAddress) -> String {
    let host = match address.host() {
        "" | "::" | "0.0.0.0" => Ipv4Addr::LOCALHOST.to_string(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("http://{host}:{}", address.port())
}

fn ask(base: &str, question: Question, within: Duration) -> Result<(u16, String), CliError> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(within)).build().into();
    let url = format!("{base}{}", question.path());
    let unreachable = |source| CliError::Unreachable { url: url.clone(), source: Box::new(source) };
    let mut answer = agent.get(&url).call().map_err(unreachable)?;
    let body =
        answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)?;
    Ok((answer.status().as_u16(), body))
}
