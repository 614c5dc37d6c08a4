//! The switch that joins the namespaces: one thread that takes Ethernet frames from a TAP device in each and puts them into
//! others, at once or as the [`Shape`] of the way between them says. It needs nothing of the kernel but TAP devices, and
//! sees every frame, so that it can tell what it has done to them.
//!
//! The last octet of a MAC address is the number of the port, from 1; what is sent to no single one goes to all.

mod link;
mod reset;
mod segment;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::setpriority_process;
use tun_rs::SyncDevice;

use self::link::Link;
pub(crate) use self::link::{Shape, Tally};
pub(crate) use self::reset::Rounds;
use crate::clock::now;

/// Longest frame.
const FRAME_MAX: usize = 2048;
/// Frames that are taken from one port before the next has its turn.
const TURN: usize = 64;
/// Bytes that may wait for their time; what comes then is dropped.
const WAITING_MAX: usize = 64 << 20;
/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Frames are passed on even when the machine has other things to do.
const NICE: i32 = -10;
/// What is drawn by chance is drawn alike in each run.
const SEED: u64 = 0x7469_6465;

/// A way between two ports, by their numbers.
pub(crate) type Direction = (usize, usize);

/// The switch; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Switch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    ways: Mutex<Ways>,
    ends: AtomicBool,
}

#[derive(Debug)]
struct Ways {
    /// Those that are not perfect.
    links: BTreeMap<Direction, Link>,
    rng: Rng,
}

/// A frame that waits, ordered by when it is to arrive.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Instant,
    /// Of two at the same time the first comes first.
    number: u64,
    to: usize,
    frame: Vec<u8>,
}

impl Switch {
    /// Joins these devices; the place of each is its number.
    ///
    /// # Errors
    /// A device or the thread refuses.
    pub(crate) fn start(ports: Vec<SyncDevice>) -> io::Result<Self> {
        for port in &ports {
            port.set_nonblocking(true)?;
        }
        let ways = Ways { links: BTreeMap::new(), rng: Rng::with_seed(SEED) };
        let shared = Arc::new(Shared { ways: Mutex::new(ways), ends: AtomicBool::new(false) });
        let forwarder = Forwarder {
            ports,
            shared: Arc::clone(&shared),
            waiting: BinaryHeap::new(),
            waiting_bytes: 0,
            number: 0,
        };
        let thread = std::thread::Builder::new().name("switch".to_owned()).spawn(move || forwarder.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Gives ways their shapes; all others are perfect from now on.
    pub(crate) fn shape(&self, shapes: &[(Direction, Shape)]) {
        let now = now();
        let links = shapes.iter().map(|(way, shape)| (*way, Link::new(*shape, now))).collect();
        self.shared.ways.lock().expect("no holder panics").links = links;
    }

    /// What the ways with shapes have done.
    pub(crate) fn tallies(&self) -> BTreeMap<Direction, Tally> {
        let ways = self.shared.ways.lock().expect("no holder panics");
        ways.links.iter().map(|(way, link)| (*way, link.tally)).collect()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was said.
            drop(thread.join());
        }
    }
}

struct Forwarder {
    ports: Vec<SyncDevice>,
    shared: Arc<Shared>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    waiting_bytes: usize,
    number: u64,
}

impl Forwarder {
    fn run(mut self) {
        // Without the right to it, as fast as others.
        setpriority_process(Some(rustix::thread::gettid()), NICE).ok();
        let mut frame = [0_u8; FRAME_MAX];
        while !self.shared.ends.load(Ordering::Relaxed) {
            let timeout = self.deliver();
            for from in self.readable(timeout) {
                for _ in 0..TURN {
                    // Nothing more, or the device is not up.
                    let Ok(length) = self.ports[from].recv(&mut frame) else { break };
                    if let Some(frame) = frame.get(..length) {
                        self.forward(from, frame);
                    }
                }
            }
        }
    }

    /// Puts out what is due. Answers how long nothing more is.
    fn deliver(&mut self) -> Duration {
        let now = now();
        while let Some(Reverse(first)) = self.waiting.peek() {
            if first.at > now {
                return (first.at - now).min(LOOK);
            }
            if let Some(Reverse(first)) = self.waiting.pop() {
                self.waiting_bytes -= first.frame.len();
                self.put(first.to, &first.frame);
            }
        }
        LOOK
    }

    /// The ports with frames, once there is one.
    fn readable(&self, timeout: Duration) -> Vec<usize> {
        let mut fds: Vec<PollFd<'_>> =
            self.ports.iter().map(|port| PollFd::new(port, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(timeout).unwrap_or_default();
        // Interrupted at worst.
        if poll(&mut fds, Some(&timeout)).is_err() {
            return Vec::new();
        }
        let has = |(port, fd): (usize, &PollFd<'_>)| fd.revents().contains(PollFlags::IN).then_some(port);
        fds.iter().enumerate().filter_map(has).collect()
    }

    fn forward(&mut self, from: usize, frame: &[u8]) {
        let Some(destination) = frame.get(..6) else { return };
        let one = usize::from(destination[5]).checked_sub(1).filter(|port| *port < self.ports.len());
        let is_for_one = destination[0] & 1 == 0;
        for to in (0..self.ports.len()).filter(|to| *to != from && (!is_for_one || Some(*to) == one)) {
            let now = now();
            let (resets, arrivals) = {
                let mut ways = self.shared.ways.lock().expect("no holder panics");
                let Ways { links, rng } = &mut *ways;
                match links.get_mut(&(from, to)) {
                    None => (None, [Some(now), None]),
                    Some(link) => match link.reset(frame, now) {
                        Some(resets) => (Some(resets), [None, None]),
                        None => (None, link.pass(frame, now, rng)),
                    },
                }
            };
            if let Some([onward, back]) = resets {
                self.put(to, &onward);
                self.put(from, &back);
            }
            for at in arrivals.into_iter().flatten() {
                if at <= now {
                    self.put(to, frame);
                } else if self.waiting_bytes + frame.len() <= WAITING_MAX {
                    self.number += 1;
                    self.waiting_bytes += frame.len();
                    let waiting = Waiting { at, number: self.number, to, frame: frame.to_owned() };
                    self.waiting.push(Reverse(waiting));
                }
            }
        }
    }

    /// As on any network, what a host does not take is gone.
    fn put(&self, to: usize, frame: &[u8]) {
        drop(self.ports[to].send(frame));
    }
}
