//! The name server of a run: it knows the nodes' names, and says what it knows, or what a scenario wants it to say.
//!
//! A question over UDP has one name; what it has besides is not looked at, nor are names that do not end the plain way.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;

const PORT: u16 = 53;
/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Longest question.
const QUESTION_MAX: usize = 512;
const HEADER: usize = 12;
/// An answer by one who is asked to ask others, and could.
const FLAGS: u16 = 0x8180;
const NO_SUCH_NAME: u16 = 3;
const TYPE_A: [u8; 2] = [0, 1];
/// The name stands at the beginning of the question.
const NAME: [u8; 2] = [0xc0, 12];

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// What it knows.
    #[serde(skip)]
    True,
    /// That there is no such name.
    Unknown,
    /// Nothing.
    Silence,
    /// An address at which nobody is.
    Wrong,
}

/// A name server; it ends when dropped.
#[derive(Debug)]
pub(crate) struct NameServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    book: Mutex<Book>,
    ends: AtomicBool,
}

/// What it knows, and how it is asked.
#[derive(Debug)]
pub(crate) struct Book {
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    answer: Answer,
    /// Who gets a wrong answer is sent there.
    nobody: Ipv4Addr,
    /// How often each has asked since it was told what to say.
    asked: BTreeMap<IpAddr, usize>,
}

impl NameServer {
    /// A server at this address, in the namespace of the calling thread.
    ///
    /// # Errors
    /// The address is not there, or somebody else serves names there.
    pub(crate) fn start(at: Ipv4Addr, nobody: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind((at, PORT))?;
        socket.set_read_timeout(Some(LOOK))?;
        let book = Book { addresses: BTreeMap::new(), answer: Answer::True, nobody, asked: BTreeMap::new() };
        let shared = Arc::new(Shared { socket, book: Mutex::new(book), ends: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("names".to_owned()).spawn(move || serving.serve())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Notes which addresses a name stands for.
    pub(crate) fn know(&self, name: &str, addresses: Vec<Ipv4Addr>) {
        self.shared.book().addresses.insert(name.to_owned(), addresses);
    }

    /// Notes that a name stands for nothing any more.
    pub(crate) fn forget(&self, name: &str) {
        self.shared.book().addresses.remove(name);
    }

    /// Answers so from now on. Answers how often each has asked since this was last said.
    pub(crate) fn answer(&self, answer: Answer) -> BTreeMap<IpAddr, usize> {
        let mut book = self.shared.book();
        book.answer = answer;
        std::mem::take(&mut book.asked)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was said.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder panics")
    }

    fn serve(&self) {
        let mut question = [0; QUESTION_MAX];
        while !self.ends.load(Ordering::Relaxed) {
            // Nobody asks.
            let Ok((length, from)) = self.socket.recv_from(&mut question) else { continue };
            let reply = {
                let mut book = self.book();
                *book.asked.entry(from.ip()).or_default() += 1;
                question.get(..length).and_then(|question| book.reply(question))
            };
            if let Some(reply) = reply {
                // Who did not get it asks again.
                drop(self.socket.send_to(&reply, from));
            }
        }
    }
}

impl Book {
    /// The answer to a question, if it gets one.
    fn reply(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, length) = read_name(question.get(HEADER..)?)?;
        let asked = question.get(HEADER..HEADER + length + 4)?;
        let known = self.addresses.get(&name);
        let addresses = match self.answer {
            Answer::Silence => return None,
            Answer::Unknown => None,
            Answer::Wrong => known.map(|_| vec![self.nobody]),
            Answer::True => known.cloned(),
        };
        let code = if addresses.is_some() { 0 } else { NO_SUCH_NAME };
        let is_of_v4 = asked.get(length..length + 2) == Some(&TYPE_A);
        let addresses = addresses.filter(|_| is_of_v4).unwrap_or_default();
        let mut reply = question.get(..2)?.to_vec();
        let count = u16::try_from(addresses.len()).ok()?;
        for number in [FLAGS | code, 1, count, 0, 0] {
            reply.extend(number.to_be_bytes());
        }
        reply.extend(asked);
        for address in addresses {
            reply.extend(NAME);
            // An address of the internet, for no longer than now, in four bytes.
            reply.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(address.octets());
        }
        Some(reply)
    }
}

/// A name, and how many bytes it takes.
fn read_name(bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        let label = bytes.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
}

#[cfg(test)]
mod tests;
