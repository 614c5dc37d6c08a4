//! `tidemark setup`: the first user, organization, bucket and token of a new server.

use std::io::{BufRead as _, IsTerminal as _};

use serde_json::json;

use crate::api::Api;
use crate::error::CliError;
use crate::output;
use crate::profile::{self, Connection, Profile};

/// Arguments of `tidemark setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Name of the first user.
    #[arg(long, short = 'u', default_value = "admin")]
    username: String,
    /// Password of the first user; asked for (or read from standard input) when absent.
    #[arg(long, short = 'p', env = "TIDEMARK_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Name of the first bucket.
    #[arg(long, short = 'b', default_value = "default")]
    bucket: String,
    /// How long the bucket keeps points, for example 30d; 0 is for ever.
    #[arg(long, short = 'r', default_value = "0")]
    retention: String,
    /// Name under which the connection is saved.
    #[arg(long, short = 'n', default_value = "default")]
    name: String,
    /// Do not save the connection.
    #[arg(long)]
    no_save: bool,
    /// How the answer is printed.
    #[arg(long, short = 'o', value_enum)]
    output: Option<output::Format>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), CliError> {
    let mut target = arguments.connection.resolve()?;
    target.token = None;
    // Not a saved one: that is another server's secret.
    let wanted_token = arguments.connection.own_token()?;
    let org = target.org.clone().unwrap_or_else(|| "default".to_owned());
    let api = Api::new(target.clone());
    if api.get_json("/api/v2/setup")?["allowed"] != true {
        let message = format!("{} is set up already", api.url());
        return Err(CliError::Refused { status: 422, message });
    }
    let password = match arguments.password {
        Some(password) => password,
        None => ask_password()?,
    };
    let seconds = retention_seconds(&arguments.retention)?;
    let mut body = json!({
        "username": arguments.username, "password": password, "org": org,
        "bucket": arguments.bucket, "retentionPeriodSeconds": seconds,
    });
    if let (Some(token), Some(object)) = (wanted_token, body.as_object_mut()) {
        object.insert("token".to_owned(), token.into());
    }
    let answer = api.post_json("/api/v2/setup", &body)?;
    let token = answer["auth"]["token"]
        .as_str()
        .ok_or_else(|| CliError::Answer("the set-up brought no token".to_owned()))?;
    let rows = output::Rows {
        columns: ["user", "organization", "bucket", "token"].map(String::from).to_vec(),
        rows: vec![vec![
            arguments.username.into(),
            org.clone().into(),
            arguments.bucket.into(),
            token.into(),
        ]],
        ..output::Rows::default()
    };
    // The token is shown before anything else may fail: the server keeps only its hash.
    output::print(arguments.output.unwrap_or(output::Format::Table), rows)?;
    if !arguments.no_save {
        let profile = Profile { url: target.url, token: token.to_owned(), org, active: true };
        let path = profile::save(&arguments.name, profile)?;
        output::say(&format!("Saved as profile {:?} in {}.", arguments.name, path.display()));
    }
    Ok(())
}

fn ask_password() -> Result<String, CliError> {
    if std::io::stdin().is_terminal() {
        output::say("Password (8 to 72 characters, shown as you type):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(CliError::Usage(
            "a password is needed: --password, TIDEMARK_PASSWORD or standard input".into(),
        ));
    }
    Ok(password)
}

/// Reads `30d`, `12h`, `0`, in whole seconds.
fn retention_seconds(text: &str) -> Result<u64, CliError> {
    let wrong =
        || CliError::Usage(format!("a retention is a number with a unit (s, m, h, d, w), not {text:?}"));
    if text == "0" {
        return Ok(0);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let scale: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(wrong)
}
