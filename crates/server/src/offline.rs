//! What is asked of a data directory that no node runs on: is every byte of it what was written? Nothing is changed
//! and nothing is mended or created; the directory's lock is held meanwhile, so that no node starts on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, RocksStore};
use cluster::Identity;
use disk::{RealVfs, Vfs, seglog};

use crate::error::{ServeError, with_causes};
use crate::lock::DirectoryLock;

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
            write!(f, "; {} of a crash, which the next start mends", count(*leftovers, "leftover"))?;
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
    match Identity::read(&vfs, data_dir) {
        Ok(Some(_)) => {}
        Ok(None) => found(&format!("{}: there is no node.json", data_dir.display())),
        Err(error) => found(&with_causes(&error)),
    }
    verify_log(&vfs, data_dir, &mut verified, &mut found);
    let catalog = data_dir.join("catalog");
    if vfs.exists(&catalog).map_err(unusable)?
        && let Err(error) = RocksStore::open_to_read(&catalog).and_then(|s| Catalog::open(Box::new(s)))
    {
        found(&format!("{}: {}", catalog.display(), with_causes(&error)));
    }
    for replica in replicas(&vfs, &data_dir.join("partitions")).map_err(unusable)? {
        verified.replicas += 1;
        let (of_replica, _) = storage::verify(&vfs, &replica, &mut |finding| found(&finding.to_string()));
        verified.files += of_replica.files;
        verified.segments += of_replica.segments;
        verified.bytes += of_replica.bytes;
        verified.pages += of_replica.pages;
        verified.rows += of_replica.rows;
        verified.leftovers += of_replica.leftovers;
    }
    verified.findings = findings;
    Ok(verified)
}

fn verify_log(vfs: &dyn Vfs, data_dir: &Path, verified: &mut Verified, found: &mut dyn FnMut(&str)) {
    let dir = cluster::log_dir(data_dir);
    let is_there = vfs.exists(&dir).unwrap_or(true);
    if !is_there {
        return;
    }
    let recovery = seglog::verify(vfs, &dir, &mut |problem| found(&with_causes(&problem)));
    verified.log_records = recovery.records;
    verified.leftovers += u64::from(recovery.torn.is_some());
}

/// The directories `<partition>/<replica>`, in order.
fn replicas(vfs: &dyn Vfs, dir: &Path) -> io::Result<Vec<PathBuf>> {
    if !vfs.exists(dir)? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for partition in vfs.list(dir)? {
        let partition = dir.join(partition);
        found.extend(vfs.list(&partition)?.into_iter().map(|replica| partition.join(replica)));
    }
    found.sort();
    Ok(found)
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
        let (path, source) = (path.to_owned(), Arc::new(source));
        return Err(storage::OpenError::Io { doing: "look into", path, source });
    }
    storage::Inspection::open(&RealVfs, path)
}
