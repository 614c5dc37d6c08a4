//! Who this node is: `node.json` in its data directory, written before anything else and never changed.

use std::path::{Path, PathBuf};

use disk::Vfs;
use disk::atomic::{self, AtomicError};
use model::NodeId;
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "node.json";
/// The format that this version writes, and the highest it reads.
const FORMAT: u32 = 1;
const BYTES_MAX: u64 = 64 << 10;

/// The identity of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random id of the cluster that the node belongs to.
    pub cluster_id: u128,
    /// Random id of this data directory. A lost volume comes back with another.
    pub node_uuid: u128,
    /// The node's id in the cluster.
    pub node_id: NodeId,
    /// Whether the cluster's first command has been applied here. From then on an empty log is a lost log.
    pub(crate) member: bool,
}

/// Why the identity is not known.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("the node's identity cannot be read or written")]
    File(#[from] AtomicError),
    /// The file is not what we wrote.
    #[error("{} is not a node's identity", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A field has no sensible value.
    #[error("{} has a wrong {field}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
    /// Another version wrote it.
    #[error(
        "{} was written by {} version (format {format}, this version reads {FORMAT})",
        path.display(),
        if *format > FORMAT { "a newer" } else { "an older" }
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The system has no random numbers.
    #[error("no random numbers for a new identity: {0}")]
    Random(getrandom::Error),
}

/// The file's content. Ids are hexadecimal, because JSON's numbers are doubles to many readers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    cluster_id: String,
    node_uuid: String,
    node_id: String,
    created_version: String,
    member: bool,
    /// CRC-32C of the other fields, hexadecimal.
    checksum: String,
}

/// What every format has.
#[derive(Debug, Deserialize)]
struct Head {
    format: u32,
}

impl Stored {
    /// Of all fields but itself, each with its name.
    fn own_checksum(&self) -> String {
        let Self { format, cluster_id, node_uuid, node_id, created_version, member, checksum: _ } = self;
        let text = format!(
            "format={format} cluster_id={cluster_id} node_uuid={node_uuid} node_id={node_id} \
             created_version={created_version} member={member}"
        );
        format!("{:08x}", crc32c::crc32c(text.as_bytes()))
    }
}

impl Identity {
    /// Whether the node has founded or joined its cluster to the end.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        self.member
    }

    /// Reads the identity; `None` for a directory that has none.
    pub fn read(vfs: &dyn Vfs, data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(FILE);
        let bytes = match atomic::read(vfs, &path, BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let malformed = |source| IdentityError::Malformed { path: path.clone(), source };
        let Head { format } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if format != FORMAT {
            return Err(IdentityError::Format { path, format });
        }
        let stored: Stored = serde_json::from_slice(&bytes).map_err(malformed)?;
        let wrong = |field| IdentityError::Field { path: path.clone(), field };
        if stored.own_checksum() != stored.checksum {
            return Err(wrong("checksum"));
        }
        let number = |text: &str| u128::from_str_radix(text, 16).ok();
        Ok(Some(Self {
            cluster_id: number(&stored.cluster_id).ok_or_else(|| wrong("cluster_id"))?,
            node_uuid: number(&stored.node_uuid).ok_or_else(|| wrong("node_uuid"))?,
            node_id: stored.node_id.parse().map_err(|_id| wrong("node_id"))?,
            member: stored.member,
        }))
    }

    /// Mints the identity of a cluster's founder. Not written yet.
    pub(crate) fn found() -> Result<Self, IdentityError> {
        let random = || {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(IdentityError::Random)?;
            Ok::<_, IdentityError>(u128::from_be_bytes(bytes))
        };
        let node_id = NodeId::new(1).expect("1 is not zero");
        Ok(Self { cluster_id: random()?, node_uuid: random()?, node_id, member: false })
    }

    /// Writes the identity, durably.
    pub(crate) fn write(&self, vfs: &dyn Vfs, data_dir: &Path) -> Result<(), IdentityError> {
        let path = data_dir.join(FILE);
        let mut stored = Stored {
            format: FORMAT,
            cluster_id: format!("{:032x}", self.cluster_id),
            node_uuid: format!("{:032x}", self.node_uuid),
            node_id: self.node_id.to_string(),
            created_version: env!("CARGO_PKG_VERSION").to_owned(),
            member: self.member,
            checksum: String::new(),
        };
        stored.checksum = stored.own_checksum();
        let mut bytes = serde_json::to_vec_pretty(&stored)
            .map_err(|source| IdentityError::Malformed { path: path.clone(), source })?;
        bytes.push(b'\n');
        Ok(atomic::replace(vfs, &path, &bytes)?)
    }
}

#[cfg(test)]
mod tests;
