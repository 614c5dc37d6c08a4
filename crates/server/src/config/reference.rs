//! The reference page of the configuration, written from the table of settings.

use std::fmt::Write as _;

use super::influxd::{Meaning, options};
use super::settings::{Setting, settings};

/// The text of `docs/reference/configuration.md`.
pub fn reference_page() -> String {
    let mut page = String::from(HEAD);
    let mut group = "";
    for setting in settings() {
        if setting.group != group {
            group = setting.group;
            let written = write!(page, "\n## {group}\n\n{COLUMNS}");
            written.expect("writing to a String cannot fail");
        }
        page.push_str(&row(setting));
    }
    page.push_str(INFLUXD_HEAD);
    for option in options() {
        let meaning = match option.meaning {
            Meaning::Sets(key, _) => format!("sets `{key}`"),
            Meaning::None(reason) => format!("no meaning: {reason}"),
            Meaning::Refused(reason) => format!("an error when it is set: {reason}"),
        };
        let written = writeln!(page, "| `{}` | {meaning} |", option.key);
        written.expect("writing to a String cannot fail");
    }
    page
}

fn row(setting: &Setting) -> String {
    let default =
        if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
    let mut variables = format!("`{}`", setting.env);
    for alias in setting.aliases {
        variables.push_str(", `");
        variables.push_str(alias.env);
        variables.push('`');
    }
    if setting.from_file {
        variables.push_str("; each also with `_FILE`");
    }
    format!("| `{}` | {default} | {variables} | {} |\n", setting.key, setting.help)
}

const COLUMNS: &str = "| Setting | Default | Variables | Meaning |\n| --- | --- | --- | --- |\n";

const HEAD: &str = "\
# Configuration

<!-- Written from the table of settings in crates/server/src/config; a test compares them. -->

A value comes from the first of these that has it:

1. a flag of `tidemark serve`: the setting's name after two dashes, `--data-dir DIR`
2. an environment variable: `TIDEMARK_…` before the other names in the tables below, those before `INFLUXD_…`;
   an empty variable counts as not set
3. the TOML file named by `--config` or `TIDEMARK_CONFIG`: one key per setting, `data-dir = \"/var/lib/tidemark\"`
4. the configuration of influxd named by `INFLUXD_CONFIG_PATH`
5. the default

`tidemark config show --origin` prints every value and where it comes from. An unknown key in the TOML file is an error
that names its line.

Sizes are numbers with `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024; also `K`, `M`, `G`, `T`) or `KB`, `MB`, `GB`, `TB`
(powers of 1000), or plain bytes. Durations are numbers with `ns`, `us`, `ms`, `s`, `m`, `h`, `d`, `w`, also one after
another: `1h30m`. Where a variable may be given with `_FILE`, it names a file that holds the value, as secrets of
containers are mounted; secrets print as `***`. `HTTP_PORT` and `RAFT_PORT` are ports alone and listen on every
interface.
";

const INFLUXD_HEAD: &str = "
## Options of influxd

`INFLUXD_CONFIG_PATH` names a YAML, JSON or TOML file of InfluxDB 2.x, or a directory with `config.json`, `config.toml`,
`config.yaml` or `config.yml`. Each of its options, and each `INFLUXD_…` variable, is taken over or answered with a
warning at the start, as is an `INFLUXD_…` variable of no option. A configuration of InfluxDB 1.x is refused: unset the
variable, and set what you need by the names above.

| Option | Here |
| --- | --- |
";
