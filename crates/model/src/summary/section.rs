//! The windows of a span of time: what can be kept of a summary, and be put together with other spans again.
//!
//! A window lies in one section, and its cells are those that it has in any other summary of the same values. What is put
//! together of sections is therefore, to the last bit, what one summary of the whole time would have been.

use super::{Cells, FieldSummary, GroupSummary, Grouping, Groups, SummaryRequest, Sums, TooLarge, put_tags};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Section {
    groups: Vec<GroupSummary>,
    rows: u64,
    bytes: usize,
}

impl Section {
    /// Memory that it takes, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Groups {
    /// The windows that start at `from` or later and before `until`.
    #[must_use]
    pub fn section(&self, from: i64, until: i64) -> Section {
        let mut section = self.emptied();
        for group in &self.groups {
            let cut = |field: &FieldSummary| {
                let cells = field.cells.between(from, until);
                (!cells.is_empty()).then(|| FieldSummary { name: std::sync::Arc::clone(&field.name), cells })
            };
            let fields: Vec<FieldSummary> = group.fields.iter().filter_map(cut).collect();
            if fields.is_empty() {
                continue;
            }
            let rows = fields.iter().map(|field| field.cells.counts.iter().sum::<u64>()).max();
            section.rows = section.rows.saturating_add(rows.unwrap_or(0));
            let group = GroupSummary { key: group.key.clone(), tags: group.tags.clone(), fields };
            section.push(group).expect("there is no limit to what was within one");
        }
        Section { rows: section.rows, bytes: section.bytes, groups: section.groups }
    }

    /// None, and no limits.
    fn emptied(&self) -> Self {
        Self {
            grouping: self.grouping.clone(),
            wanted: self.wanted,
            cells_max: usize::MAX,
            rows_max: u64::MAX,
            cells: 0,
            bytes: 0,
            rows: 0,
            index: std::collections::HashMap::new(),
            groups: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// What is here, as one section.
    #[must_use]
    pub fn into_section(self) -> Section {
        Section { rows: self.rows, bytes: self.bytes, groups: self.groups }
    }

    /// Puts sections together, which come ascending in time.
    ///
    /// # Errors
    /// There are more cells, or rows, than the request allows.
    pub fn of_sections<'a>(
        request: &SummaryRequest,
        sections: impl Iterator<Item = &'a Section>,
    ) -> Result<Self, TooLarge> {
        let mut all = Self::new(request);
        for section in sections {
            all.count_rows(section.rows)?;
            for group in &section.groups {
                all.take_later(group)?;
            }
        }
        // As one summary has them: by the first series of each.
        all.groups.sort_by(|a, b| a.key.cmp(&b.key));
        all.index.clear();
        if matches!(all.grouping, Grouping::Tags(_)) {
            for (at, group) in all.groups.iter().enumerate() {
                put_tags(&mut all.scratch, group.tags.iter().map(String::as_str));
                all.index.insert(all.scratch.clone(), at);
            }
        }
        Ok(all)
    }

    /// Takes windows of a group that come after those that are here.
    fn take_later(&mut self, group: &GroupSummary) -> Result<(), TooLarge> {
        match self.grouping {
            Grouping::Series => {
                self.scratch.clear();
                self.scratch.extend_from_slice(group.key.as_bytes());
            }
            Grouping::Tags(_) => put_tags(&mut self.scratch, group.tags.iter().map(String::as_str)),
        }
        let Some(&at) = self.index.get(&self.scratch) else {
            self.index.insert(self.scratch.clone(), self.groups.len());
            return self.push(group.clone());
        };
        let known = &mut self.groups[at];
        if group.key < known.key {
            known.key = group.key.clone();
        }
        self.merge_at(at, group.fields.clone())
    }
}

impl Cells {
    /// The windows that start at `from` or later and before `until`.
    fn between(&self, from: i64, until: i64) -> Self {
        let start = self.starts.partition_point(|&at| at < from);
        let end = self.starts.partition_point(|&at| at < until).max(start);
        let rows = start..end;
        // What is not wanted has no rows.
        fn cut<T: Clone>(values: &[T], rows: &std::ops::Range<usize>) -> Vec<T> {
            values.get(rows.clone()).map_or_else(Vec::new, <[T]>::to_vec)
        }
        Self {
            field_type: self.field_type,
            starts: cut(&self.starts, &rows),
            counts: cut(&self.counts, &rows),
            sums: match &self.sums {
                Sums::Float(sums) => Sums::Float(cut(sums, &rows)),
                Sums::Integer(sums) => Sums::Integer(cut(sums, &rows)),
                Sums::Unsigned(sums) => Sums::Unsigned(cut(sums, &rows)),
                Sums::None => Sums::None,
            },
            squares: cut(&self.squares, &rows),
            min: cut(&self.min, &rows),
            max: cut(&self.max, &rows),
            first: cut(&self.first, &rows),
            last: cut(&self.last, &rows),
        }
    }
}
