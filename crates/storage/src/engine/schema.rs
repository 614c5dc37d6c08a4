//! Questions about which names exist, answered from the index and the layouts, without reading pages.

use std::collections::BTreeSet;

use model::{SchemaQuestion, SchemaRequest, SeriesKey};

use super::Engine;
use super::scan::Snapshot;
use crate::error::ReadError;

impl Engine {
    /// The answer to a question about the schema: sorted, distinct. Time counts by shard: what has rows in a
    /// shard that overlaps the range exists. What deletes have left nothing of is gone at once where whole series or
    /// fields were deleted, and where single rows were, when a merge has left them out.
    pub fn schema(&self, request: &SchemaRequest) -> Result<Vec<String>, ReadError> {
        let mut snapshot = {
            let state = self.inner.state.read();
            let Some(bucket) = state.buckets.get(&request.bucket) else { return Ok(Vec::new()) };
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
                });
                if !any {
                    continue;
                }
            }
            add_names(&mut names, &request.question, &key);
        }
        Ok(names.into_iter().collect())
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
