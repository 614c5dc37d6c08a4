//! Commit tokens: what an acknowledged write tells its client, so that a query through any node sees it.
//!
//! ```text
//! base64url of: version 1 | cluster 16 | one pair for each group: number - the last one's - 1, index | checksum 8
//! ```
//! Numbers are varints, and the first eight bytes of SHA-256 are the checksum: it guards against what was cut or mixed
//! up, not against malice. A token has at most one pair for each group of the cluster, so it is about six bytes for each
//! partition that was written to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Commits, GroupId, varint};
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;
const CLUSTER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;
/// Longer than a token can be that has a pair for each group of the largest cluster.
const TEXT_BYTES_MAX: usize = 80 << 10;

/// Why a text is no commit token of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It is none at all, or was cut or changed.
    #[error("malformed commit token")]
    Malformed,
    /// Another cluster has given it.
    #[error("the commit token is another cluster's")]
    Foreign,
}

/// The token of what was committed.
pub(crate) fn encode(cluster: u128, commits: &Commits) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(cluster.to_be_bytes());
    let mut least = 0;
    for (group, index) in commits.iter() {
        varint::put(&mut bytes, u64::from(group.number() - least));
        varint::put(&mut bytes, index);
        least = group.number() + 1;
    }
    let checksum = checksum(&bytes);
    bytes.extend(checksum);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token of this cluster.
pub(crate) fn decode(cluster: u128, text: &str) -> Result<Commits, TokenError> {
    let malformed = TokenError::Malformed;
    if text.len() > TEXT_BYTES_MAX {
        return Err(malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_base64| malformed)?;
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(malformed)?;
    if checksum(body) != *sum {
        return Err(malformed);
    }
    let (version, rest) = body.split_first().ok_or(malformed)?;
    let (of, mut pairs) = rest.split_first_chunk::<CLUSTER_BYTES>().ok_or(malformed)?;
    if *version != VERSION {
        return Err(malformed);
    }
    if u128::from_be_bytes(*of) != cluster {
        return Err(TokenError::Foreign);
    }
    let mut commits = Commits::default();
    let mut least = 0_u64;
    while !pairs.is_empty() {
        let mut next = || varint::take(&mut pairs).ok_or(malformed);
        let number = least.checked_add(next()?).ok_or(malformed)?;
        let group = u32::try_from(number).ok().and_then(GroupId::from_number).ok_or(malformed)?;
        commits.add(group, next()?);
        least = number + 1;
    }
    Ok(commits)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    *digest.first_chunk().expect("a digest is longer")
}

#[cfg(test)]
mod tests;
