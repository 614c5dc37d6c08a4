//! `tidemark`: `serve` is the server; `inspect`, `verify` and `recover` work on files; every other verb talks to a server
//! over HTTP.
//!
//! Data goes to standard output and talk to standard error. Exit codes: 0 done, 1 error, 2 wrong usage, 3 not
//! found, 4 refused in part, 5 unavailable or out of time, 130 interrupted.

mod allocator;
mod api;
mod cluster;
mod config;
mod doctor;
mod error;
mod inspect;
mod output;
mod pod;
mod profile;
mod queries;
mod query;
mod recover;
mod serve;
mod setup;
mod version;
mod write;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::error::CliError;

/// A clustered time-series database that speaks InfluxDB.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server.
    Serve(serve::Arguments),
    /// Set a new server up: first user, organization, bucket and token.
    Setup(setup::Arguments),
    /// Write line protocol.
    Write(write::Arguments),
    /// Run a Flux or InfluxQL query.
    Query(query::Arguments),
    /// Look at the queries that run, and end one.
    #[command(subcommand)]
    Queries(queries::Verb),
    /// Look at the cluster.
    #[command(subcommand)]
    Cluster(cluster::ClusterVerb),
    /// Look at the nodes of the cluster, empty them, let them go, replace them.
    #[command(subcommand)]
    Node(cluster::NodeVerb),
    /// Look at the partitions of the cluster, and move their replicas.
    #[command(subcommand)]
    Partition(cluster::PartitionVerb),
    /// Look at the groups that replicate the catalog and the partitions, and move who leads them.
    #[command(subcommand)]
    Raft(cluster::RaftVerb),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Verb),
    /// Look into a file of a node's data, without a server.
    #[command(subcommand)]
    Inspect(inspect::Verb),
    /// Check every file of a node's data directory while the node is stopped.
    Verify(inspect::VerifyArguments),
    /// Make what is left of a cluster a cluster again, after most replicas of something were lost for good. All nodes
    /// are stopped meanwhile. The last resort: what only the lost nodes had is lost.
    #[command(subcommand)]
    Recover(recover::Verb),
    /// Check nodes, their machines, Kubernetes and Prometheus against the production checklist. It changes nothing.
    Doctor(doctor::Arguments),
    /// Ask the server on this machine how it is, as its configuration says where it answers.
    Probe(pod::ProbeArguments),
    /// Make the server of this container ready to be stopped, as a `preStop` hook.
    PreStop(pod::PreStopArguments),
    /// Write down in which zone a Kubernetes node is, for init containers.
    Zone(pod::ZoneArguments),
    /// Print the version.
    Version(version::Arguments),
}

fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => error.exit(),
    };
    let verb = Cli::from_arg_matches(&matches).map_or_else(|error| error.exit(), |cli| cli.verb);
    match run(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Setup(arguments) => setup::run(arguments),
        Verb::Write(arguments) => write::run(arguments),
        Verb::Query(arguments) => query::run(arguments),
        Verb::Queries(verb) => queries::run(verb),
        Verb::Cluster(verb) => cluster::cluster(verb),
        Verb::Node(verb) => cluster::node(verb),
        Verb::Partition(verb) => cluster::partition(verb),
        Verb::Raft(verb) => cluster::raft(verb),
        Verb::Config(config::Verb::Show(arguments)) => config::show(arguments),
        Verb::Inspect(verb) => inspect::run(verb),
        Verb::Verify(arguments) => inspect::verify(&arguments),
        Verb::Recover(verb) => recover::run(verb),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Probe(arguments) => pod::probe(&arguments),
        Verb::PreStop(arguments) => pod::pre_stop(&arguments),
        Verb::Zone(arguments) => pod::zone(&arguments),
        Verb::Version(arguments) => version::run(arguments),
    }
}
