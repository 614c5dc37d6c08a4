//! Calls of `ip`, `nft` and `mount`, with what they said when they fail.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// A command that could not be run, or that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// It did not start.
    #[error("cannot run `{command}`")]
    Start { command: String, source: std::io::Error },
    /// It answered with a failure.
    #[error("`{command}` failed: {said}")]
    Failed { command: String, said: String },
}

/// Runs a command line of words without spaces in them, and answers what it printed.
pub(crate) fn run(command: &str) -> Result<String, ShellError> {
    run_with_input(command, "")
}

/// As [`run`], with text on its standard input.
pub(crate) fn run_with_input(command: &str, input: &str) -> Result<String, ShellError> {
    let start = |source| ShellError::Start { command: command.to_owned(), source };
    let mut words = command.split_whitespace();
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(start)?;
    }
    let output = child.wait_with_output().map_err(start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ShellError::Failed { command: command.to_owned(), said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
