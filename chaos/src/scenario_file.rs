//! Files of scenarios, one in each, and which of them are run.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A scenario file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// It could not be read.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It is not a scenario.
    #[error("{}", path.display())]
    Parse { path: PathBuf, source: serde_norway::Error },
    /// It asks for what cannot be.
    #[error("{}: {what}", path.display())]
    Contradiction { path: PathBuf, what: &'static str },
}

/// Sets of scenarios; each has those of the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Set {
    /// Three minutes: one of each kind of fault. Each fault is injected once.
    Short,
    /// Ten minutes.
    Ten,
    /// Everything.
    #[default]
    Long,
}

/// What a file holds.
pub(crate) trait ScenarioFile: DeserializeOwned {
    /// The same with the name of its file.
    fn named(self, name: String) -> Self;
    /// That name.
    fn name(&self) -> &str;
    /// The smallest set that it belongs to.
    fn set(&self) -> Set;
    /// Promises nothing of times; that all heals is still promised.
    fn forget_times(&mut self);
    /// What it asks for and cannot be.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Which scenarios are run, and how.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// All of this set, where none is named
    #[arg(long, value_enum, default_value = "long")]
    pub(crate) set: Set,
    /// Promise nothing of how long pauses are: for machines that do other things meanwhile
    #[arg(long)]
    pub(crate) untimed: bool,
    /// Keep data and logs also of runs that pass
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Choice {
    /// The chosen scenarios of a directory, in the order of their names.
    ///
    /// # Errors
    /// A file cannot be read or is not a scenario; none has a name that was asked for.
    pub(crate) fn of<S: ScenarioFile>(
        &self,
        directory: &Path,
        names: &[String],
    ) -> Result<Vec<S>, Box<dyn Error>> {
        let mut scenarios: Vec<S> = load(directory)?;
        if let Some(name) = names.iter().find(|name| scenarios.iter().all(|one| one.name() != **name)) {
            return Err(format!("there is no scenario {name}").into());
        }
        scenarios.retain(|one| match names {
            [] => one.set() <= self.set,
            names => names.iter().any(|name| name == one.name()),
        });
        if self.untimed {
            scenarios.iter_mut().for_each(S::forget_times);
        }
        Ok(scenarios)
    }
}

/// All scenarios of a directory, in the order of their names.
///
/// # Errors
/// A file cannot be read or is not a scenario.
pub(crate) fn load<S: ScenarioFile>(directory: &Path) -> Result<Vec<S>, ScenarioError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| ScenarioError::Read { path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(read(directory))? {
        let path = entry.map_err(read(directory))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| parse(path, &std::fs::read_to_string(path).map_err(read(path))?)).collect()
}

/// The scenario that a file's text is.
///
/// # Errors
/// It is none.
pub(crate) fn parse<S: ScenarioFile>(path: &Path, text: &str) -> Result<S, ScenarioError> {
    let scenario: S = serde_norway::from_str(text)
        .map_err(|source| ScenarioError::Parse { path: path.to_owned(), source })?;
    scenario.check().map_err(|what| ScenarioError::Contradiction { path: path.to_owned(), what })?;
    Ok(scenario.named(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()))
}
