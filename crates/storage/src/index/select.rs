//! Predicates to sets of series, through the postings.
//!
//! A predicate may also ask for the field's name, which the index does not know per series. So the result has two
//! sets: the series of which every field passes, and those of which some field may pass.

use model::{Predicate, Subject, Test};
use roaring::RoaringBitmap;

use super::SeriesIndex;
use super::head::Head;
use super::key::MEASUREMENT;
use super::segment::Segment;

/// `all` is a subset of `some`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// Every field of these series passes.
    pub(crate) all: RoaringBitmap,
    /// Some field of these series may pass; no field of any other series does.
    pub(crate) some: RoaringBitmap,
}

impl Selection {
    /// Exactly these series, with every field.
    pub(crate) fn decided(ids: RoaringBitmap) -> Self {
        Self { all: ids.clone(), some: ids }
    }
}

impl SeriesIndex {
    /// The series that a predicate selects.
    pub(crate) fn select(&self, predicate: &Predicate) -> Selection {
        match predicate {
            Predicate::Constant(true) => Selection::decided(self.live.clone()),
            Predicate::Constant(false) => Selection::decided(RoaringBitmap::new()),
            Predicate::Compare(Subject::Field, _) => {
                Selection { all: RoaringBitmap::new(), some: self.live.clone() }
            }
            Predicate::Compare(Subject::Measurement, test) => {
                Selection::decided(self.matching(MEASUREMENT, test))
            }
            // No series has a tag with the empty key, so its value is the empty string.
            Predicate::Compare(Subject::Tag(key), test) if key.is_empty() => {
                self.select(&Predicate::Constant(test.accepts("")))
            }
            Predicate::Compare(Subject::Tag(key), test) => Selection::decided(self.with_tag(key, test)),
            Predicate::And(parts) => {
                let mut parts = parts.iter();
                let Some(first) = parts.next() else { return Selection::decided(self.live.clone()) };
                let mut result = self.select(first);
                for part in parts {
                    if result.some.is_empty() {
                        break;
                    }
                    let next = self.select(part);
                    result.all &= next.all;
                    result.some &= next.some;
                }
                result
            }
            Predicate::Or(parts) => {
                let mut result = Selection::decided(RoaringBitmap::new());
                for part in parts {
                    let next = self.select(part);
                    result.all |= next.all;
                    result.some |= next.some;
                }
                result
            }
            Predicate::Not(inner) => {
                let inner = self.select(inner);
                Selection { all: &self.live - &inner.some, some: &self.live - &inner.all }
            }
        }
    }

    /// A series without the tag has the empty string as its value.
    fn with_tag(&self, key: &str, test: &Test) -> RoaringBitmap {
        // The fewer: those that pass, or those that do not.
        if let Test::NotEq(value) = test
            && !value.is_empty()
        {
            return &self.live - self.matching(key.as_bytes(), &Test::Eq(value.clone()));
        }
        let mut result = self.matching(key.as_bytes(), test);
        if test.accepts("") {
            let mut having = RoaringBitmap::new();
            self.layers(|layer| layer.having(key.as_bytes(), &mut having));
            result |= &self.live - having;
        }
        result
    }

    /// Visits the names of a kind that series of a set have, each with those it has; some more than once, with other
    /// series.
    pub(crate) fn each_name(
        &self,
        kind: Names<'_>,
        wanted: &RoaringBitmap,
        mut visit: impl FnMut(&str, &RoaringBitmap),
    ) {
        let mut one = |name: &[u8], series: &RoaringBitmap| {
            if let Ok(name) = std::str::from_utf8(name) {
                visit(name, series);
            }
        };
        let mut of_value = |value: &[u8], mut series: RoaringBitmap| {
            series &= wanted;
            if !series.is_empty() {
                one(value, &series);
            }
        };
        match kind {
            Names::Measurements => self.layers(|layer| layer.each_value(MEASUREMENT, &mut of_value)),
            // No series has a tag with the empty key.
            Names::TagValues("") => {}
            Names::TagValues(tag) => self.layers(|layer| layer.each_value(tag.as_bytes(), &mut of_value)),
            Names::TagKeys => {
                let mut of_shape = |tags: &[&[u8]], series: &RoaringBitmap| {
                    let series = series & wanted;
                    if !series.is_empty() {
                        tags.iter().filter(|tag| **tag != MEASUREMENT).for_each(|tag| one(tag, &series));
                    }
                };
                self.layers(|layer| layer.each_shape(&mut of_shape));
            }
        }
    }

    /// The live series that have the tag and whose value passes.
    fn matching(&self, tag: &[u8], test: &Test) -> RoaringBitmap {
        let mut result = RoaringBitmap::new();
        self.layers(|layer| layer.matching(tag, test, &mut result));
        result &= &self.live;
        result
    }
}

/// Names that series have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names<'a> {
    Measurements,
    TagKeys,
    /// Those of the tag with this key.
    TagValues(&'a str),
}

/// A part of the index.
#[derive(Debug, Clone, Copy)]
enum Layer<'a> {
    Segment(&'a Segment),
    Head(&'a Head),
}

impl Layer<'_> {
    fn matching(self, tag: &[u8], test: &Test, set: &mut RoaringBitmap) {
        match self {
            Self::Segment(segment) => segment.matching(tag, test, set),
            Self::Head(head) => head.matching(tag, test, set),
        }
    }

    fn each_value(self, tag: &[u8], visit: &mut dyn FnMut(&[u8], RoaringBitmap)) {
        match self {
            Self::Segment(segment) => segment.each_value(tag, visit),
            Self::Head(head) => head.each_value(tag, visit),
        }
    }

    /// Visits the sets of tags that series have, with those series.
    fn each_shape(self, visit: &mut dyn FnMut(&[&[u8]], &RoaringBitmap)) {
        match self {
            Self::Segment(segment) => segment.each_shape(visit),
            Self::Head(head) => head.each_shape(visit),
        }
    }

    fn having(self, tag: &[u8], set: &mut RoaringBitmap) {
        match self {
            Self::Segment(segment) => segment.having(tag, set),
            Self::Head(head) => head.having(tag, set),
        }
    }
}

impl SeriesIndex {
    fn layers(&self, mut visit: impl FnMut(Layer<'_>)) {
        self.segments.iter().for_each(|segment| visit(Layer::Segment(segment)));
        self.frozen.iter().for_each(|head| visit(Layer::Head(head)));
        visit(Layer::Head(&self.head));
    }
}
