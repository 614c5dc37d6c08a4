//! Why a configuration cannot be used. Every message says which value, where it stands, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;

/// What a text should have been, as the end of the sentence "expected …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected(pub &'static str);

/// Why a configuration cannot be used. All of these are the operator's to put right; trying again helps nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key of the file is no setting.
    #[error("{}:{line}: unknown setting `{key}`{}", path.display(), DidYouMean(*suggestion))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The setting it resembles.
        suggestion: Option<&'static str>,
    },
    /// A name given as a flag is no setting.
    #[error("unknown setting `{key}`{}", DidYouMean(*suggestion))]
    UnknownFlag {
        /// The name.
        key: String,
        /// The setting it resembles.
        suggestion: Option<&'static str>,
    },
    /// A file cannot be parsed.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A file cannot be read.
    #[error("cannot read {} (named by {by})", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Who named it.
        by: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A value makes no sense.
    #[error("{origin}: `{key}` is {text}, expected {expected}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where the value comes from.
        origin: Origin,
        /// The value, `***` when it is secret.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A variable and its `_FILE` form are both set.
    #[error("{name} and {name}_FILE are both set: which one counts?")]
    Twice {
        /// The variable.
        name: &'static str,
    },
    /// The influxd configuration asks for something whose absence would be unsafe.
    #[error("{origin}: `{key}` {reason}")]
    InfluxdRefused {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// Why it cannot be passed over.
        reason: &'static str,
    },
    /// What `INFLUXD_CONFIG_PATH` names is a file of no known format.
    #[error(
        "{}: INFLUXD_CONFIG_PATH names a file that ends in none of .yaml, .yml, .json and .toml. The influxdb.conf of \
         InfluxDB 1.x is not read: unset INFLUXD_CONFIG_PATH, and set what you need by the names in \
         docs/reference/configuration.md",
        path.display()
    )]
    InfluxdFormat {
        /// The file.
        path: PathBuf,
    },
    /// First set-up is asked for, but not all of it is given.
    #[error("first set-up needs {}: missing {missing}", super::init::NEEDED)]
    InitIncomplete {
        /// The settings that are missing.
        missing: String,
    },
}

/// "; did you mean `x`?", or nothing.
struct DidYouMean(Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}
