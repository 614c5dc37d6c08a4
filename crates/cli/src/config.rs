//! `tidemark config show`: the settings in force, and where each comes from.

use crate::error::CliError;
use crate::output;
use crate::serve;

/// Verbs of `tidemark config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Print the settings in force.
    Show(Arguments),
}

/// Arguments of `tidemark config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also print where each value comes from.
    #[arg(long)]
    origin: bool,
    /// How the settings are printed.
    #[arg(long, short = 'o', value_enum)]
    output: Option<output::Format>,
    #[command(flatten)]
    settings: serve::Settings,
}

pub(crate) fn show(arguments: Arguments) -> Result<(), CliError> {
    let resolved = arguments.settings.resolve()?;
    for warning in &resolved.warnings {
        output::say(&format!("warning: {warning}"));
    }
    let mut columns = vec!["setting".to_owned(), "value".to_owned()];
    if arguments.origin {
        columns.push("origin".to_owned());
    }
    let rows = resolved.values().into_iter().map(|value| {
        let mut row = vec![value.key.into(), value.text.into()];
        if arguments.origin {
            row.push(value.origin.into());
        }
        row
    });
    let rows = output::Rows { columns, rows: rows.collect(), ..output::Rows::default() };
    output::print(arguments.output.unwrap_or(output::Format::Table), rows)
}
