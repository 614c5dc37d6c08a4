//! Where a value comes from.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from, in the words an operator would look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// Our own file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An influxd configuration.
    Influxd {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 when it is not known.
        line: usize,
        /// The key there.
        key: String,
    },
    /// A variable of the environment.
    Env(String),
    /// A file named by a variable of the environment.
    EnvFile {
        /// The variable.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Influxd { path, line: 0, key } => write!(f, "{} ({key})", path.display()),
            Self::Influxd { path, line, key } => write!(f, "{}:{line} ({key})", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::EnvFile { name, path } => write!(f, "{name} ({})", path.display()),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}
