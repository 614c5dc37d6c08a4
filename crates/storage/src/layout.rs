//! Which fields a chunk of rows has: interned lists of field names with their types.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{FieldDef, FieldType};

/// Bits in a presence word of a memtable row.
const WORD_BITS: usize = 64;

/// The fields of a chunk, in no particular order; distinct.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) fields: Vec<FieldDef>,
    has_text: bool,
}

impl Layout {
    /// Words of a row: time, values, presence bits.
    pub(crate) fn stride(&self) -> usize {
        1 + self.fields.len() + self.presence_words()
    }

    /// Words that hold a row's presence bits.
    pub(crate) fn presence_words(&self) -> usize {
        self.fields.len().div_ceil(WORD_BITS)
    }

    /// Whether every field of another is one of these.
    pub(crate) fn has_all(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || other.fields.iter().all(|f| self.position(f).is_some())
    }

    /// Whether some field is text.
    pub(crate) fn has_text(&self) -> bool {
        self.has_text
    }

    /// The place of a field.
    pub(crate) fn position(&self, field: &FieldDef) -> Option<usize> {
        self.fields.iter().position(|f| same_field(f, field))
    }
}

/// Equality that is cheap for shared names.
pub(crate) fn same_field(a: &FieldDef, b: &FieldDef) -> bool {
    a.field_type == b.field_type && (Arc::ptr_eq(&a.name, &b.name) || a.name == b.name)
}

/// Layouts by their fields, so that chunks with the same fields share one and compare by address.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    known: HashMap<Vec<FieldDef>, Arc<Layout>>,
}

impl Layouts {
    /// More layouts than this are forgotten and begun anew: sharing is an economy, not an identity.
    const KNOWN_MAX: usize = 10_000;

    /// The shared layout with exactly these fields.
    pub(crate) fn intern(&mut self, fields: &[FieldDef]) -> Arc<Layout> {
        if let Some(layout) = self.known.get(fields) {
            return Arc::clone(layout);
        }
        if self.known.len() >= Self::KNOWN_MAX {
            self.known.clear();
        }
        let has_text = fields.iter().any(|f| f.field_type == FieldType::String);
        let layout = Arc::new(Layout { fields: fields.to_vec(), has_text });
        self.known.insert(fields.to_vec(), Arc::clone(&layout));
        layout
    }
}
