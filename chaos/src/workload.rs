//! Clients that write and read while faults happen.
//!
//! A writer keeps to one node until that fails it, then goes to the next and stays away from the failed one for a
//! while, as behind a load balancer; now and then it moves on by itself, so that every node is written to. So a node
//! that hangs holds up its own clients, and the write gap is that of the cluster. Each reader stays with its node, and so
//! does each probe, which writes and reads in turn and waits as long as it takes: it shows how a node serves its clients.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{self, Client, ReadError};
use crate::clock::{now, pause};
use crate::history::{Attempt, Outcome};
use crate::oracle::{self, Oracle};
use crate::register::{KEYS, Operation, Registers, What};

/// Points of a request.
const BATCH: u64 = oracle::SERIES;
/// Between two requests of a client, where nothing else is said.
pub(crate) const PACE: Duration = Duration::from_millis(25);
/// How long clients work before the first fault.
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);
/// How long a writer stays away from a node that failed it.
const AVOID: Duration = Duration::from_secs(3);
/// Requests after which a writer moves on to the next node.
const TURN: usize = 40;
/// Points that a read asks for.
const WINDOW: u64 = 400;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    oracle: &'a Oracle,
    urls: Vec<String>,
    token: String,
    org: Option<String>,
    pace: Duration,
    origin: Instant,
    stop: AtomicBool,
    acknowledged: Mutex<Vec<Duration>>,
    probes: Mutex<Vec<Attempt>>,
    /// What was done to the registers.
    pub(crate) registers: Registers,
    answers: Mutex<Answers>,
}

/// How many requests got which status; those without an answer are under nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) writes: BTreeMap<Option<u16>, usize>,
    pub(crate) reads: BTreeMap<Option<u16>, usize>,
}

/// A writer's choice of nodes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) node: usize,
    requests: usize,
    avoid: Vec<Option<Instant>>,
}

impl Route {
    pub(crate) fn new(node: usize, nodes: usize) -> Self {
        Self { node, requests: 0, avoid: vec![None; nodes] }
    }

    fn next(&mut self) {
        let nodes = self.avoid.len();
        let others = (1..=nodes).map(|step| (self.node + step) % nodes);
        let now = now();
        let good = others.clone().find(|node| self.avoid[*node].is_none_or(|until| until <= now));
        self.node = good.unwrap_or((self.node + 1) % nodes);
        self.requests = 0;
    }

    pub(crate) fn note(&mut self, outcome: Outcome) {
        self.requests += 1;
        if outcome != Outcome::Acknowledged {
            self.avoid[self.node] = Some(now() + AVOID);
            self.next();
        } else if self.requests >= TURN {
            self.next();
        }
    }
}

impl<'a> Workload<'a> {
    /// Clients of the nodes at these addresses.
    pub(crate) fn new(oracle: &'a Oracle, urls: Vec<String>, token: &str) -> Self {
        Self {
            oracle,
            urls,
            token: token.to_owned(),
            org: None,
            pace: PACE,
            origin: now(),
            stop: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            probes: Mutex::default(),
            registers: Registers::default(),
            answers: Mutex::default(),
        }
    }

    /// The same of another organization.
    #[must_use]
    pub(crate) fn of_org(self, org: &str) -> Self {
        Self { org: Some(org.to_owned()), ..self }
    }

    /// The same, with so long between two requests of each client.
    #[must_use]
    pub(crate) fn at_pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// A client with connections of its own.
    pub(crate) fn client(&self, timeout: Duration) -> Client {
        let client = Client::new(&self.token, timeout);
        match &self.org {
            Some(org) => client.of_org(org),
            None => client,
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.origin)
    }

    /// Tells the clients to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether nobody has told the clients to end.
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// When requests were acknowledged.
    pub(crate) fn acknowledgements(&self) -> Vec<Duration> {
        self.acknowledged.lock().expect("no holder panics").clone()
    }

    /// What probes have got: of each write and read whether it succeeded, and when.
    pub(crate) fn probes(&self) -> Vec<Attempt> {
        self.probes.lock().expect("no holder panics").clone()
    }

    /// How requests were answered.
    pub(crate) fn answers(&self) -> Answers {
        self.answers.lock().expect("no holder panics").clone()
    }

    /// Writes until told to stop.
    pub(crate) fn write(&self, writer: usize) {
        let client = self.client(client::WRITE);
        let mut route = Route::new(writer % self.urls.len(), self.urls.len());
        while self.goes_on() {
            let numbers = self.oracle.fresh(writer, BATCH);
            // Some points are sent once whatever comes, others again through another node, as clients do.
            let attempts = 1 + usize::from((numbers.start / BATCH).is_multiple_of(2));
            for _ in 0..attempts {
                let outcome = self.send(&client, writer, &numbers, route.node);
                route.note(outcome);
                if outcome == Outcome::Acknowledged {
                    break;
                }
                pause(self.pace);
            }
            pause(self.pace);
        }
    }

    /// Sends a request of a writer to a node, and notes what is known then.
    pub(crate) fn send(
        &self,
        client: &Client,
        writer: usize,
        numbers: &std::ops::Range<u64>,
        node: usize,
    ) -> Outcome {
        self.oracle.sending(writer, numbers);
        let at = self.elapsed();
        let (outcome, reply) = client.write(&self.urls[node], oracle::lines(writer, numbers));
        let ended = self.elapsed();
        let status = reply.as_ref().map(|reply| reply.status);
        self.oracle.ended(
            writer,
            numbers,
            Attempt { node, at, took: ended.saturating_sub(at), outcome, status },
        );
        *self.answers.lock().expect("no holder panics").writes.entry(status).or_default() += 1;
        if outcome == Outcome::Acknowledged {
            self.acknowledged.lock().expect("no holder panics").push(ended);
        }
        // Clients throw data away at a 4xx, so none may ever come for points that are right.
        if let Some(reply) = reply.filter(|reply| (400..500).contains(&reply.status) && reply.status != 429) {
            let text = client::excerpt(&reply);
            self.oracle.violation(format!("node {node} answers a right write with {}: {text}", reply.status));
        }
        outcome
    }

    /// Overwrites and reads registers, through all nodes in turn, until told to stop.
    pub(crate) fn use_registers(&self, user: usize) {
        let client = self.client(client::READ);
        for step in user.. {
            if !self.goes_on() {
                break;
            }
            // Another key and node with each step, and a write at every other visit of a key.
            let (key, url) = (step % KEYS, &self.urls[(step / KEYS) % self.urls.len()]);
            let start = self.elapsed();
            if (step / KEYS + user).is_multiple_of(2) {
                let value = self.registers.fresh();
                let (outcome, _) = client.write(url, oracle::register_line(key, value));
                let end = (outcome == Outcome::Acknowledged).then(|| self.elapsed());
                if outcome != Outcome::Refused {
                    self.registers.note(key, Operation { what: What::Write(value), start, end });
                }
            } else if let Ok(rows) = client.read(url, &oracle::register_query(key)) {
                let end = Some(self.elapsed());
                if rows.len() > 1 {
                    self.oracle.violation(format!("register {key} has several points: {rows:?}"));
                }
                let value = rows.first().map(|row| row.n);
                self.registers.note(key, Operation { what: What::Read(value), start, end });
            }
            pause(self.pace);
        }
    }

    /// Writes and reads through a node in turn, as `writer`, until told to stop.
    pub(crate) fn probe(&self, writer: usize, node: usize) {
        let client = self.client(client::PROBE);
        while self.goes_on() {
            let numbers = self.oracle.fresh(writer, BATCH);
            self.send(&client, writer, &numbers, node);
            pause(self.pace);
            let reading = self.oracle.begin_read(writer, Some(WINDOW));
            let at = self.elapsed();
            let answer = client.read(&self.urls[node], &oracle::query(&reading));
            let took = self.elapsed().saturating_sub(at);
            let (outcome, status) = match answer {
                Ok(rows) => {
                    self.oracle.end_read(&reading, node, &rows);
                    (Outcome::Acknowledged, Some(200))
                }
                Err(ReadError::Later { status, .. }) => (Outcome::Unknown, status),
                Err(ref wrong @ ReadError::Wrong { status, .. }) => {
                    self.oracle.violation(format!("read through node {node}: {wrong}"));
                    (Outcome::Unknown, Some(status))
                }
            };
            let read = Attempt { node, at, took, outcome, status };
            let write = self.oracle.last_attempt(writer, &numbers);
            self.probes.lock().expect("no holder panics").extend(write.into_iter().chain([read]));
            pause(self.pace);
        }
    }

    /// Reads through a node, the writers in turn, until told to stop.
    pub(crate) fn read(&self, node: usize) {
        let client = self.client(client::READ);
        for writer in (0..self.oracle.writers()).cycle() {
            if !self.goes_on() {
                break;
            }
            let reading = self.oracle.begin_read(writer, Some(WINDOW));
            let answer = client.read(&self.urls[node], &oracle::query(&reading));
            let status = match &answer {
                Ok(_) => Some(200),
                Err(ReadError::Later { status, .. }) => *status,
                Err(ReadError::Wrong { status, .. }) => Some(*status),
            };
            *self.answers.lock().expect("no holder panics").reads.entry(status).or_default() += 1;
            match answer {
                Ok(rows) => self.oracle.end_read(&reading, node, &rows),
                Err(ReadError::Later { .. }) => {}
                Err(wrong) => self.oracle.violation(format!("read through node {node}: {wrong}")),
            }
            pause(self.pace);
        }
    }
}
