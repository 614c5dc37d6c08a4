//! `tidemark serve`: the server. Its flags are the table of settings that the server publishes.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::CliError;
use crate::{allocator, output};

/// Arguments of `tidemark serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

/// Every setting of the server as a flag; only those given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    given: Vec<(&'static str, String)>,
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        server::config::settings().iter().fold(command, |command, setting| {
            let default = if setting.secret { "" } else { setting.default };
            let help = match default {
                "" => setting.help.to_owned(),
                default => format!("{} [default: {default}]", setting.help),
            };
            command.arg(
                Arg::new(setting.key)
                    .long(setting.flag)
                    .help(help)
                    .value_name(setting.value_name)
                    .num_args(if setting.is_switch { 0..=1 } else { 1..=1 })
                    .require_equals(setting.is_switch)
                    .default_missing_value("true")
                    .action(ArgAction::Set),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given = server::config::settings()
            .iter()
            .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone())))
            .collect();
        Ok(())
    }
}

impl Settings {
    /// The settings among the arguments of `tidemark serve`; `None` where they are not all known.
    pub(crate) fn read(arguments: &[&str]) -> Option<Vec<(&'static str, String)>> {
        let command = <Self as clap::Args>::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).ok()?;
        Some(<Self as clap::FromArgMatches>::from_arg_matches(&matches).ok()?.given)
    }

    /// Flags, environment, file and defaults together.
    pub(crate) fn resolve(self) -> Result<server::config::Resolved, CliError> {
        Ok(server::config::Config::resolve_from_process(self.given)?)
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), CliError> {
    server::set_up_failpoints();
    let resolved = arguments.settings.resolve()?;
    let print = &mut |line: &str| output::print_line(line).map_err(|e| e.to_string());
    Ok(server::serve(resolved, allocator::be_frugal, print)?)
}
