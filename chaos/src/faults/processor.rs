//! Processors of which little is left.

use std::time::Duration;

use super::{Active, FaultError};
use crate::cluster::Cluster;
use crate::node::NodeError;
use crate::processor::{ProcessorGroup, Throttled};

/// The period where none is given: what container runtimes use.
const PERIOD: Duration = Duration::from_millis(100);

impl Active {
    /// Leaves a node so much of a processor.
    pub(super) fn throttle(&mut self, cluster: &Cluster, node: usize) -> Result<(), FaultError> {
        let failed = |source| FaultError::Processor { node, source };
        let group = bound(cluster.nodes[node].processor.as_ref(), node)?;
        self.throttled.push(group.throttled().map_err(failed)?);
        let period = self.step.period_ms.map_or(PERIOD, Duration::from_millis);
        group.limit(self.step.percent.unwrap_or_default(), period).map_err(failed)
    }

    /// Takes the bound away, and looks what it did beyond `before`.
    pub(super) fn unthrottle(
        &mut self,
        cluster: &Cluster,
        node: usize,
        before: Throttled,
    ) -> Result<(), FaultError> {
        let failed = |source| FaultError::Processor { node, source };
        let group = bound(cluster.nodes[node].processor.as_ref(), node)?;
        let after = group.throttled().map_err(failed)?;
        group.free().map_err(failed)?;
        let periods = after.periods.saturating_sub(before.periods);
        let waited = after.waited.saturating_sub(before.waited);
        self.saw(
            periods > 0 && !waited.is_zero(),
            format!("node {node} was held up in {periods} periods, for {:.1} s in all", waited.as_secs_f64()),
        );
        Ok(())
    }
}

fn bound(group: Option<&ProcessorGroup>, node: usize) -> Result<&ProcessorGroup, FaultError> {
    Ok(group.ok_or(NodeError::Down(node))?)
}
