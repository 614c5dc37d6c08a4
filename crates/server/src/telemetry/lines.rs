//! Lines of the log: text for people, JSON objects, or InfluxDB's logfmt, with the node, its zone and, inside a traced
//! request, the ids of trace and span.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::repeats;
use crate::config::LogFormat;

/// Who writes the log.
#[derive(Debug, Default)]
pub(super) struct About {
    /// The node's id, once it has one.
    pub(super) node: OnceLock<String>,
    pub(super) zone: String,
    /// This run of the process.
    log_id: String,
}

impl About {
    pub(super) fn new(zone: &str) -> Self {
        let log_id = format!("{:012x}", getrandom::u64().unwrap_or_default() >> 16);
        Self { node: OnceLock::new(), zone: zone.to_owned(), log_id }
    }
}

/// Writes lines in one format.
pub(super) struct Lines {
    format: LogFormat,
    text: Format<Full>,
    about: Arc<About>,
}

impl Lines {
    pub(super) fn new(format: LogFormat, about: Arc<About>, colours: bool) -> Self {
        Self { format, text: Format::default().with_ansi(colours), about }
    }
}

/// The span of a request that somebody wants to see.
fn traced() -> Option<trace::Context> {
    trace::current().map(|here| here.context()).filter(trace::Context::is_wanted)
}

fn now() -> String {
    let mut text = String::with_capacity(32);
    // A clock that does not say the time costs the line its time.
    let _unknown = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.format {
            LogFormat::Text => self.text(context, writer, event),
            LogFormat::Json => self.json(context, writer, event),
            LogFormat::Logfmt => self.logfmt(context, writer, event),
        }
    }
}

impl Lines {
    fn text<S, N>(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
        N: for<'w> FormatFields<'w> + 'static,
    {
        let (left_out, traced) = (repeats::left_out(), traced());
        if left_out == 0 && traced.is_none() {
            return self.text.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.text.format_event(context, Writer::new(&mut line), event)?;
        write!(writer, "{}", line.trim_end_matches('\n'))?;
        if let Some(traced) = traced {
            write!(writer, " trace_id={}", traced.trace)?;
        }
        if left_out > 0 {
            write!(writer, " left_out={left_out}")?;
        }
        writeln!(writer)
    }

    fn json<S, N>(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
        N: for<'w> FormatFields<'w> + 'static,
    {
        let mut line = Members(Map::new());
        line.put("timestamp", json!(now()));
        line.put("level", json!(event.metadata().level().as_str()));
        event.record(&mut line);
        line.put("target", json!(event.metadata().target()));
        if let Some(node) = self.about.node.get() {
            line.put("node", json!(node));
        }
        if !self.about.zone.is_empty() {
            line.put("zone", json!(self.about.zone));
        }
        if let Some(traced) = traced() {
            line.put("trace_id", json!(traced.trace.to_string()));
            line.put("span_id", json!(traced.span.to_string()));
        }
        let left_out = repeats::left_out();
        if left_out > 0 {
            line.put("left_out", json!(left_out));
        }
        let spans: Vec<Value> = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>();
                let fields = fields.and_then(|fields| serde_json::from_str(fields.fields.as_str()).ok());
                let mut members: Map<String, Value> = fields.unwrap_or_default();
                members.insert("name".to_owned(), json!(span.name()));
                Value::Object(members)
            })
            .collect();
        if !spans.is_empty() {
            line.put("spans", Value::Array(spans));
        }
        writeln!(writer, "{}", Value::Object(line.0))
    }

    fn logfmt<S, N>(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
        N: for<'w> FormatFields<'w> + 'static,
    {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut pairs = Pairs::default();
        event.record(&mut pairs);
        write!(writer, "ts={} lvl={level} msg=", now())?;
        push_value(&mut writer, &pairs.message)?;
        write!(writer, " log_id={} service=", self.about.log_id)?;
        push_value(&mut writer, event.metadata().target())?;
        writer.write_str(&pairs.rest)?;
        let spans = context.event_scope().into_iter().flat_map(|scope| scope.from_root());
        for span in spans {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().filter(|fields| !fields.fields.is_empty());
            if let Some(fields) = fields {
                write!(writer, " {}", fields.fields)?;
            }
        }
        if let Some(node) = self.about.node.get() {
            write!(writer, " node={node}")?;
        }
        if !self.about.zone.is_empty() {
            writer.write_str(" zone=")?;
            push_value(&mut writer, &self.about.zone)?;
        }
        if let Some(traced) = traced() {
            write!(writer, " trace_id={} span_id={}", traced.trace, traced.span)?;
        }
        let left_out = repeats::left_out();
        if left_out > 0 {
            write!(writer, " left_out={left_out}")?;
        }
        writeln!(writer)
    }
}

/// Members of the object of a line.
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), json!(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), json!(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), json!(value));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        // What is larger is no number of JSON's.
        self.put(
            field.name(),
            u64::try_from(value).map_or_else(|_large| json!(value.to_string()), |v| json!(v)),
        );
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), json!(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), json!(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), json!(format!("{value:?}")));
    }
}

/// Keys and values of a line.
#[derive(Default)]
struct Pairs {
    message: String,
    /// Each after a space.
    rest: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        self.rest.push(' ');
        self.rest.push_str(field.name());
        self.rest.push('=');
        push_value(&mut self.rest, value).expect("writing to a String cannot fail");
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A value of logfmt: in quotes where it could be misread.
fn push_value(out: &mut dyn fmt::Write, value: &str) -> fmt::Result {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return out.write_str(value);
    }
    write!(out, "{value:?}")
}
