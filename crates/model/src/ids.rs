//! Identifiers as types: a bare `u64` in a signature asks a question, `BucketId` answers it.
//!
//! Public ids are non-zero and read and print as 16 lower-case hexadecimal digits, as InfluxDB 2.x's do.

use std::fmt;
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not exactly 16 hexadecimal digits.
    #[error("id must have a length of 16 bytes")]
    Length,
    /// 16 characters, but not all hexadecimal digits.
    #[error("id must be 16 hexadecimal digits")]
    Digits,
    /// The zero id is reserved.
    #[error("id must not be zero")]
    Zero,
}

macro_rules! hex_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a raw id; `None` for zero.
            pub const fn new(raw: u64) -> Option<Self> {
                if raw == 0 { None } else { Some(Self(raw)) }
            }

            /// The raw number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.len() != 16 {
                    return Err(IdError::Length);
                }
                if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(IdError::Digits);
                }
                let raw = u64::from_str_radix(text, 16).map_err(|_digits| IdError::Digits)?;
                Self::new(raw).ok_or(IdError::Zero)
            }
        }
    )*};
}

hex_id! {
    /// An organization, the tenant.
    OrgId,
    /// A bucket. Never reused, and unique over all organizations.
    BucketId,
    /// A user.
    UserId,
    /// An authorization (API token).
    AuthorizationId,
    /// A mapping of database and retention policy to a bucket.
    DbrpId,
    /// A continuous query.
    ContinuousQueryId,
    /// A node: one process with one data directory.
    NodeId,
}

/// One slice of the series-hash space; the unit of replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member of one Raft group. Allocated from the meta log and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Raft group of the cluster: the catalog's, or one partition's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    /// The group that holds the catalog.
    Meta,
    /// The group of one partition.
    Data(PartitionId),
}

impl GroupId {
    /// The number by which the group is known in the log: 0 is meta, partition p is p + 1.
    pub const fn number(self) -> u32 {
        match self {
            Self::Meta => 0,
            Self::Data(PartitionId(p)) => p as u32 + 1,
        }
    }

    /// The group of a number; `None` when no group can have it.
    pub fn from_number(number: u32) -> Option<Self> {
        match number.checked_sub(1) {
            None => Some(Self::Meta),
            Some(p) => u16::try_from(p).ok().map(|p| Self::Data(PartitionId(p))),
        }
    }
}

/// Not the name of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group is called meta, or data- and the number of a partition")]
pub struct GroupNameError;

impl FromStr for GroupId {
    type Err = GroupNameError;

    /// As it is displayed; a partition's number alone means its group too.
    fn from_str(name: &str) -> Result<Self, GroupNameError> {
        if name == "meta" {
            return Ok(Self::Meta);
        }
        let number = name.strip_prefix("data-").unwrap_or(name);
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let partition = number.parse().ok().filter(|_| is_plain).ok_or(GroupNameError)?;
        Ok(Self::Data(PartitionId(partition)))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Data(p) => write!(f, "data-{p}"),
        }
    }
}
