//! Series of a set with their keys, in key order, as the index was when the walk was made.
//!
//! Segments keep their series in key order and never change, so of them only the places are noted; keys are put
//! together when their turn comes. Of what is in memory only, keys are copied at once and sorted later.

use std::collections::VecDeque;
use std::sync::Arc;

use model::SeriesKey;
use roaring::RoaringBitmap;

use super::key::{Assembly, compare};
use super::segment::Segment;
use super::{SeriesId, SeriesIndex};
use crate::error::{Damage, ReadError};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    segments: Vec<InSegment>,
    /// Sorted when the walk begins.
    memory: VecDeque<(SeriesId, SeriesKey)>,
    has_begun: bool,
}

#[derive(Debug, Clone)]
struct InSegment {
    segment: Arc<Segment>,
    wanted: RoaringBitmap,
    /// Places that are still to come, in key order.
    places: std::vec::IntoIter<u32>,
    next: Option<(SeriesId, SeriesKey)>,
}

impl SeriesIndex {
    /// A walk over live series.
    pub(crate) fn walk(&self, wanted: &RoaringBitmap) -> Walk {
        let of_segment = |segment: &Arc<Segment>| InSegment {
            segment: Arc::clone(segment),
            wanted: wanted & segment.series(),
            places: Vec::new().into_iter(),
            next: None,
        };
        let segments = self.segments.iter().map(of_segment).filter(|s| !s.wanted.is_empty()).collect();
        let mut assembly = Assembly::default();
        let heads = self.frozen.iter().map(|head| &**head).chain([&self.head]);
        let memory = heads.flat_map(|head| wanted.range(head.first()..head.end()).map(move |id| (head, id)));
        let memory = memory.filter_map(|(head, id)| Some((id, head.key(id, &mut assembly)?))).collect();
        Walk { segments, memory, has_begun: false }
    }
}

impl Walk {
    /// The next series.
    pub(crate) fn next(&mut self) -> Result<Option<(SeriesId, SeriesKey)>, ReadError> {
        if !self.has_begun {
            self.has_begun = true;
            self.memory.make_contiguous().sort_unstable_by(|a, b| compare(&a.1, &b.1));
            for segment in &mut self.segments {
                segment.places = segment.segment.places(&segment.wanted).into_iter();
                segment.advance()?;
            }
        }
        let in_segments =
            (0..self.segments.len()).filter_map(|at| Some((at, self.segments[at].next.as_ref()?)));
        let least = in_segments.min_by(|a, b| compare(&a.1.1, &b.1.1));
        match (least, self.memory.front()) {
            (Some((at, found)), memory) if memory.is_none_or(|(_, key)| compare(&found.1, key).is_lt()) => {
                let segment = &mut self.segments[at];
                let found = segment.next.take();
                segment.advance()?;
                Ok(found)
            }
            _ => Ok(self.memory.pop_front()),
        }
    }
}

impl InSegment {
    fn advance(&mut self) -> Result<(), ReadError> {
        self.next = match self.places.next() {
            None => None,
            Some(place) => {
                let series = self.segment.id_at(place).zip(self.segment.key_at(place));
                Some(series.ok_or_else(|| ReadError::Damaged {
                    path: self.segment.path.clone(),
                    offset: 0,
                    source: Damage::Malformed("series"),
                })?)
            }
        };
        Ok(())
    }
}
