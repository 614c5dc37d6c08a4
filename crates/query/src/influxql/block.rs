//! A block of rows of one series, from a scan or from a subquery.

use std::sync::Arc;

use model::{Column, SeriesBlock, SeriesKey};

/// The tags of a block.
#[derive(Debug, Clone)]
pub(crate) enum BlockTags {
    /// Of a stored series.
    Key(SeriesKey),
    /// Of a group of a subquery.
    List(Vec<(String, String)>),
}

/// Rows of one series, ascending in time. Blocks of subqueries may repeat a time.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: Arc<str>,
    pub(crate) tags: BlockTags,
    pub(crate) times: Vec<i64>,
    pub(crate) fields: Vec<(Arc<str>, Column)>,
}

impl Block {
    pub(crate) fn from_scan(block: SeriesBlock, name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            tags: BlockTags::Key(block.key),
            times: block.times,
            fields: block.fields,
        }
    }

    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        match &self.tags {
            BlockTags::Key(series) => series.tag(key),
            BlockTags::List(tags) => tags.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()),
        }
    }

    /// Whether the rows are of a stored series; else a subquery made them.
    pub(crate) const fn is_stored(&self) -> bool {
        matches!(self.tags, BlockTags::Key(_))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Column> {
        self.fields.iter().find(|(n, _)| &**n == name).map(|(_, column)| column)
    }
}
