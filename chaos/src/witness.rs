//! The oracle beside a cluster that somebody else runs and breaks.
//!
//! `chaos oracle run` lets clients write and read at the addresses of the nodes. Who brings faults about says over a Unix
//! socket when each begins and ends (`chaos oracle begin`, `end`), and at last asks for the verdict (`finish`), which is given
//! as often as it is asked for. A call is one line of JSON on a connection of its own, and so is its answer.

use std::error::Error;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::{now, pause};
use crate::faults::Effect;
use crate::history::Outcome;
use crate::judge::{self, Injected, Verdict};
use crate::oracle::Oracle;
use crate::report::{self, say};
use crate::run::{Report, WRITERS, look_at_all, with_clients};
use crate::scenario::Promises;
use crate::workload::Workload;

/// Bytes of the longest call and answer.
const LINE_MAX: u64 = 1 << 20;
/// How long who calls may take to say what.
const CALLER: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody calls.
const LOOK: Duration = Duration::from_millis(20);

/// What is done with an oracle beside a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes and reads, and takes calls, until the limit.
    Run(Run),
    /// Whether writes and reads have succeeded through every node.
    Ready(At),
    /// A fault begins.
    Begin {
        #[command(flatten)]
        at: At,
        /// What happens to whom.
        #[arg(long)]
        label: String,
        /// The numbers of the nodes to which it happens, from 0; of none where it is left out or empty.
        #[arg(long, default_value = "")]
        nodes: String,
    },
    /// The fault that has begun is over.
    End(At),
    /// Ends the clients, looks at all that is there, and prints the verdict.
    Finish(At),
}

/// Where the oracle listens.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The path of its socket.
    #[arg(long)]
    socket: PathBuf,
}

/// How the oracle runs.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    at: At,
    /// Addresses of the nodes: `http://HOST:PORT`, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    urls: Vec<String>,
    /// The organization that has the bucket `chaos`.
    #[arg(long, default_value = "chaos")]
    org: String,
    /// A file with a token that may write to and read from that bucket.
    #[arg(long)]
    token_file: PathBuf,
    /// What is promised, as in a scenario: JSON such as `{"heal-ms":60000}`.
    #[arg(long, value_parser = promises)]
    promises: Promises,
    /// Between two requests of each client.
    #[arg(long, default_value = "25ms")]
    pace: SignedDuration,
    /// How long it runs at most.
    #[arg(long, default_value = "3h")]
    limit: SignedDuration,
}

/// What somebody says to the oracle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case", deny_unknown_fields)]
enum Call {
    Ready,
    Begin { label: String, nodes: Vec<usize> },
    End,
    Finish,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
enum Answer {
    Done,
    Refused { why: String },
    Finished(Findings),
}

/// What it has come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Findings {
    /// `pass`, `fail` or `unknown`.
    verdict: String,
    violations: Vec<String>,
    doubts: Vec<String>,
    /// Points that were acknowledged.
    acknowledged: usize,
    operations_on_registers: usize,
}

/// Why the oracle cannot run, or be reached.
#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error("{}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not a token", _0.display())]
    Token(PathBuf),
    #[error("{_0} is not the address of a node")]
    Address(String),
    #[error("{_0} are not numbers of nodes")]
    Nodes(String),
    #[error("speaking to the oracle")]
    Speak(#[source] std::io::Error),
    #[error("what the oracle said")]
    Answer(#[source] serde_json::Error),
}

/// Does what was asked for.
pub(crate) fn main(verb: Verb) -> Result<ExitCode, Box<dyn Error>> {
    let (at, said) = match verb {
        Verb::Run(how) => return run(&how),
        Verb::Ready(at) => (at, Call::Ready),
        Verb::Begin { at, label, nodes } => {
            let nodes = numbers(&nodes)?;
            (at, Call::Begin { label, nodes })
        }
        Verb::End(at) => (at, Call::End),
        Verb::Finish(at) => (at, Call::Finish),
    };
    Ok(match call(&at.socket, &said)? {
        Answer::Done => ExitCode::SUCCESS,
        Answer::Refused { why } => {
            say(&why);
            ExitCode::from(1)
        }
        Answer::Finished(findings) => {
            say(&serde_json::to_string(&findings)?);
            ExitCode::SUCCESS
        }
    })
}

fn promises(text: &str) -> Result<Promises, String> {
    let promises: Promises = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match promises.terms() {
        Some(_) => Err("terms are not seen from outside".to_owned()),
        None => Ok(promises),
    }
}

fn numbers(list: &str) -> Result<Vec<usize>, WitnessError> {
    let each = list.split(',').filter(|one| !one.is_empty()).map(str::parse);
    each.collect::<Result<_, _>>().map_err(|_no_number| WitnessError::Nodes(list.to_owned()))
}

fn token(path: &Path) -> Result<String, WitnessError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| WitnessError::File { path: path.to_owned(), source })?;
    match text.trim() {
        token if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(token.to_owned())
        }
        _ => Err(WitnessError::Token(path.to_owned())),
    }
}

fn listen(path: &Path) -> Result<UnixListener, WitnessError> {
    let broken = |source| WitnessError::File { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(broken(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(broken)?;
    listener.set_nonblocking(true).map_err(broken)?;
    Ok(listener)
}

/// Runs the oracle to its limit. The exit code is that of the verdict, or of doubt where nobody has asked for one.
fn run(how: &Run) -> Result<ExitCode, Box<dyn Error>> {
    let token = token(&how.token_file)?;
    let urls: Vec<String> = how.urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    if let Some(strange) = urls.iter().find(|url| !url.starts_with("http://") || url.len() == "http://".len())
    {
        return Err(WitnessError::Address(strange.clone()).into());
    }
    let deadline = now() + Duration::try_from(how.limit)?;
    let listener = listen(&how.at.socket)?;
    // A writer for each probe, and one more for the points that show that the cluster is well again.
    let oracle = Oracle::new(WRITERS + urls.len() + 1);
    let workload =
        Workload::new(&oracle, urls.clone(), &token).of_org(&how.org).at_pace(Duration::try_from(how.pace)?);
    let mut witness = Witness { workload: &workload, nodes: urls.len(), told: Vec::new(), holds: false };
    let asker = with_clients(&workload, WRITERS, urls.len(), || {
        serve(&listener, deadline, |call| witness.answer(call))
    });
    let Some(asker) = asker else {
        say("nobody has asked for the verdict in time");
        return Ok(Verdict::Unknown.exit_code());
    };
    let report = witness.look_back(&oracle, &urls, &how.promises);
    report::tell("oracle", false, &report);
    let findings = Findings {
        verdict: report.verdict.to_string().to_lowercase(),
        violations: report.violations,
        doubts: report.doubts,
        acknowledged: report.counts.acknowledged,
        operations_on_registers: report.operations,
    };
    // Who has asked may be gone; another may ask again.
    drop(answer(asker, &Answer::Finished(findings.clone())));
    while let Some(asker) = serve(&listener, deadline, |_| Answer::Refused { why: "it is over".to_owned() }) {
        drop(answer(asker, &Answer::Finished(findings.clone())));
    }
    Ok(report.verdict.exit_code())
}

/// Answers calls until somebody asks for the verdict, which is then to be answered; nothing once time is up.
fn serve(
    listener: &UnixListener,
    deadline: Instant,
    mut reply: impl FnMut(Call) -> Answer,
) -> Option<UnixStream> {
    while now() < deadline {
        // Whatever becomes of one call, the next is another.
        match listener.accept() {
            Ok((stream, _)) => match hear(&stream) {
                Ok(Call::Finish) => return Some(stream),
                Ok(call) => drop(answer(stream, &reply(call))),
                Err(why) => drop(answer(stream, &Answer::Refused { why })),
            },
            Err(_) => pause(LOOK),
        }
    }
    None
}

fn hear(stream: &UnixStream) -> Result<Call, String> {
    let mut line = String::new();
    stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(CALLER)))
        .and_then(|()| stream.set_write_timeout(Some(CALLER)))
        .and_then(|()| BufReader::new(stream.take(LINE_MAX)).read_line(&mut line))
        .map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| error.to_string())
}

fn answer(mut stream: UnixStream, answer: &Answer) -> Result<(), Box<dyn Error>> {
    let line = serde_json::to_string(answer)? + "\n";
    Ok(stream.write_all(line.as_bytes())?)
}

/// Says something to the oracle, and waits for the answer.
fn call(socket: &Path, call: &Call) -> Result<Answer, WitnessError> {
    let broken = |source| WitnessError::File { path: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).map_err(broken)?;
    let line = serde_json::to_string(call).map_err(WitnessError::Answer)? + "\n";
    stream.write_all(line.as_bytes()).map_err(WitnessError::Speak)?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut line).map_err(WitnessError::Speak)?;
    serde_json::from_str(&line).map_err(WitnessError::Answer)
}

/// What the oracle was told, beside what its clients were.
struct Witness<'a> {
    workload: &'a Workload<'a>,
    nodes: usize,
    told: Vec<Injected>,
    /// Whether the last of them has begun and not ended.
    holds: bool,
}

impl Witness<'_> {
    fn answer(&mut self, call: Call) -> Answer {
        let done = match call {
            Call::Ready => self.ready(),
            Call::Begin { label, nodes } => self.begin(label, nodes),
            Call::End => self.end(),
            Call::Finish => Ok(()),
        };
        done.map_or_else(|why| Answer::Refused { why }, |()| Answer::Done)
    }

    /// Each node must have taken a write and answered a read.
    fn ready(&self) -> Result<(), String> {
        let probes = self.workload.probes();
        let has = |node, status| {
            probes.iter().any(|one| {
                one.node == node && one.outcome == Outcome::Acknowledged && one.status == Some(status)
            })
        };
        match (0..self.nodes).find(|node| !has(*node, 204) || !has(*node, 200)) {
            Some(node) => Err(format!("nothing was written and read through node {node} yet")),
            None => Ok(()),
        }
    }

    fn begin(&mut self, label: String, nodes: Vec<usize>) -> Result<(), String> {
        if let Some(last) = self.told.last().filter(|_| self.holds) {
            return Err(format!("{} has begun and not ended", last.label));
        }
        if let Some(strange) = nodes.iter().find(|node| **node >= self.nodes) {
            return Err(format!("there is no node {strange}"));
        }
        let at = self.workload.elapsed();
        if let Some(last) = self.told.last_mut() {
            last.window.end = at;
        }
        self.told.push(Injected::new(label, nodes, at));
        self.holds = true;
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let last = self.told.last_mut().filter(|_| self.holds).ok_or("nothing has begun")?;
        last.held.end = self.workload.elapsed();
        last.effects.push(Effect { what: "who began it has ended it".to_owned(), took: true });
        self.holds = false;
        Ok(())
    }

    /// Looks at all that is there, once the clients have ended.
    fn look_back(&mut self, oracle: &Oracle, urls: &[String], promises: &Promises) -> Report {
        let end = self.workload.elapsed();
        if let Some(last) = self.told.last_mut() {
            last.window.end = end;
        }
        let usual_rate = judge::measure(&mut self.told, self.workload, oracle, self.nodes);
        let nodes: Vec<(usize, &str)> = urls.iter().map(String::as_str).enumerate().collect();
        let mut doubts = Vec::new();
        let healed = look_at_all(&nodes, self.workload, oracle, promises.heal(), &mut doubts);
        let operations = self.workload.registers.operations();
        judge::judge(promises, oracle, &self.told, usual_rate, &mut doubts);
        let violations = oracle.violations();
        Report {
            verdict: Verdict::of(!violations.is_empty(), !doubts.is_empty()),
            injected: std::mem::take(&mut self.told),
            violations,
            doubts,
            counts: oracle.counts(),
            operations,
            answers: self.workload.answers(),
            usual_rate,
            healed,
        }
    }
}
