//! `tidemark version`: what this binary is.

use crate::error::CliError;
use crate::output::{self, Format, Rows};

/// Arguments of `tidemark version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How the version is printed; one line when absent.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let Some(format) = arguments.output else {
        return output::print_line(&format!("tidemark {version}"));
    };
    let rows = Rows {
        columns: ["name", "version"].map(String::from).to_vec(),
        rows: vec![vec!["tidemark".into(), version.into()]],
        ..Rows::default()
    };
    output::print(format, rows)
}
