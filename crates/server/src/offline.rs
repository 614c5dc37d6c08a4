//! What is asked of a data directory that no node runs on: is every byte of it what was written, and do its parts agree?
//! Nothing is changed, mended or created; the directory's lock is held meanwhile, so that no node starts on it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, RocksStore};
use cluster::{GroupLook, Identity};
use disk::{RealVfs, Vfs};
use model::{GroupId, ReplicaId};

use crate::error::{ServeError, with_causes};
use crate::lock::DirectoryLock;
use crate::replica::{Content, content_of};
use agree::{Parts, Replica};

mod agree;

/// What a look at a data directory saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// What was found wrong.
    pub findings: u64,
    /// Replicas of partitions.
    pub replicas: u64,
    /// TSM files.
    pub files: u64,
    /// Segments of series indexes.
    pub segments: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Pages decoded.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
    /// Sound records of the log.
    pub log_records: u64,
    /// What a crash left behind, which the next start mends by itself.
    pub leftovers: u64,
    /// The directory's lock could not be taken, so a node may have run meanwhile.
    pub is_unlocked: bool,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            findings,
            replicas,
            files,
            segments,
            bytes,
            pages,
            rows,
            log_records,
            leftovers,
            is_unlocked,
        } = self;
        let count = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        write!(
            f,
            "{}; looked at {} with {} and {} ({}, {}, {}) and {} of the log",
            count(*findings, "finding"),
            count(*replicas, "replica"),
            count(*files, "file"),
            count(*segments, "index segment"),
            count(*bytes, "byte"),
            count(*pages, "page"),
            count(*rows, "row"),
            count(*log_records, "record"),
        )?;
        if *leftovers > 0 {
            write!(f, "; {}, which the next start mends", count(*leftovers, "leftover"))?;
        }
        if *is_unlocked {
            f.write_str(
                "; the directory's lock could not be taken, so a node may have changed files meanwhile",
            )?;
        }
        Ok(())
    }
}

/// Looks at every file of a data directory and hands over each finding, with file and offset.
///
/// # Errors
/// [`ServeError::InUse`] while a node runs on it; [`ServeError::DataDir`] when it is no data directory.
pub fn verify(data_dir: &Path, on_finding: &mut dyn FnMut(&str)) -> Result<Verified, ServeError> {
    let unusable = |source| ServeError::DataDir { path: data_dir.to_owned(), source };
    let vfs = RealVfs;
    if !vfs.exists(data_dir).map_err(unusable)? {
        return Err(unusable(io::Error::new(io::ErrorKind::NotFound, "there is no such directory")));
    }
    let mut verified = Verified::default();
    let _lock = match DirectoryLock::take_existing(data_dir) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(ServeError::InUse(data_dir.to_owned()));
        }
        Err(_refused) => {
            verified.is_unlocked = true;
            None
        }
    };
    let mut findings = 0;
    let mut found = |text: &str| {
        findings += 1;
        on_finding(text);
    };
    let identity = match Identity::read(&vfs, data_dir) {
        Ok(Some(identity)) => Some(identity),
        Ok(None) => {
            found(&format!("{}: there is no node.json", data_dir.display()));
            None
        }
        Err(error) => {
            found(&with_causes(&error));
            None
        }
    };
    let is_member = identity.is_some_and(|identity| identity.is_member());
    let log = look_at_log(&vfs, data_dir, is_member, &mut verified, &mut found);
    let dir = data_dir.join("catalog");
    let catalog = if vfs.exists(&dir).map_err(unusable)? {
        let opened = RocksStore::open_to_read(&dir).and_then(|store| Catalog::open(Box::new(store)));
        opened.map_err(|error| found(&format!("{}: {}", dir.display(), with_causes(&error)))).ok()
    } else {
        None
    };
    let mut held = Vec::new();
    let (replicas, replaced) = replicas(&vfs, &data_dir.join("partitions")).map_err(unusable)?;
    verified.leftovers += replaced;
    for dir in replicas {
        verified.replicas += 1;
        let (seen, contents) = storage::verify(&vfs, &dir, &mut |finding| found(&finding.to_string()));
        verified.files += seen.files;
        verified.segments += seen.segments;
        verified.bytes += seen.bytes;
        verified.pages += seen.pages;
        verified.rows += seen.rows;
        verified.leftovers += seen.leftovers;
        held.push(Replica { dir, contents });
    }
    let recovered = cluster::recovered(&vfs, data_dir).unwrap_or_else(|error| {
        found(&with_causes(&error));
        None
    });
    if let Err(error) = cluster::verify_epochs(&vfs, data_dir) {
        found(&with_causes(&error));
    }
    let parts = Parts { data_dir, identity, recovered, log, catalog: catalog.as_ref(), replicas: &held };
    verified.leftovers += parts.compare(&mut found);
    verified.findings = findings;
    Ok(verified)
}

/// What the groups have of the log, when it is there, in segments, and sound.
fn look_at_log(
    vfs: &dyn Vfs,
    data_dir: &Path,
    is_member: bool,
    verified: &mut Verified,
    found: &mut dyn FnMut(&str),
) -> Option<BTreeMap<GroupId, GroupLook>> {
    let dir = cluster::log_dir(data_dir);
    let listed = vfs.exists(&dir).and_then(|there| if there { vfs.list(&dir) } else { Ok(Vec::new()) });
    let names = match listed {
        Ok(names) => names,
        Err(error) => {
            found(&format!("{}: {error}", dir.display()));
            return None;
        }
    };
    if !names.iter().any(|name| name.extension().is_some_and(|end| end == "seg")) {
        if is_member && names.is_empty() {
            found(&format!("{}: there is no log", dir.display()));
        }
        return None;
    }
    let look = cluster::look_at_log(vfs, data_dir, &mut |problem| found(&with_causes(problem)));
    verified.log_records = look.recovery.records;
    verified.leftovers += u64::from(look.recovery.torn.is_some());
    look.groups
}

/// The directories of replicas, in order, and the number of those that another has replaced or was to replace.
fn replicas(vfs: &dyn Vfs, dir: &Path) -> io::Result<(Vec<PathBuf>, u64)> {
    let (mut found, mut replaced) = (Vec::new(), 0);
    if !vfs.exists(dir)? {
        return Ok((found, replaced));
    }
    for partition in vfs.list(dir)? {
        let partition = dir.join(partition);
        let mut newest: BTreeMap<ReplicaId, (u64, PathBuf)> = BTreeMap::new();
        for replica in vfs.list(&partition)? {
            let path = partition.join(&replica);
            let name = replica.file_name().unwrap_or_default().to_string_lossy();
            match content_of(&name) {
                Some((replica, Content::Engine(installed))) => {
                    let held = newest.get(&replica).map(|(held, _)| *held);
                    replaced += u64::from(held.is_some());
                    if held.is_none_or(|held| held < installed) {
                        newest.insert(replica, (installed, path));
                    }
                }
                Some((_, Content::Passing)) => replaced += 1,
                // It is found to be no replica's.
                None => found.push(path),
            }
        }
        found.extend(newest.into_values().map(|(_, path)| path));
    }
    found.sort();
    Ok((found, replaced))
}

/// Opens a TSM file to look into it.
///
/// # Errors
/// When it cannot be read, or what stands at its end is damaged.
pub fn inspect_tsm(path: &Path) -> Result<storage::Inspection, storage::OpenError> {
    // A pipe would never open, and a device has no end.
    let is_other = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_other {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(storage::OpenError::Io {
            doing: "look into",
            path: path.to_owned(),
            source: Arc::new(source),
        });
    }
    storage::Inspection::open(&RealVfs, path)
}

#[cfg(test)]
mod tests;
