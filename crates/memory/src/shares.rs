//! How the memory is divided, in per cent.

#[cfg(test)]
mod tests;

/// Shares of the memory, in per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Of memtables and of writes on their way there.
    pub memtables: u8,
    /// Of the block cache.
    pub cache: u8,
    /// Of the series index.
    pub index: u8,
    /// Of running queries.
    pub queries: u8,
    /// Of running merges.
    pub compaction: u8,
}

/// A text is no division of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// A part is not `name=percent`, or names nothing that has a share.
    #[error("a part is not one of memtables, cache, index, queries, compaction with `=` and 1 to 99")]
    Part,
    /// More than the whole is given away.
    #[error("the shares sum to {0} %, more than 100")]
    Sum(u16),
}

impl Shares {
    /// Those of a server that nobody configured.
    pub const STANDARD: Self = Self { memtables: 25, cache: 35, index: 20, queries: 15, compaction: 5 };

    /// Reads `memtables=25,cache=35`; what is not named has its standard share.
    ///
    /// # Errors
    /// See [`SharesError`].
    pub fn parse(text: &str) -> Result<Self, SharesError> {
        let mut shares = Self::STANDARD;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, percent) = part.split_once('=').ok_or(SharesError::Part)?;
            let percent = percent.trim().trim_end_matches('%').trim_end().parse().ok();
            let percent = percent.filter(|p| (1..100).contains(p)).ok_or(SharesError::Part)?;
            let share = match name.trim() {
                "memtables" => &mut shares.memtables,
                "cache" => &mut shares.cache,
                "index" => &mut shares.index,
                "queries" => &mut shares.queries,
                "compaction" => &mut shares.compaction,
                _ => return Err(SharesError::Part),
            };
            *share = percent;
        }
        let all = [shares.memtables, shares.cache, shares.index, shares.queries, shares.compaction];
        let sum = all.into_iter().map(u16::from).sum();
        if sum <= 100 { Ok(shares) } else { Err(SharesError::Sum(sum)) }
    }
}
