//! Predicates to sets of series, through the postings.
//!
//! A predicate may also ask for the field's name, which the index does not know per series. So the result has two
//! sets: the series of which every field passes, and those of which some field may pass.

use model::{Predicate, Subject, Test};
use roaring::RoaringBitmap;

use super::{Postings, SeriesIndex};

/// `all` is a subset of `some`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// Every field of these series passes.
    pub(crate) all: RoaringBitmap,
    /// Some field of these series may pass; no field of any other series does.
    pub(crate) some: RoaringBitmap,
}

impl Selection {
    fn decided(ids: RoaringBitmap) -> Self {
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
                let exact = |name: &str| self.measurements.get(name);
                let every = || self.measurements.iter().map(|(name, p)| (&**name, p));
                Selection::decided(matching(test, exact, every))
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
        let Some(tag) = self.tags.get(key) else {
            return if test.accepts("") { self.live.clone() } else { RoaringBitmap::new() };
        };
        // The fewer: those that pass, or those that do not.
        if let Test::NotEq(value) = test
            && !value.is_empty()
        {
            let mut not = RoaringBitmap::new();
            if let Some(postings) = tag.values.get(value.as_str()) {
                postings.add_to(&mut not);
            }
            return &self.live - &not;
        }
        let mut result =
            matching(test, |value| tag.values.get(value), || tag.values.iter().map(|(v, p)| (&**v, p)));
        if test.accepts("") {
            result |= &self.live - &tag.all;
        }
        result
    }
}

/// The union of the postings whose text passes.
fn matching<'a, I: Iterator<Item = (&'a str, &'a Postings)>>(
    test: &Test,
    exact: impl Fn(&str) -> Option<&'a Postings>,
    every: impl Fn() -> I,
) -> RoaringBitmap {
    let mut result = RoaringBitmap::new();
    match test {
        Test::Eq(text) => exact(text).into_iter().for_each(|p| p.add_to(&mut result)),
        Test::In(texts) => texts.iter().filter_map(|t| exact(t)).for_each(|p| p.add_to(&mut result)),
        Test::NotEq(_) | Test::Matches(_) | Test::NotMatches(_) => {
            every().filter(|(text, _)| test.accepts(text)).for_each(|(_, p)| p.add_to(&mut result));
        }
    }
    result
}
