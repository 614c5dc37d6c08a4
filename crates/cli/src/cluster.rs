//! `tidemark cluster`, `node`, `partition` and `raft`: the nodes and groups of a cluster, where replicas are, and who
//! leads them.

mod compare;
mod drain;

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, encode};
use crate::error::CliError;
use crate::output::{self, Format, Rows};
use crate::profile::Connection;

/// Pause between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Verbs of `tidemark cluster`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClusterVerb {
    /// Print one line for each node: where it is, what it leads, how far it is behind. A table is followed by one of
    /// the gateways, and one of the replicas on their way.
    Status(StatusArguments),
    /// Say how many replicas each partition is to have: an odd number. They come and go by and by, as far as there are
    /// nodes.
    SetReplication(ReplicationArguments),
    /// End an upgrade: once all nodes run a newer version, let the cluster use what only that understands. There is no way
    /// back to the older version.
    Finalize(FinalizeArguments),
}

/// Verbs of `tidemark node`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeVerb {
    /// Print the nodes.
    Ls(Arguments),
    /// Print the groups that have a member on a node.
    Status(NodeArguments),
    /// Let what a node has go to other nodes, so that it may stop or leave.
    Drain(DrainArguments),
    /// Let a node that drains have its share again.
    Undrain(OrderArguments),
    /// Let a node that holds nothing leave for good. Its process ends.
    Decommission(OrderArguments),
    /// Give up a node whose volume is gone: what it had is made anew elsewhere. A node with an empty volume at the same
    /// address does so by itself when it joins.
    Replace(ReplaceArguments),
}

/// Verbs of `tidemark partition`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PartitionVerb {
    /// Print the partitions, and where their replicas are.
    Ls(Arguments),
    /// Print the replicas on their way.
    Moves(Arguments),
    /// Let the replicas of each partition compute what they hold at the same entry of its log, and print whether it is
    /// the same. Fails where it is not.
    Compare(CompareArguments),
    /// Move the replica of a partition from one node to another. Others may move the other way, so that nodes hold as
    /// many as one another.
    Move(MoveArguments),
}

/// Verbs of `tidemark raft`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RaftVerb {
    /// Print the members of all groups, and how far each has got.
    Status(Arguments),
    /// Let another member of a group lead it.
    TransferLeader(TransferArguments),
}

/// Arguments of verbs that print.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How rows are printed: a table on a terminal, CSV else.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark partition compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArguments {
    /// The partitions; all, when none is named.
    partitions: Vec<u16>,
    #[command(flatten)]
    common: Arguments,
}

/// Arguments of `tidemark cluster status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    /// Print again every two seconds, until interrupted.
    #[arg(long, short = 'w')]
    watch: bool,
    #[command(flatten)]
    common: Arguments,
}

/// Arguments of `tidemark cluster set-replication`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplicationArguments {
    /// Replicas of each partition: 1, 3, 5 or 7.
    replicas: u8,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark cluster finalize`.
#[derive(Debug, clap::Args)]
pub(crate) struct FinalizeArguments {
    /// The feature level; without it, the newest that all nodes understand.
    #[arg(long)]
    level: Option<u16>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark node status`.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArguments {
    /// Id of the node.
    node: String,
    #[command(flatten)]
    common: Arguments,
}

/// Arguments of verbs that order something of a node.
#[derive(Debug, clap::Args)]
pub(crate) struct OrderArguments {
    /// Id of the node.
    node: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark node drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct DrainArguments {
    /// Wait until the node holds nothing, and say how far it is.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `tidemark partition move`.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArguments {
    /// The partition.
    partition: u16,
    /// Id of the node that has a replica.
    from: String,
    /// Id of the node that gets it.
    to: String,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark raft transfer-leader`.
#[derive(Debug, clap::Args)]
pub(crate) struct TransferArguments {
    /// The group: `meta`, `data-3`, or the number of a partition.
    group: String,
    /// Id of the node whose member is to lead.
    node: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn cluster(verb: ClusterVerb) -> Result<(), CliError> {
    let StatusArguments { watch, common } = match verb {
        ClusterVerb::Status(arguments) => arguments,
        ClusterVerb::SetReplication(ReplicationArguments { replicas, connection }) => {
            let body = json!({ "replicas": replicas });
            order(&Api::new(connection.resolve()?), "/api/v1/cluster/replication", &body)?;
            output::say(&format!(
                "each partition gets {replicas} replicas, as far as there are nodes; `tidemark cluster status -w` shows how \
                 far that is"
            ));
            return Ok(());
        }
        ClusterVerb::Finalize(FinalizeArguments { level, connection }) => {
            let api = Api::new(connection.resolve()?);
            order(&api, "/api/v1/cluster/finalize", &json!({ "level": level }))?;
            let survey = look(&api, "/api/v1/cluster/status")?;
            output::say(&format!("the cluster is at feature level {}", output::plain(&survey["level"])));
            return Ok(());
        }
    };
    let (api, format) = common.open()?;
    let sections = |survey: &Value| match format {
        Format::Table => vec![status(survey), gateways(&survey["gateways"]), moves(&survey["moves"])],
        Format::Json | Format::Csv => vec![status(survey)],
    };
    if !watch {
        return output::print_all(format, &sections(&look(&api, "/api/v1/cluster/status")?));
    }
    loop {
        match look(&api, "/api/v1/cluster/status") {
            Ok(survey) => output::print_anew(format, &sections(&survey))?,
            // The node that is asked may be the one that is restarting.
            Err(error) if is_passing(&error) => output::complain(&error),
            Err(error) => return Err(error),
        }
        pause();
    }
}

/// Looks at the cluster. Says when what it sees may be old.
fn look(api: &Api, path: &str) -> Result<Value, CliError> {
    let seen = api.get_json(path)?;
    if seen["isCurrent"] == false {
        output::say("the node that was asked hears of no majority of the meta group: this may be old");
    }
    Ok(seen)
}

/// Whether another look may succeed.
const fn is_passing(error: &CliError) -> bool {
    matches!(error, CliError::Unreachable { .. } | CliError::Refused { status: 503, .. })
}

fn pause() {
    wait(LOOK_EVERY);
}

#[expect(clippy::disallowed_methods, reason = "a person looks on, in real time")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

pub(crate) fn node(verb: NodeVerb) -> Result<(), CliError> {
    match verb {
        NodeVerb::Ls(arguments) => {
            let (api, format) = arguments.open()?;
            let nodes = look(&api, "/api/v1/cluster/nodes")?;
            let columns = ["id", "state", "role", "zone", "address", "version", "replicas", "leads", "uuid"];
            output::print(format, table(&nodes["nodes"], &columns))
        }
        NodeVerb::Status(NodeArguments { node, common }) => {
            let (api, format) = common.open()?;
            let node = look(&api, &format!("/api/v1/cluster/nodes/{}", encode(&node)))?;
            if let Some(reason) = node["node"]["reason"].as_str() {
                output::say(&format!("the node is away: {reason}"));
            }
            let columns =
                ["group", "replica", "isVoter", "isLeader", "term", "committed", "applied", "last", "lag"];
            output::print(format, table(&node["groups"], &columns))
        }
        NodeVerb::Drain(DrainArguments { wait, order }) => {
            let (api, node) = order.give("drain")?;
            if wait {
                return drain::wait(&api, &node);
            }
            output::say(&format!("node {node} drains; `tidemark cluster status -w` shows how far it is"));
            Ok(())
        }
        NodeVerb::Undrain(order) => {
            let (_api, node) = order.give("undrain")?;
            output::say(&format!("node {node} gets its share again"));
            Ok(())
        }
        NodeVerb::Decommission(order) => {
            let (_api, node) = order.give("decommission")?;
            output::say(&format!("node {node} has left the cluster for good, and its process ends"));
            Ok(())
        }
        NodeVerb::Replace(ReplaceArguments { i_accept_data_loss, order }) => {
            let body = json!({ "acceptDataLoss": i_accept_data_loss });
            let (_api, node) = order.give_with("replace", &body)?;
            output::say(&format!(
                "node {node} is given up; what it had is made anew where there is room for it"
            ));
            Ok(())
        }
    }
}

pub(crate) fn partition(verb: PartitionVerb) -> Result<(), CliError> {
    let arguments = match verb {
        PartitionVerb::Ls(arguments) => arguments,
        PartitionVerb::Moves(arguments) => {
            let (api, format) = arguments.open()?;
            return output::print(format, moves(&look(&api, "/api/v1/cluster/moves")?["moves"]));
        }
        PartitionVerb::Compare(arguments) => return compare::compare(arguments),
        PartitionVerb::Move(MoveArguments { partition, from, to, connection }) => {
            let body = json!({ "partition": partition, "from": from, "to": to });
            order(&Api::new(connection.resolve()?), "/api/v1/cluster/move", &body)?;
            output::say(&format!("partition {partition} moves from node {from} to node {to}"));
            return Ok(());
        }
    };
    let (api, format) = arguments.open()?;
    let partitions = look(&api, "/api/v1/cluster/partitions")?;
    let rows = array(&partitions["partitions"]).iter().map(|partition| {
        let nodes = array(&partition["replicas"]).iter().map(|replica| output::plain(&replica["node"]));
        let lag = array(&partition["replicas"]).iter().filter_map(|replica| replica["lag"].as_u64()).max();
        let nodes: Vec<String> = nodes.collect();
        vec![
            partition["partition"].clone(),
            partition["leader"].clone(),
            nodes.join(" ").into(),
            partition["term"].clone(),
            partition["committed"].clone(),
            lag.into(),
        ]
    });
    let columns = ["partition", "leader", "replicas", "term", "committed", "lag"];
    output::print(format, named(&columns, rows.collect()))
}

pub(crate) fn raft(verb: RaftVerb) -> Result<(), CliError> {
    match verb {
        RaftVerb::Status(arguments) => {
            let (api, format) = arguments.open()?;
            let groups = look(&api, "/api/v1/cluster/raft")?;
            let rows = array(&groups["groups"]).iter().flat_map(|group| {
                array(&group["replicas"]).iter().map(|replica| {
                    let is_leader = replica["node"] == group["leader"];
                    vec![
                        group["group"].clone(),
                        replica["node"].clone(),
                        replica["replica"].clone(),
                        role(replica, is_leader).into(),
                        group["term"].clone(),
                        group["committed"].clone(),
                        replica["applied"].clone(),
                        replica["last"].clone(),
                        replica["lag"].clone(),
                    ]
                })
            });
            let columns = ["group", "node", "replica", "role", "term", "committed", "applied", "last", "lag"];
            output::print(format, named(&columns, rows.collect()))
        }
        RaftVerb::TransferLeader(TransferArguments { group, node, connection }) => {
            let api = Api::new(connection.resolve()?);
            let body = json!({ "group": group, "node": node });
            order(&api, "/api/v1/cluster/transfer-leader", &body)?;
            output::say(&format!("the member of group {group} on node {node} leads"));
            Ok(())
        }
    }
}

/// Arguments of `tidemark node replace`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplaceArguments {
    /// Give it up also while it answers, or where what only nodes have that do not answer is lost by it.
    #[arg(long)]
    i_accept_data_loss: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Gives an order, which is answered without words.
fn order(api: &Api, path: &str, body: &Value) -> Result<(), CliError> {
    api.post(path, &[("content-type", "application/json")], body.to_string().into_bytes()).map(drop)
}

impl OrderArguments {
    /// Gives an order about the node, and answers who was asked, and which node that is.
    fn give(self, verb: &str) -> Result<(Api, String), CliError> {
        self.give_with(verb, &Value::Null)
    }

    fn give_with(self, verb: &str, body: &Value) -> Result<(Api, String), CliError> {
        let Self { node, connection } = self;
        let api = Api::new(connection.resolve()?);
        order(&api, &format!("/api/v1/cluster/nodes/{}/{verb}", encode(&node)), body)?;
        Ok((api, node))
    }
}

impl Arguments {
    fn open(self) -> Result<(Api, Format), CliError> {
        Ok((Api::new(self.connection.resolve()?), Format::or_default(self.output)))
    }
}

/// The one-screen table of a cluster.
fn status(survey: &Value) -> Rows {
    let members = array(&survey["nodes"]).iter().filter(|node| node["state"] != "decommissioned");
    let rows = members.map(|node| {
        let of = |member: &str| node[member].clone();
        let share = node["diskFreeBytes"].as_f64().zip(node["diskTotalBytes"].as_f64());
        let used = share.filter(|(_, total)| *total > 0.0).map(|(free, total)| 100.0 * (1.0 - free / total));
        vec![
            of("id"),
            of("state"),
            of("zone"),
            of("role"),
            of("leads"),
            of("replicas"),
            of("term"),
            of("committed"),
            of("applied"),
            of("lag"),
            used.map_or(Value::Null, |used| format!("{used:.0}%").into()),
            of("version"),
            of("address"),
        ]
    });
    let columns = [
        "node",
        "state",
        "zone",
        "role",
        "leads",
        "replicas",
        "term",
        "committed",
        "applied",
        "lag",
        "disk used",
        "version",
        "address",
    ];
    Rows { title: summary(survey), ..named(&columns, rows.collect()) }
}

/// What is true of the whole cluster.
fn summary(survey: &Value) -> String {
    let of = |member: &str| output::plain(&survey[member]);
    let (wanted, least) = (survey["replication"].as_u64(), survey["replicasLeast"].as_u64());
    let far = match (wanted, least) {
        (Some(wanted), Some(least)) if least < wanted => {
            format!(", not all have more than {least} yet: they grow in number when there are nodes for it")
        }
        _ => String::new(),
    };
    let (cluster, partitions, replication) = (of("cluster"), of("partitions"), of("replication"));
    let level = match (survey["level"].as_u64(), survey["levelOfAll"].as_u64()) {
        (Some(level), Some(all)) if level < all => format!(
            ", feature level {level} of {all} that all nodes understand: `tidemark cluster finalize` ends the upgrade"
        ),
        _ => String::new(),
    };
    format!("cluster {cluster}: {partitions} partitions of {replication} replicas{far}{level}")
}

/// The gateways.
fn gateways(gateways: &Value) -> Rows {
    Rows { title: "gateways".to_owned(), ..table(gateways, &["id", "address", "zone", "version", "node"]) }
}

/// The replicas on their way.
fn moves(moves: &Value) -> Rows {
    Rows {
        title: "replicas on their way".to_owned(),
        ..table(moves, &["group", "from", "to", "stage", "lag", "filesBytes", "filesBytesAll"])
    }
}

/// What a member of a group is.
fn role(replica: &Value, is_leader: bool) -> &'static str {
    match (replica["isUp"].as_bool(), replica["isVoter"].as_bool()) {
        (Some(true), _) if is_leader => "leader",
        (Some(true), Some(true)) => "follower",
        (Some(true), _) => "learner",
        _ => "away",
    }
}

/// Objects as rows: of each the members that the columns name.
fn table(objects: &Value, columns: &[&str]) -> Rows {
    let row = |object: &Value| columns.iter().map(|column| object[*column].clone()).collect();
    named(columns, array(objects).iter().map(row).collect())
}

fn named(columns: &[&str], rows: Vec<Vec<Value>>) -> Rows {
    Rows { columns: columns.iter().map(|&column| column.to_owned()).collect(), rows, ..Rows::default() }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
