//! Who this node is: `node.json` in its data directory, written before anything else.
//!
//! ```text
//! new directory ─► a UUID of its own ─► which cluster, and which member of its meta group ─► a member ─► out
//! ```
//! It only ever goes on in that order: a node that belongs to a cluster never belongs to another, and from the moment
//! that it may vote an empty log is a lost log. A node that has heard that it is out never takes part again.

use std::path::{Path, PathBuf};

use catalog::NodeState;
use disk::Vfs;
use disk::atomic::{self, AtomicError};
use model::{NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "node.json";
/// The format that this version writes, and the highest it reads.
const FORMAT: u32 = 3;
const BYTES_MAX: u64 = 64 << 10;

/// The identity of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random id of this data directory. A lost volume comes back with another.
    pub node_uuid: u128,
    /// Where it belongs; `None` while it is in no cluster.
    pub belongs: Option<Belongs>,
    /// Whether the node may have voted. From then on an empty log is a lost log.
    pub(crate) member: bool,
    /// As what the node is out of its cluster for good, once it has heard so: lost, or decommissioned.
    pub(crate) out: Option<NodeState>,
}

/// A node's place in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belongs {
    /// Random id of the cluster.
    pub cluster_id: u128,
    /// The node's id in it.
    pub node_id: NodeId,
    /// The node's member of the meta group.
    pub meta_replica: ReplicaId,
    /// Whether this node founds the cluster: it alone initialises the meta group.
    pub(crate) founder: bool,
}

impl Belongs {
    /// The place of a founding node, by its position among them, as the catalog's first command gives it.
    pub(crate) fn founding(cluster_id: u128, position: usize) -> Self {
        let number = position as u64 + 1;
        Self {
            cluster_id,
            node_id: NodeId::new(number).expect("counted from 1"),
            meta_replica: ReplicaId(number),
            founder: position == 0,
        }
    }
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
    node_uuid: String,
    /// Empty while the node is in no cluster, like the two below.
    cluster_id: String,
    node_id: String,
    meta_replica: String,
    founder: bool,
    member: bool,
    /// `lost`, `decommissioned`, or empty.
    out: String,
    created_version: String,
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
        let Self {
            format,
            node_uuid,
            cluster_id,
            node_id,
            meta_replica,
            founder,
            member,
            out,
            created_version,
            checksum: _,
        } = self;
        let text = format!(
            "format={format} node_uuid={node_uuid} cluster_id={cluster_id} node_id={node_id} \
             meta_replica={meta_replica} founder={founder} member={member} out={out} created_version={created_version}"
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
        let belongs = if stored.cluster_id.is_empty() {
            None
        } else {
            let replica = number(&stored.meta_replica).and_then(|id| u64::try_from(id).ok());
            Some(Belongs {
                cluster_id: number(&stored.cluster_id).ok_or_else(|| wrong("cluster_id"))?,
                node_id: stored.node_id.parse().map_err(|_id| wrong("node_id"))?,
                meta_replica: ReplicaId(replica.ok_or_else(|| wrong("meta_replica"))?),
                founder: stored.founder,
            })
        };
        let node_uuid = number(&stored.node_uuid).ok_or_else(|| wrong("node_uuid"))?;
        let out = match &*stored.out {
            "" => None,
            out => {
                let named =
                    [NodeState::Lost, NodeState::Decommissioned].into_iter().find(|s| s.name() == out);
                Some(named.ok_or_else(|| wrong("out"))?)
            }
        };
        Ok(Some(Self { node_uuid, belongs, member: stored.member, out }))
    }

    /// Mints the identity of a new data directory. Not written yet.
    pub(crate) fn mint() -> Result<Self, IdentityError> {
        Ok(Self { node_uuid: random_id()?, belongs: None, member: false, out: None })
    }

    /// Writes the identity, durably.
    pub(crate) fn write(&self, vfs: &dyn Vfs, data_dir: &Path) -> Result<(), IdentityError> {
        let path = data_dir.join(FILE);
        let belongs = self.belongs;
        let text = |of: fn(Belongs) -> String| belongs.map(of).unwrap_or_default();
        let mut stored = Stored {
            format: FORMAT,
            node_uuid: format!("{:032x}", self.node_uuid),
            cluster_id: text(|place| format!("{:032x}", place.cluster_id)),
            node_id: text(|place| place.node_id.to_string()),
            meta_replica: text(|place| format!("{:016x}", place.meta_replica.0)),
            founder: belongs.is_some_and(|place| place.founder),
            member: self.member,
            out: self.out.map(|state| state.name().to_owned()).unwrap_or_default(),
            created_version: env!("CARGO_PKG_VERSION").to_owned(),
            checksum: String::new(),
        };
        stored.checksum = stored.own_checksum();
        let mut bytes = serde_json::to_vec_pretty(&stored)
            .map_err(|source| IdentityError::Malformed { path: path.clone(), source })?;
        bytes.push(b'\n');
        Ok(atomic::replace(vfs, &path, &bytes)?)
    }
}

/// A new random id of a cluster or a node.
pub(crate) fn random_id() -> Result<u128, IdentityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(IdentityError::Random)?;
    Ok(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests;
