//! Points at which tests of whole processes let a step fail that is neither the disk's nor the network's: between the steps
//! of a change of members, of a snapshot, of a commit.
//!
//! A build for the tests has them on (feature `failpoints` of the crate `fail`), and `FAILPOINTS` says which do what:
//!
//! ```text
//! FAILPOINTS='snapshot-install=2*off->1*return(kill);members-changed=sleep(500)'
//! return(kill)   the process dies at once, as by kill -9
//! return(eio)    the step fails with an I/O error
//! sleep(MS), pause, panic, and how often: as the crate has them
//! ```
//! What fails or takes long in file operations themselves, each sync and rename of every file, is the setting `disk-faults`
//! (crate `disk`), which a released build has too. A released build has nothing of these points.

use std::io;

/// Lets the points do what `FAILPOINTS` says, as long as the process lives. To be called before there are other threads.
///
/// # Panics
/// When that makes no sense, in a build that has points.
pub fn set_up_failpoints() {
    if fail::has_failpoints() {
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Passes a point.
///
/// # Errors
/// What a test wants.
pub fn failpoint(name: &'static str) -> io::Result<()> {
    fail::fail_point!(name, |action| act(action.as_deref()));
    // Without points that is all there is.
    let _ = (name, act);
    Ok(())
}

fn act(action: Option<&str>) -> io::Result<()> {
    match action {
        Some("kill") => std::process::abort(),
        other => {
            Err(io::Error::other(format!("a failpoint wants an error ({})", other.unwrap_or("no reason"))))
        }
    }
}
