//! Clients: each writes a series of its own, reads those of all, as new as it likes, and deletes some of its own points,
//! through any node.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use disk::vfs::sim::Random;
use http::{Method, Request};
use model::Consistency;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::timeout;

use crate::chance::chance;
use crate::node::{self, Answer, Place};
use crate::oracle::{Number, Series, Wrong, value};
use crate::parts::now;

/// The token of all clients.
const TOKEN: &str = "a-token-that-all-clients-of-a-simulation-have";
/// How long a client waits for an answer before it does something else.
const PATIENCE: Duration = Duration::from_secs(8);
/// What the errors of queries say that may be answered later.
const LATER: [&str; 6] = [
    "is out of reach",
    "is unavailable",
    "is behind",
    "is overloaded",
    "is led elsewhere",
    "this node is behind",
];
/// The longest bound of a read, in milliseconds.
const BOUND_MS_MAX: u64 = 5000;
/// Series of the database that hold a client's points by turns, so that all partitions have some.
const PARTS: u64 = 4;
/// When points lie, in seconds: long before the simulation begins.
const POINTS_FROM_S: u64 = 1_700_000_000;

/// What happened, in order; equal for equal seeds.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Lines, when they are wanted.
    pub(crate) lines: Option<Vec<String>>,
    pub(crate) hash: u64,
    /// What was wrong.
    pub(crate) violations: Vec<String>,
    /// Acknowledged points, deletes, and reads that were answered.
    pub(crate) written: u64,
    pub(crate) deletes: u64,
    pub(crate) reads: u64,
}

impl Journal {
    pub(crate) fn note(&mut self, line: &str) {
        for byte in format!("{:?} {line}", now()).bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.3} {line}", now().as_secs_f64()));
        }
    }

    pub(crate) fn is_wrong(&mut self, what: String) {
        self.note(&what);
        self.violations.push(what);
    }
}

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) places: Vec<Arc<Place>>,
    pub(crate) series: Vec<Mutex<Series>>,
    pub(crate) journal: Mutex<Journal>,
}

pub(crate) fn request(method: Method, path: &str, body: String) -> Request<Bytes> {
    let request =
        Request::builder().method(method).uri(path).header("Authorization", format!("Token {TOKEN}"));
    request.body(Bytes::from(body)).expect("paths and tokens are of plain text")
}

impl Desk {
    pub(crate) async fn ask(&self, place: &Place, request: Request<Bytes>) -> Option<Answer> {
        let answer = timeout(PATIENCE, place.ask(request)).await.ok().flatten();
        if answer.is_none() {
            // Whoever has nothing to ask rests.
            rest(Duration::from_millis(50)).await;
        }
        answer
    }

    /// Sets the cluster up, through any node that can.
    pub(crate) async fn set_up(&self) {
        let body = serde_json::json!({
            "username": "admin", "password": "correct-horse", "org": "acme", "bucket": "metrics", "token": TOKEN,
        });
        loop {
            for place in &self.places {
                let answer = self.ask(place, request(Method::POST, "/api/v2/setup", body.to_string())).await;
                // It may have been carried out without an answer.
                if answer.is_some_and(|answer| matches!(answer.status, 201 | 422)) {
                    self.journal.lock().note("set up");
                    return;
                }
            }
        }
    }

    /// What one client does until it is told to stop.
    pub(crate) async fn client(&self, client: u64, seed: u64, until: Duration) {
        let mut chance = chance(seed, 1000 + client);
        let mut next: Number = 0;
        while now() < until {
            let place = Arc::clone(chance.pick(&self.places));
            match chance.below(100) {
                0..70 => next = self.write(&place, client, next, chance.between(1, 20)).await,
                70..96 => {
                    let whose = chance.below(self.series.len() as u64);
                    let consistency = consistency(&mut chance);
                    self.read(&place, whose, consistency, chance.one_in(2)).await;
                }
                _ => {
                    // Of what was written: a delete without an answer may come later, and take what was written since.
                    let from = chance.below(next);
                    let end = next.min(from + chance.between(1, 30));
                    if from < end {
                        self.delete(&place, client, from..end).await;
                    }
                }
            }
            rest(Duration::from_millis(chance.between(1, 40))).await;
        }
    }

    fn series(&self, client: u64) -> &Mutex<Series> {
        &self.series[usize::try_from(client).expect("few clients")]
    }

    /// Writes points and answers the next number: the same again, until it is known that they are there.
    pub(crate) async fn write(&self, place: &Place, client: u64, from: Number, count: u64) -> Number {
        let numbers = from..from + count;
        let mut lines = String::new();
        for number in numbers.clone() {
            let (value, time, part) = (value(client, number), POINTS_FROM_S + number, number % PARTS);
            writeln!(lines, "m,c=c{client},p=p{part} v={value}i {time}").expect("a string takes all");
        }
        self.series(client).lock().sends(numbers.clone(), now());
        let path = "/api/v2/write?org=acme&bucket=metrics&precision=s";
        let answer = self.ask(place, self.after(client, request(Method::POST, path, lines))).await;
        let mut journal = self.journal.lock();
        journal.note(&format!("{} c{client} writes {numbers:?}: {:?}", place.name(), said(answer.as_ref())));
        match answer {
            Some(Answer { status: 204, token: Some(token), .. }) => {
                journal.written += count;
                drop(journal);
                self.series(client).lock().is_written(numbers.clone(), token, now());
                numbers.end
            }
            Some(Answer { status: 429 | 503, .. }) | None => from,
            Some(Answer { status, body, token }) => {
                let name = place.name();
                journal.is_wrong(format!("{name}: a write was answered with {status}, {token:?}: {body}"));
                numbers.end
            }
        }
    }

    /// A request that comes after all that a client was told.
    fn after(&self, client: u64, mut request: Request<Bytes>) -> Request<Bytes> {
        if let Some(token) = self.series(client).lock().token() {
            request.headers_mut().insert(node::TOKEN, token.parse().expect("a plain word"));
        }
        request
    }

    /// Reads a series, with the token of its owner or without, and answers what was shown.
    pub(crate) async fn read(
        &self,
        place: &Place,
        whose: u64,
        consistency: Consistency,
        has_token: bool,
    ) -> Option<Vec<(Number, u64)>> {
        let path = format!("/query?db=metrics&epoch=s&q=SELECT%20v%20FROM%20m%20WHERE%20c%3D'c{whose}'");
        let mut asked = request(Method::GET, &path, String::new());
        let level = consistency.to_string();
        asked.headers_mut().insert("X-Tidemark-Consistency", level.parse().expect("a plain word"));
        let as_of = match consistency {
            Consistency::Leader | Consistency::Linearizable => Some(now()),
            Consistency::Bounded(age) => now().checked_sub(age),
            Consistency::Any => None,
        };
        let expected = if has_token {
            asked = self.after(whose, asked);
            self.series(whose).lock().expected_with_token(as_of)
        } else {
            self.series(whose).lock().expected(as_of)
        };
        let level = if has_token { format!("{level} with token") } else { level };
        let answer = self.ask(place, asked).await;
        let mut journal = self.journal.lock();
        let shown = answer.as_ref().map(points);
        let found = match &shown {
            Some(Ok(Some(points))) => format!("{} points", points.len()),
            other => format!("{other:?}"),
        };
        let status = said(answer.as_ref());
        journal.note(&format!("{} c{whose} is read ({level}): {status:?}, {found}", place.name()));
        match shown {
            None | Some(Ok(None)) => None,
            Some(Err(what)) => {
                journal.is_wrong(format!("{}: {what}", place.name()));
                None
            }
            Some(Ok(Some(points))) => {
                journal.reads += 1;
                let checked = self.series(whose).lock().check(&expected, &points, whose, now());
                if let Err(Wrong::Never(what) | Wrong::Old(what)) = checked {
                    journal.is_wrong(format!("{}: a read of c{whose} ({level}): {what}", place.name()));
                }
                Some(points)
            }
        }
    }

    async fn delete(&self, place: &Place, client: u64, numbers: std::ops::Range<Number>) {
        let there = self.series(client).lock().deletes(numbers.clone(), now());
        let time = |number: Number| {
            let seconds = i64::try_from(POINTS_FROM_S + number).expect("few points");
            model::Timestamp(seconds * 1_000_000_000).to_rfc3339()
        };
        let body = serde_json::json!({
            // Both ends are deleted, as in InfluxDB.
            "start": time(numbers.start), "stop": time(numbers.end - 1),
            "predicate": format!("_measurement=\"m\" AND c=\"c{client}\""),
        });
        let path = "/api/v2/delete?org=acme&bucket=metrics";
        let answer = self.ask(place, self.after(client, request(Method::POST, path, body.to_string()))).await;
        let mut journal = self.journal.lock();
        journal.note(&format!("{} c{client} deletes {numbers:?}: {:?}", place.name(), said(answer.as_ref())));
        match answer {
            Some(Answer { status: 204, token: Some(token), .. }) => {
                journal.deletes += 1;
                drop(journal);
                self.series(client).lock().is_gone(&there, token, now());
            }
            Some(Answer { status: 429 | 503, .. }) | None => {}
            Some(Answer { status, body, token }) => {
                let name = place.name();
                journal.is_wrong(format!("{name}: a delete was answered with {status}, {token:?}: {body}"));
            }
        }
    }
}

pub(crate) fn said(answer: Option<&Answer>) -> Option<u16> {
    answer.map(|answer| answer.status)
}

/// How new a read is to be.
fn consistency(chance: &mut Random) -> Consistency {
    match chance.below(10) {
        0..4 => Consistency::Leader,
        4..6 => Consistency::Linearizable,
        6..8 => Consistency::Bounded(Duration::from_millis(chance.between(1, BOUND_MS_MAX))),
        _ => Consistency::Any,
    }
}

/// The points of an answer; none when it says that it cannot say now.
fn points(answer: &Answer) -> Result<Option<Vec<(Number, u64)>>, String> {
    let wrong = || format!("a read was answered with {}: {}", answer.status, answer.body);
    if matches!(answer.status, 429 | 503) {
        return Ok(None);
    }
    let body: Value = serde_json::from_str(&answer.body).map_err(|_error| wrong())?;
    let result = &body["results"][0];
    if result["error"].as_str().is_some_and(|error| LATER.iter().any(|later| error.contains(later))) {
        return Ok(None);
    }
    if answer.status != 200 || !result["error"].is_null() {
        return Err(wrong());
    }
    let rows = result["series"][0]["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let point = |row: &Value| Some((row[0].as_u64()?.checked_sub(POINTS_FROM_S)?, row[1].as_u64()?));
    rows.iter().map(|row| point(row).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
}

#[expect(clippy::disallowed_methods, reason = "time of the simulation")]
pub(crate) async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
