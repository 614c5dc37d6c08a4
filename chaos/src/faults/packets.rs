//! What becomes of packets between nodes.

use super::Active;
use crate::cluster::Cluster;
use crate::network::Direction;
use crate::scenario::{Fault, Step};
use crate::switch::{Rounds, Shape, Tally};

/// The ways that a fault concerns.
fn ways(fault: Fault, node: usize, nodes: usize) -> Vec<Direction> {
    let others = (0..nodes).filter(|other| *other != node);
    match fault {
        Fault::Isolate | Fault::Degrade | Fault::Reset | Fault::HalfOpen => {
            others.flat_map(|other| [(node, other), (other, node)]).collect()
        }
        Fault::Deafen => others.map(|other| (other, node)).collect(),
        Fault::Mute => others.map(|other| (node, other)).collect(),
        Fault::CutOff => {
            let other = (node + 1) % nodes;
            vec![(node, other), (other, node)]
        }
        _ => Vec::new(),
    }
}

/// What becomes of their packets.
fn shape(step: &Step) -> Shape {
    let rounds = step.every_ms.map_or(Rounds::Once, Rounds::Every);
    match step.fault {
        Fault::Reset => Shape { resets: Some(rounds), ..Shape::default() },
        _ => step.link.unwrap_or(Shape::CUT),
    }
}

impl Active {
    pub(super) fn shape_ways(&mut self, cluster: &Cluster) {
        let of = |node: &usize| ways(self.step.fault, *node, cluster.nodes.len());
        self.ways = self.nodes.iter().flat_map(of).collect();
        self.ways.sort_unstable();
        self.ways.dedup();
        let shape = shape(&self.step);
        let shapes: Vec<_> = self.ways.iter().map(|way| (*way, shape)).collect();
        if !shapes.is_empty() {
            cluster.network.shape(&shapes);
        }
    }

    /// Makes the ways perfect again, and looks at what they did.
    pub(super) fn free_ways(&mut self, cluster: &Cluster) {
        if self.ways.is_empty() {
            return;
        }
        let tallies = cluster.network.tallies();
        cluster.network.shape(&[]);
        for (from, to) in self.ways.clone() {
            let tally = tallies.get(&(from, to)).copied().unwrap_or_default();
            let (took, what) = effect(&self.step, &tally);
            self.saw(took, format!("from node {from} to node {to}: {what}"));
        }
    }
}

/// Whether a way did everything that it was to do, and what that was.
fn effect(step: &Step, tally: &Tally) -> (bool, String) {
    if step.fault == Fault::Reset {
        let what = format!("{} connections reset, {} opened", tally.resets, tally.opened);
        return (tally.resets > 0 && tally.opened > 0, what);
    }
    let Some(shape) = step.link else {
        return (tally.cut > 0, format!("{} packets of TCP dropped", tally.cut));
    };
    let mut took = tally.frames > 0;
    let mut what = format!("{} packets", tally.frames);
    let mut note = |asked: bool, count: u64, name: &str| {
        if asked {
            took &= count > 0;
            what += &format!(", {count} {name}");
        }
    };
    note(shape.delay_ms > 0 || shape.jitter_ms > 0, tally.delayed, "delayed");
    note(shape.loss_percent > 0.0, tally.lost, "lost");
    note(shape.duplicate_percent > 0.0, tally.duplicated, "sent twice");
    note(shape.reorder_percent > 0.0, tally.reordered, "ahead of others");
    note(shape.largest_bytes > 0, tally.too_long, "too long");
    note(shape.kbit_per_second > 0, tally.delayed + tally.overflowed, "delayed or dropped");
    if let Some(mean) =
        u32::try_from(tally.delayed).ok().filter(|count| *count > 0).map(|count| tally.delays / count)
    {
        what += &format!(", late by {:.1} ms on average", mean.as_secs_f64() * 1000.0);
    }
    if shape.kbit_per_second > 0 {
        let held = step.lasts().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = tally.bytes as f64 * 8.0 / 1000.0 / held;
        what += &format!(", {rate:.0} kbit/s");
    }
    (took, what)
}
