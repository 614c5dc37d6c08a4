//! `tidemark recover`: reports of the nodes that are left, one plan of all of them, and the plan carried out on each.

use std::path::PathBuf;

use server::recover::{self, RecoverError};
use server::{Fate, GroupFate};

use crate::error::CliError;
use crate::output;

/// Verbs of `tidemark recover`, in the order in which they are needed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Write down what a stopped node has. To be done on every node that is left, before anything else.
    Report(ReportArguments),
    /// Say from the reports of all nodes that are left what is lost, and write a plan.
    Plan(PlanArguments),
    /// Carry the plan out on a stopped node. To be done on every node that is left, and again where it was interrupted,
    /// before any of them is started.
    Apply(ApplyArguments),
}

/// Where a stopped node's data are.
#[derive(Debug, clap::Args)]
pub(crate) struct Stopped {
    /// Data directory of a node that does not run.
    #[arg(long, value_name = "DIR", default_value = "./tidemark-data", env = "TIDEMARK_DATA_DIR")]
    data_dir: PathBuf,
}

/// Arguments of `tidemark recover report`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    stopped: Stopped,
    /// The file to write.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `tidemark recover plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArguments {
    /// The reports of all nodes that are left.
    #[arg(required = true, value_name = "REPORT")]
    reports: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: PathBuf,
    /// Make partitions of which nobody has anything anew, without anything in them.
    #[arg(long)]
    make_lost_partitions_empty: bool,
}

/// Arguments of `tidemark recover apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    stopped: Stopped,
    /// The plan.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Id of the cluster that is given up, as the plan has said it.
    #[arg(long, value_name = "ID")]
    cluster_id: String,
    /// You know what the plan says is lost, and that it cannot be had back from the lost nodes afterwards.
    #[arg(long)]
    i_accept_data_loss: bool,
    /// Partitions may be made anew without anything in them, as the plan says.
    #[arg(long)]
    make_lost_partitions_empty: bool,
    /// Faults of the disk, for tests.
    #[arg(long, hide = true, default_value = "", env = "TIDEMARK_DISK_FAULTS")]
    disk_faults: String,
}

pub(crate) fn run(verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Report(arguments) => report(&arguments),
        Verb::Plan(arguments) => plan(&arguments),
        Verb::Apply(arguments) => apply(&arguments),
    }
}

fn report(ReportArguments { stopped, output }: &ReportArguments) -> Result<(), CliError> {
    let report = recover::report(&stopped.data_dir, output)?;
    output::say(&format!(
        "node {} of cluster {} has members of {} groups; written to {}. Do not start it before the plan is carried out, or \
         given up",
        report.node(),
        report.cluster_id(),
        report.groups(),
        output.display()
    ));
    Ok(())
}

/// Which groups lose something goes to standard output, one a line; the rest to standard error.
fn plan(arguments: &PlanArguments) -> Result<(), CliError> {
    let prospect = recover::plan(&arguments.reports, arguments.make_lost_partitions_empty)?;
    let loses = |group: &&GroupFate| !matches!(group.fate, Fate::Whole { .. });
    for group in prospect.groups.iter().filter(loses) {
        output::print_line(&group.to_string())?;
    }
    let whole = prospect.groups.len() - prospect.groups.iter().filter(loses).count();
    output::say(&format!(
        "{whole} of {} groups have everything that was acknowledged",
        prospect.groups.len()
    ));
    let plan = prospect.plan.map_err(RecoverError::from)?;
    recover::write_plan(&plan, &arguments.output)?;
    for (node, address) in plan.lost() {
        output::say(&format!("node {node} ({address}) is given up: should it come back, it is refused"));
    }
    let nodes: Vec<String> = plan.survivors().map(|node| node.to_string()).collect();
    let more = if plan.makes_empty() { " --make-lost-partitions-empty" } else { "" };
    output::say(&format!("cluster {} becomes {}", plan.old_cluster(), plan.new_cluster()));
    output::say(&format!(
        "written to {}. To carry it out, on each of the nodes {} before any of them is started:\n  tidemark recover apply \
         --data-dir DIR --plan {} --cluster-id {} --i-accept-data-loss{more}",
        arguments.output.display(),
        nodes.join(", "),
        arguments.output.display(),
        plan.old_cluster()
    ));
    Ok(())
}

fn apply(arguments: &ApplyArguments) -> Result<(), CliError> {
    let ApplyArguments {
        stopped,
        plan,
        cluster_id,
        i_accept_data_loss,
        make_lost_partitions_empty,
        disk_faults,
    } = arguments;
    if !i_accept_data_loss {
        return Err(CliError::Usage(
            "what only the lost nodes had is lost for good: to go on, say so by --i-accept-data-loss"
                .to_owned(),
        ));
    }
    let plan = recover::read_plan(plan)?;
    if plan.makes_empty() && !make_lost_partitions_empty {
        return Err(CliError::Usage(
            "the plan makes partitions anew without anything in them: to go on, say so by --make-lost-partitions-empty"
                .to_owned(),
        ));
    }
    let applied = recover::apply(&stopped.data_dir, &plan, cluster_id, disk_faults)?;
    let (node, chosen) = (applied.node, applied.chosen);
    output::say(&if applied.was_done {
        format!("the plan was carried out on node {node} before")
    } else {
        format!("the plan is carried out on node {node}: it goes on alone with {chosen} groups")
    });
    Ok(())
}
