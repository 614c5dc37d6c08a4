//! A bound of the time that a node has on processors: so much in each period, at whose end it goes on. What it used up at
//! once it waits for, so a long period makes it stand still for long.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::control_group::{ControlGroup, Controller};

/// Processors, where their time can be bounded.
const PROCESSOR: Controller<Files> = Controller { name: "cpu", root: "/sys/fs/cgroup/cpu", v1: &V1, v2: &V2 };

/// Where version 1 has its groups.
pub(crate) const ROOT: &str = PROCESSOR.root;

/// The files of a group. Both versions have `cpu.stat`, with lines for periods that ran out and for the time waited.
#[derive(Debug)]
struct Files {
    /// Microseconds of processors in a period; in version 2 the period follows.
    quota: &'static str,
    /// Microseconds of a period.
    period: Option<&'static str>,
    no_quota: &'static str,
    /// The line with the time waited, and how many of its units a microsecond has.
    waited: (&'static str, u64),
}

const V1: Files = Files {
    quota: "cpu.cfs_quota_us",
    period: Some("cpu.cfs_period_us"),
    no_quota: "-1",
    waited: ("throttled_time", 1000),
};
const V2: Files = Files { quota: "cpu.max", period: None, no_quota: "max", waited: ("throttled_usec", 1) };
const STAT: &str = "cpu.stat";

/// A group with a quota of processors.
#[derive(Debug)]
pub(crate) struct ProcessorGroup(ControlGroup<Files>);

/// What a quota has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// Periods in which it ran out.
    pub(crate) periods: u64,
    /// How long threads were kept from running, the times of different processors added.
    pub(crate) waited: Duration,
}

impl ProcessorGroup {
    /// A group without a quota for a node.
    ///
    /// # Errors
    /// Control groups of processors cannot be made here.
    pub(crate) fn create(node: usize) -> io::Result<Self> {
        ControlGroup::create(&PROCESSOR, node, |files| files.quota).map(Self)
    }

    /// The file that takes the id of a process that is to be in the group.
    pub(crate) fn members(&self) -> PathBuf {
        self.0.members()
    }

    /// Leaves the group so much of one processor, in each period.
    pub(crate) fn limit(&self, percent: u8, period: Duration) -> io::Result<()> {
        let files = self.0.files;
        let (quota, period) = (period.as_micros() * u128::from(percent) / 100, period.as_micros());
        match files.period {
            Some(file) => {
                self.0.write(file, &period.to_string())?;
                self.0.write(files.quota, &quota.to_string())
            }
            None => self.0.write(files.quota, &format!("{quota} {period}")),
        }
    }

    /// Takes the quota away.
    pub(crate) fn free(&self) -> io::Result<()> {
        self.0.write(self.0.files.quota, self.0.files.no_quota)
    }

    /// What quotas have done so far.
    pub(crate) fn throttled(&self) -> io::Result<Throttled> {
        let (name, units) = self.0.files.waited;
        let waited = Duration::from_micros(self.0.count(STAT, name)? / units);
        Ok(Throttled { periods: self.0.count(STAT, "nr_throttled")?, waited })
    }
}
