//! What happens to nodes, their disks and the ways between them.

use std::time::Duration;

use disk::vfs::sim::{Failure, OpKind, PowerCut};

use crate::node::Part;
use crate::run::World;

/// What a disk that gets full has left at most, and what one that is not has.
const ROOM_MAX: u64 = 256 << 10;
const ROOM: u64 = 1 << 40;

/// What may be the matter with a node or a way between two, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Down {
        node: usize,
    },
    /// Goes down when it hears of a new term next, which is when what it has just promised matters.
    Ambush {
        node: usize,
    },
    /// The disk fails once.
    Disk {
        node: usize,
    },
    /// The disk has little room, or none.
    Full {
        node: usize,
    },
    Cut {
        from: usize,
        to: usize,
    },
    CutOneWay {
        from: usize,
        to: usize,
    },
    Alone {
        node: usize,
    },
    Slow,
}

impl Fault {
    /// Whether it cannot be put in beside one that is there.
    fn is_against(&self, had: &Self) -> bool {
        match (had, self) {
            (
                Self::Down { node: had } | Self::Disk { node: had },
                Self::Down { node: new } | Self::Ambush { node: new } | Self::Disk { node: new },
            )
            | (Self::Full { node: had }, Self::Full { node: new }) => had == new,
            (Self::Down { .. } | Self::Disk { .. } | Self::Full { .. }, _)
            | (_, Self::Down { .. } | Self::Ambush { .. } | Self::Disk { .. } | Self::Full { .. }) => false,
            // One fault of the network at a time: a repair mends all of a node's ways.
            _ => true,
        }
    }
}

impl World<'_> {
    /// The sum of the terms of a node's groups.
    fn terms(&self, node: usize) -> u64 {
        self.desk.places[node].groups().groups.iter().map(|group| group.term).sum()
    }

    /// Ends the node that is waited for, when its time has come.
    pub(crate) fn spring(&mut self) {
        let Some((node, terms, until)) = self.ambush else { return };
        if self.terms(node) > terms {
            self.ambush = None;
            self.go_down(node, until);
        }
    }

    /// Whether a node is down until some time.
    fn is_down(&self, node: usize) -> bool {
        self.now.iter().any(|(_, fault)| matches!(fault, Fault::Down { node: down } if *down == node))
    }

    /// Ends a node's process until a time, unless it is down.
    fn go_down(&mut self, node: usize, until: Duration) {
        if self.is_down(node) || self.desk.places[node].part() != Part::There {
            return;
        }
        let seed = self.chance.number();
        let cut = match self.chance.below(3) {
            0 => PowerCut::Kept,
            1 => PowerCut::Lost,
            _ => PowerCut::Torn { seed, block_bytes: 512 },
        };
        self.note(&format!("{} goes down until {until:?}: {cut:?}", self.desk.places[node].name()));
        self.end(node, cut);
        self.now.push((until, Fault::Down { node }));
    }

    /// Ends a node's process, and leaves of its disk what the cut leaves.
    pub(crate) fn end(&mut self, node: usize, cut: PowerCut) {
        self.sim.crash(self.desk.places[node].name());
        let votes = self.desk.places[node].crash(cut);
        self.disk_failed.remove(&node);
        self.invariants.forget(node, votes);
    }

    /// Ends a node's process; it comes back with an empty disk.
    pub(crate) fn lose_volume(&mut self, now: Duration) {
        let node = self.one(self.nodes);
        let place = &self.desk.places[node];
        if place.part() != Part::There || self.is_down(node) {
            return;
        }
        self.loses_volume = None;
        self.faults += 1;
        self.note(&format!("{} loses its volume", self.desk.places[node].name()));
        self.end(node, PowerCut::Lost);
        self.desk.places[node].lose_volume();
        self.invariants.forget(node, Default::default());
        let until = now + Duration::from_millis(self.chance.between(50, 2000));
        self.now.push((until, Fault::Down { node }));
    }

    /// One of the first places.
    fn one(&mut self, of: usize) -> usize {
        usize::try_from(self.chance.below(of as u64)).unwrap_or(0)
    }

    fn names(&self, node: usize) -> (String, Vec<String>) {
        let name = |at: usize| self.desk.places[at].name().to_owned();
        (name(node), (0..self.desk.places.len()).filter(|at| *at != node).map(name).collect())
    }

    /// Puts a fault in.
    pub(crate) fn fault(&mut self, now: Duration) {
        let all = self.desk.places.len();
        let (one, other) = (self.one(all), self.one(all));
        let until = now + Duration::from_millis(self.chance.between(50, 6000));
        let is_node = one < self.nodes;
        let fault = match self.chance.below(11) {
            3 if is_node => Fault::Ambush { node: one },
            4 if is_node => Fault::Disk { node: one },
            0..=4 => Fault::Down { node: one },
            5 => Fault::Alone { node: one },
            6 => Fault::CutOneWay { from: one, to: other },
            7 | 8 => Fault::Cut { from: one, to: other },
            9 if is_node => Fault::Full { node: one },
            _ => Fault::Slow,
        };
        let is_with_itself =
            matches!(fault, Fault::Cut { from, to } | Fault::CutOneWay { from, to } if from == to);
        let is_there = self.desk.places[one].part() == Part::There;
        if is_with_itself || !is_there || self.now.iter().any(|(_, had)| fault.is_against(had)) {
            return;
        }
        self.faults += 1;
        match fault {
            Fault::Down { node } => return self.go_down(node, until),
            Fault::Ambush { node } => {
                self.note(&format!("{fault:?} until {until:?}"));
                self.ambush = Some((node, self.terms(node), until));
                return;
            }
            Fault::Disk { node } => {
                let kinds =
                    [OpKind::SyncData, OpKind::Write, OpKind::Rename, OpKind::SyncDir, OpKind::Create];
                let kind = *self.chance.pick(&kinds);
                let nth = self.chance.between(1, 40);
                self.note(&format!("{fault:?}: {kind:?} {nth} fails"));
                self.disk_failed.insert(node);
                self.desk.places[node].inject(disk::vfs::sim::Fault::nth(kind, nth, Failure::Io));
            }
            Fault::Full { node } => {
                let room = self.chance.below(ROOM_MAX);
                self.note(&format!("{fault:?}: {room} bytes are left"));
                self.desk.places[node].set_room(room);
            }
            Fault::Cut { from, to } => self.sim.partition(self.names(from).0, self.names(to).0),
            Fault::CutOneWay { from, to } => self.sim.partition_oneway(self.names(from).0, self.names(to).0),
            Fault::Alone { node } => {
                let (name, others) = self.names(node);
                others.into_iter().for_each(|other| self.sim.partition(name.clone(), other));
            }
            Fault::Slow => self.sim.set_max_message_latency(Duration::from_millis(100)),
        }
        self.note(&format!("{fault:?} until {until:?}"));
        self.now.push((until, fault));
    }

    /// Takes faults away whose time is over.
    pub(crate) fn repair(&mut self, now: Duration) {
        let over: Vec<Fault> =
            self.now.extract_if(.., |(until, _)| *until <= now).map(|(_, fault)| fault).collect();
        for fault in over {
            self.note(&format!("no more {fault:?}"));
            match fault {
                Fault::Down { node } if self.desk.places[node].part() == Part::Left => {}
                Fault::Down { node } => self.sim.bounce(self.names(node).0),
                Fault::Ambush { .. } => {}
                // Nobody may end because of what has not happened.
                Fault::Disk { node } => {
                    if self.desk.places[node].heal() {
                        self.disk_failed.remove(&node);
                    }
                }
                Fault::Full { node } => self.desk.places[node].set_room(ROOM),
                Fault::Cut { from, to } => self.sim.repair(self.names(from).0, self.names(to).0),
                Fault::CutOneWay { from, to } => self.sim.repair_oneway(self.names(from).0, self.names(to).0),
                Fault::Alone { node } => {
                    let (name, others) = self.names(node);
                    others.into_iter().for_each(|other| self.sim.repair(name.clone(), other));
                }
                Fault::Slow => self.sim.set_max_message_latency(Duration::from_millis(5)),
            }
        }
    }
}
