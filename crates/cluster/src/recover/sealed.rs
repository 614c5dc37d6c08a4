//! Files that people carry from machine to machine: JSON with a format, a kind, and a checksum over what matters.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The format that this version writes, and the only one it reads.
const FORMAT: u32 = 1;

/// Something that is kept in a file of its own kind.
pub trait Sealed: Serialize + DeserializeOwned {
    /// What such a file calls itself.
    const KIND: &'static str;

    /// The checksum over all of it.
    ///
    /// # Errors
    /// [`SealedError::Json`].
    fn checksum(&self) -> Result<String, SealedError> {
        let bytes =
            serde_json::to_vec(self).map_err(|source| SealedError::Json { kind: Self::KIND, source })?;
        Ok(format!("{:016x}", xxh3_64(&bytes)))
    }

    /// The content of its file.
    ///
    /// # Errors
    /// [`SealedError::Json`].
    fn to_file(&self) -> Result<Vec<u8>, SealedError> {
        let checksum = self.checksum()?;
        let file = FileOut { format: FORMAT, kind: Self::KIND, content: self, checksum: &checksum };
        let mut bytes = serde_json::to_vec_pretty(&file)
            .map_err(|source| SealedError::Json { kind: Self::KIND, source })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// See [`SealedError`]; whatever was changed by hand is an error.
    fn from_file(bytes: &[u8]) -> Result<Self, SealedError> {
        let kind = Self::KIND;
        let json = |source| SealedError::Json { kind, source };
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        if head.kind != kind {
            return Err(SealedError::Kind { wanted: kind, found: head.kind });
        }
        if head.format != FORMAT {
            return Err(SealedError::Format { kind, format: head.format });
        }
        let file: FileIn<Self> = serde_json::from_slice(bytes).map_err(json)?;
        if file.content.checksum()? != file.checksum {
            return Err(SealedError::Checksum { kind });
        }
        Ok(file.content)
    }
}

#[derive(Serialize)]
struct FileOut<'a, T> {
    format: u32,
    kind: &'a str,
    content: &'a T,
    checksum: &'a str,
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn<T> {
    #[serde(rename = "format")]
    _format: u32,
    #[serde(rename = "kind")]
    _kind: String,
    content: T,
    checksum: String,
}

/// Why a file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// It is no such JSON.
    #[error("it is not a {kind}")]
    Json {
        /// What it should be.
        kind: &'static str,
        /// Why it is not.
        source: serde_json::Error,
    },
    /// It is something else of ours.
    #[error("it is a {found:?}, not a {wanted}")]
    Kind {
        /// What it should be.
        wanted: &'static str,
        /// What it says it is.
        found: String,
    },
    /// Another version wrote it.
    #[error("this {kind} has format {format}, and this version reads {FORMAT}")]
    Format {
        /// What it is.
        kind: &'static str,
        /// Its format.
        format: u32,
    },
    /// It was changed.
    #[error("the checksum of this {kind} is wrong: it was damaged on its way, or changed by hand")]
    Checksum {
        /// What it is.
        kind: &'static str,
    },
}
