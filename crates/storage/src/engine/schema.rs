//! Questions about which names exist, answered from the index and the layouts. Pages are read only where a delete has hit
//! some of the times that series share a page for.

use std::collections::BTreeSet;

use model::{SchemaQuestion, SchemaRequest, SeriesKey};
use roaring::RoaringBitmap;

use super::Engine;
use super::scan::Snapshot;
use super::state::Shard;
use crate::error::ReadError;
use crate::index::{Names, Selection};

impl Engine {
    /// The answer to a question about the schema: sorted, distinct. Time counts by shard: what has rows in a
    /// shard that overlaps the range exists. What deletes have left nothing of is gone at once where whole series or
    /// fields were deleted, and where single rows were, when a merge has left them out.
    pub fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ReadError> {
        let names = match &request.question {
            SchemaQuestion::Measurements => self.names(request, Names::Measurements)?,
            SchemaQuestion::TagKeys => self.names(request, Names::TagKeys)?,
            SchemaQuestion::TagValues(tag) => self.names(request, Names::TagValues(tag))?,
            SchemaQuestion::Series | SchemaQuestion::FieldKeys => None,
        };
        if let Some(names) = names {
            return Ok(names);
        }
        let mut snapshot = {
            let state = self.inner.state.read();
            let Some(bucket) = state.buckets.get(&request.bucket) else { return Ok(Vec::new()) };
            bucket.check_names(&request.range)?;
            Snapshot::of(bucket, request.range, &request.predicate)
        };
        let mut names = BTreeSet::new();
        while let Some((id, key)) = snapshot.next_series()? {
            let needs_fields =
                request.question == SchemaQuestion::FieldKeys || !snapshot.selection.all.contains(id);
            if needs_fields {
                let mut any = false;
                snapshot.each_field(id, &key, |field| {
                    if snapshot.accepts(&request.predicate, id, &key, field) {
                        any = true;
                        if request.question == SchemaQuestion::FieldKeys && !names.contains(field) {
                            names.insert(field.to_owned());
                        }
                    }
                })?;
                if !any {
                    continue;
                }
            }
            add_names(&mut names, &request.question, &key);
        }
        Ok(names.into_iter().collect())
    }

    /// The names of a kind of which something is left, looking at the series of those only that deletes have touched.
    /// `None` when the predicate asks for fields.
    fn names(&self, request: &SchemaRequest, kind: Names<'_>) -> Result<Option<Vec<String>>, ReadError> {
        let mut names = BTreeSet::new();
        let mut pending = BTreeSet::new();
        let mut snapshot = {
            let state = self.inner.state.read();
            let Some(bucket) = state.buckets.get(&request.bucket) else { return Ok(Some(Vec::new())) };
            bucket.check_names(&request.range)?;
            let selection = bucket.index.select(&request.predicate);
            if selection.all != selection.some {
                return Ok(None);
            }
            let mut wanted = RoaringBitmap::new();
            let shards = bucket.shards.iter().filter(|s| s.range.overlaps(&request.range));
            shards.for_each(|shard| wanted |= &shard.presence);
            wanted &= &selection.all;
            let masks = bucket.tombstones.masks(request.range, u64::MAX, &bucket.index);
            bucket.index.each_name(kind, &wanted, |name, series| {
                if names.contains(name) {
                } else if !series.is_subset(masks.touched()) {
                    pending.remove(name);
                    names.insert(name.to_owned());
                } else if !pending.contains(name) {
                    pending.insert(name.to_owned());
                }
            });
            let touched = if pending.is_empty() { RoaringBitmap::new() } else { wanted & masks.touched() };
            let shards = bucket.shards.iter().filter(|s| s.range.overlaps(&request.range));
            let is_gone = |shard: &Shard| {
                let memory = shard.frozen.iter().flat_map(|frozen| frozen.ids()).chain(shard.active.ids());
                shard.files.iter().all(|file| masks.hide_all_of(file, &touched))
                    && !memory.into_iter().any(|id| touched.contains(id))
            };
            if shards.into_iter().all(is_gone) {
                // As after a measurement was dropped: no need to look at its series one by one.
                return Ok(Some(names.into_iter().collect()));
            }
            Snapshot::of_selection(bucket, request.range, Selection::decided(touched))
        };
        while !pending.is_empty()
            && let Some((id, key)) = snapshot.series.next()?
        {
            let mut found: Vec<&str> = match kind {
                Names::Measurements => vec![key.measurement()],
                Names::TagKeys => key.tags().map(|(tag, _)| tag).collect(),
                Names::TagValues(tag) => key.tag(tag).into_iter().collect(),
            };
            found.retain(|name| pending.contains(*name));
            if !found.is_empty() && snapshot.has_fields(id, &key)? {
                for name in found {
                    pending.remove(name);
                    names.insert(name.to_owned());
                }
            }
        }
        Ok(Some(names.into_iter().collect()))
    }
}

fn add_names(names: &mut BTreeSet<String>, question: &SchemaQuestion, key: &SeriesKey) {
    let mut add = |name: &str| {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    };
    match question {
        SchemaQuestion::Measurements => add(key.measurement()),
        SchemaQuestion::TagKeys => key.tags().for_each(|(tag, _)| add(tag)),
        SchemaQuestion::TagValues(wanted) => key.tag(wanted).into_iter().for_each(add),
        SchemaQuestion::Series => add(&key.to_string()),
        SchemaQuestion::FieldKeys => {}
    }
}
