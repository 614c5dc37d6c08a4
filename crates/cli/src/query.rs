//! `tidemark query`: runs Flux, InfluxQL or SQL and prints tables, JSON or CSV.

use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::api::{Api, encode};
use crate::error::CliError;
use crate::output::{self, Format, Rows};
use crate::profile::Connection;

/// Arguments of `tidemark query`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The query; `-` reads it from standard input.
    #[arg(required_unless_present = "file")]
    query: Option<String>,
    /// File that holds the query.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,
    /// Language of the query.
    #[arg(long, short = 'l', value_enum, default_value_t = Language::Flux)]
    language: Language,
    /// Database of a query in InfluxQL or SQL.
    #[arg(long = "db", value_name = "DATABASE")]
    database: Option<String>,
    /// How rows are printed: a table on a terminal, CSV else.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// The languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// Flux.
    Flux,
    /// InfluxQL.
    Influxql,
    /// SQL.
    Sql,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), CliError> {
    let text = match (&arguments.query, &arguments.file) {
        (_, Some(path)) => std::fs::read_to_string(path).map_err(|source| CliError::File {
            action: "reading",
            path: path.clone(),
            source,
        })?,
        (Some(query), None) if query == "-" => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            text
        }
        (Some(query), None) => query.clone(),
        (None, None) => return Err(CliError::Usage("a query is needed".to_owned())),
    };
    let api = Api::new(arguments.connection.resolve()?);
    let format = Format::or_default(arguments.output);
    match arguments.language {
        Language::Flux => flux(&api, &text, format),
        Language::Influxql => influxql(&api, &text, arguments.database.as_deref(), format),
        Language::Sql => match arguments.database.as_deref() {
            Some(database) => sql(&api, &text, database, format),
            None => Err(CliError::Usage("a query in SQL needs --db".to_owned())),
        },
    }
}

fn flux(api: &Api, script: &str, format: Format) -> Result<(), CliError> {
    let path = format!("/api/v2/query?org={}", encode(api.org()?));
    let body = json!({
        "query": script, "type": "flux",
        "dialect": { "header": true, "annotations": ["datatype", "group", "default"] },
    });
    let headers = [("content-type", "application/json"), ("accept", "text/csv"), ("accept-encoding", "gzip")];
    let reader = api.post(&path, &headers, body.to_string().into_bytes())?.into_body().into_reader();
    match format {
        Format::Csv => output::copy_answer(reader),
        Format::Table => output::print_tables(&read_annotated(reader)?),
        Format::Json => output::print_json(&read_annotated(reader)?),
    }
}

/// Reads annotated CSV into one section per run of rows with the same columns; the column `table` tells tables apart.
fn read_annotated(reader: impl std::io::Read) -> Result<Vec<Rows>, CliError> {
    let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut sections: Vec<Rows> = Vec::new();
    let (mut types, mut defaults, mut columns) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let mut expects_header = false;
    for record in csv.records() {
        let record = record.map_err(|e| CliError::Answer(e.to_string()))?;
        let cells = |record: &csv::StringRecord| record.iter().skip(1).map(String::from).collect::<Vec<_>>();
        match record.get(0) {
            Some("#datatype") => {
                types = cells(&record);
                expects_header = true;
            }
            Some("#group") => expects_header = true,
            Some("#default") => {
                defaults = cells(&record);
                expects_header = true;
            }
            _ if expects_header => {
                columns = cells(&record);
                expects_header = false;
            }
            _ if columns.first().is_some_and(|c| c == "error") => {
                let message = record.get(1).unwrap_or_default().to_owned();
                return Err(CliError::Refused { status: 400, message });
            }
            _ => {
                let values = cells(&record);
                if sections.last().is_none_or(|section| section.columns != columns) {
                    sections.push(Rows { columns: columns.clone(), ..Rows::default() });
                }
                let row = values.iter().enumerate().map(|(i, cell)| {
                    let text =
                        if cell.is_empty() { defaults.get(i).map_or("", String::as_str) } else { cell };
                    typed(text, types.get(i).map_or("string", String::as_str))
                });
                if let Some(section) = sections.last_mut() {
                    section.rows.push(row.collect());
                }
            }
        }
    }
    Ok(sections)
}

/// A cell by its datatype: numbers and booleans as JSON's own, all else as text, empty as null.
fn typed(text: &str, datatype: &str) -> Value {
    let parsed = match datatype {
        _ if text.is_empty() => Some(Value::Null),
        "long" => text.parse::<i64>().ok().map(Value::from),
        "unsignedLong" => text.parse::<u64>().ok().map(Value::from),
        "double" => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from),
        "boolean" => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// The server writes SQL's answers in each of the forms.
fn sql(api: &Api, text: &str, database: &str, format: Format) -> Result<(), CliError> {
    let form = match format {
        Format::Table => "pretty",
        Format::Json => "json",
        Format::Csv => "csv",
    };
    let body = json!({ "db": database, "q": text, "format": form });
    let headers = [("content-type", "application/json"), ("accept-encoding", "gzip")];
    let answer = api.post("/api/v3/query_sql", &headers, body.to_string().into_bytes())?;
    output::copy_answer(answer.into_body().into_reader())
}

fn influxql(api: &Api, text: &str, database: Option<&str>, format: Format) -> Result<(), CliError> {
    let mut form = format!("q={}", encode(text));
    if let Some(database) = database {
        form.push_str(&format!("&db={}", encode(database)));
    }
    let accept = if format == Format::Csv { "application/csv" } else { "application/json" };
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", accept)];
    let mut response = api.post("/query", &headers, form.into_bytes())?;
    if format == Format::Csv {
        return output::copy_answer(response.into_body().into_reader());
    }
    let answer: Value = response
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_json()
        .map_err(|e| CliError::Answer(e.to_string()))?;
    let none = Vec::new();
    // Every statement is printed on its own: in JSON one array each.
    for result in answer["results"].as_array().unwrap_or(&none) {
        let sections: Vec<Rows> = result["series"].as_array().unwrap_or(&none).iter().map(series).collect();
        match (format, result["error"].as_str()) {
            (_, Some(message)) if sections.is_empty() => {
                return Err(CliError::Refused { status: 400, message: message.to_owned() });
            }
            (Format::Json, _) => output::print_json(&sections)?,
            _ => output::print_tables(&sections)?,
        }
        if let Some(message) = result["error"].as_str() {
            return Err(CliError::Refused { status: 400, message: message.to_owned() });
        }
    }
    Ok(())
}

fn series(series: &Value) -> Rows {
    let none = Vec::new();
    let tags = series["tags"].as_object();
    let title = tags.into_iter().flatten().fold(output::plain(&series["name"]), |title, (key, value)| {
        format!("{title} {key}={}", output::plain(value))
    });
    let named = series.get("name").map(|name| ("name".to_owned(), name.clone()));
    let tagged = series.get("tags").map(|tags| ("tags".to_owned(), tags.clone()));
    Rows {
        title,
        common: named.into_iter().chain(tagged).collect(),
        columns: series["columns"].as_array().unwrap_or(&none).iter().map(output::plain).collect(),
        rows: series["values"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .filter_map(|row| row.as_array().cloned())
            .collect(),
    }
}
