//! `tidemark queries`: the queries that run in the cluster, and the end of one.

use serde_json::Value;

use crate::api::Api;
use crate::error::CliError;
use crate::output::{self, Format, Rows};
use crate::profile::Connection;

/// Verbs of `tidemark queries`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Print the queries that run on all nodes; an operator sees those of all organizations.
    List(ListArguments),
    /// End a query, on whichever node it runs.
    Kill(KillArguments),
}

/// Arguments of `tidemark queries list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArguments {
    /// How rows are printed: a table on a terminal, CSV else.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// Arguments of `tidemark queries kill`.
#[derive(Debug, clap::Args)]
pub(crate) struct KillArguments {
    /// Its number, as `tidemark queries list` prints it.
    id: u64,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::List(ListArguments { output, connection }) => {
            let answer = Api::new(connection.resolve()?).get_json("/api/v1/queries")?;
            let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
            let names = ["id", "org", "database", "seconds", "status", "query"];
            let row = |query: Value| names.map(|name| query[name].clone()).to_vec();
            let rows = Rows {
                title: String::new(),
                common: Vec::new(),
                columns: names.map(str::to_owned).to_vec(),
                rows: list("queries").into_iter().map(row).collect(),
            };
            for node in list("silentNodes") {
                output::say(&format!(
                    "node {} does not answer: its queries are not listed",
                    output::plain(&node)
                ));
            }
            output::print(Format::or_default(output), rows)
        }
        Verb::Kill(KillArguments { id, connection }) => {
            Api::new(connection.resolve()?).delete(&format!("/api/v1/queries/{id}"))?;
            output::say(&format!("query {id} ends"));
            Ok(())
        }
    }
}
