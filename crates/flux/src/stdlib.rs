//! The functions and values that scripts see: the universe, and packages by their import path.
//!
//! A function is a name, a signature as text, and Rust. The signature is what the checks before a run, the binding of
//! arguments and the error messages all use.

mod arguments;
mod array;
mod bitwise;
mod csv;
mod date;
mod debug;
mod dict;
mod experimental;
mod math;
mod regexp;
mod schema;
mod signature;
mod strings;
mod testing;
mod timezone;
mod types;
mod universe;

pub(crate) use arguments::Arguments;
pub(crate) use signature::{Signature, SignatureParameter};
pub(crate) use universe::rows::filter_table;

use std::sync::LazyLock;

use crate::error::Result;
use crate::interpret::Context;
use crate::value::Value;

/// What runs a built-in function.
pub(crate) type Run = fn(&Context<'_>, &Arguments) -> Result<Value>;

/// A built-in function.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    signature: Signature,
}

/// The functions of a package or of a part of the universe, made when first asked for.
pub(crate) type Functions = LazyLock<Vec<Builtin>>;

impl Builtin {
    /// A function of a name and a signature: `tables<-stream, n:int, ?offset:int => stream`.
    fn new(name: &'static str, text: &'static str, run: Run) -> Self {
        Self { name, run, signature: Signature::parse(text) }
    }

    pub(crate) const fn signature(&self) -> &Signature {
        &self.signature
    }
}

fn find(functions: &'static [Builtin], name: &str) -> Option<Value> {
    functions.iter().find(|f| f.name == name).map(Value::Builtin)
}

/// A value of the universe, which needs no import.
pub(crate) fn universe(name: &str) -> Option<Value> {
    universe::lookup(name)
}

/// Whether a package can be imported.
pub(crate) enum Package {
    /// It is here.
    Present,
    /// Flux has it, we do not yet.
    NotYet,
    /// Flux does not have it.
    Unknown,
}

/// Packages of Flux that are not here yet, or first parts of their paths.
const NOT_YET: &[&str] = &[
    "contrib/",
    "experimental",
    "generate",
    "http",
    "influxdata/",
    "internal/",
    "interpolate",
    "join",
    "json",
    "kafka",
    "pagerduty",
    "profiler",
    "pushbullet",
    "runtime",
    "sampledata",
    "slack",
    "socket",
    "sql",
    "system",
    "testing",
    "types",
];

/// Whether a package can be imported.
pub(crate) fn package(path: &str) -> Package {
    if functions(path).is_some() {
        return Package::Present;
    }
    let is_flux = NOT_YET
        .iter()
        .any(|p| path == *p || path.strip_prefix(p).is_some_and(|r| p.ends_with('/') || r.starts_with('/')));
    if is_flux { Package::NotYet } else { Package::Unknown }
}

fn functions(path: &str) -> Option<&'static [Builtin]> {
    Some(match path {
        "array" => &array::FUNCTIONS,
        "bitwise" | "experimental/bitwise" => &bitwise::FUNCTIONS,
        "csv" => &csv::FUNCTIONS,
        "date" => &date::FUNCTIONS,
        "dict" => &dict::FUNCTIONS,
        "experimental" => &experimental::FUNCTIONS,
        "experimental/array" => &array::FUNCTIONS,
        "experimental/table" => &experimental::TABLE,
        "internal/debug" => &debug::FUNCTIONS,
        "math" => &math::FUNCTIONS,
        "regexp" => &regexp::FUNCTIONS,
        // Its options are all that it has.
        "planner" => &[],
        "strings" => &strings::FUNCTIONS,
        "testing" => &testing::FUNCTIONS,
        "testing/expect" => &testing::EXPECT,
        "types" => &types::FUNCTIONS,
        "timezone" => &timezone::FUNCTIONS,
        "influxdata/influxdb" => universe::influxdb(),
        "influxdata/influxdb/schema" | "influxdata/influxdb/v1" => &schema::FUNCTIONS,
        _ => return None,
    })
}

/// Whether a package has an option, which scripts may set.
pub(crate) fn has_option(path: &str, name: &str) -> bool {
    matches!(
        (path, name),
        ("planner", "disableLogicalRules" | "disablePhysicalRules")
            | ("testing", "load" | "tags")
            | ("internal/debug", "vectorize")
    )
}

/// A member of a package.
pub(crate) fn member(path: &str, name: &str) -> Option<Value> {
    if let Some(value) = functions(path).and_then(|f| find(f, name)) {
        return Some(value);
    }
    match path {
        "math" => math::constant(name),
        "date" => date::constant(name),
        "timezone" => timezone::constant(name),
        "experimental" if experimental::OF_UNIVERSE.contains(&name) => universe(name),
        _ => None,
    }
}
