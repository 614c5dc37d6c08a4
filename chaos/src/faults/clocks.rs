//! Clocks that jump.

use std::time::{Duration, UNIX_EPOCH};

use testkit::Request;

use super::{Active, FaultError};
use crate::calendar;
use crate::client::{self, Client};
use crate::clock;
use crate::clock::wait_until;
use crate::cluster::{Cluster, TOKEN};

/// How long a node may take to take a point, and to show the time that it gave it.
const ASK: Duration = Duration::from_secs(20);
/// How far from what was asked its clock may be: the question takes time.
const NEAR_MS: i64 = 30_000;

impl Active {
    pub(super) fn jump(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let by = self.step.by_ms.unwrap_or_default();
        self.set_clock(cluster, node, by)
    }

    pub(super) fn jump_back(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        self.set_clock(cluster, node, 0)
    }

    fn set_clock(&mut self, cluster: &Cluster, node: usize, ahead_ms: i64) -> Result<(), FaultError> {
        let disk = |source| FaultError::Disk { node, source };
        calendar::set(&cluster.nodes[node].clock(), ahead_ms).map_err(disk)?;
        let seen = wait_until(ASK, || ahead(cluster, node));
        let took = seen.as_ref().is_ok_and(|seen| (seen - ahead_ms).abs() < NEAR_MS);
        self.saw(took, format!("node {node}'s clock is ahead by {seen:?} ms, asked for {ahead_ms}"));
        Ok(())
    }
}

/// How many milliseconds a node's clock is ahead of ours: by the time that it gives a point that comes without one.
fn ahead(cluster: &Cluster, node: usize) -> Result<i64, String> {
    let client = Client::new(TOKEN, client::READ);
    let url = &cluster.nodes[node].url;
    let name = format!("clock_{:x}", millis());
    let write = Request::new("POST", format!("{url}/api/v2/write?org=chaos&bucket=chaos"));
    let written = client.send(write.body(format!("{name} n=1i,w=1i"))).map_err(|error| error.to_string())?;
    if written.status != 204 {
        return Err(client::excerpt(&written));
    }
    let rows = client.read(url, &format!("SELECT n, w FROM {name}")).map_err(|error| error.to_string())?;
    let given = rows.first().map(|row| row.time / 1_000_000).ok_or("the point is not there")?;
    i64::try_from(given).map(|given| given - millis()).map_err(|error| error.to_string())
}

fn millis() -> i64 {
    let since = clock::calendar().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
