//! Compares the parts of an open segment with one another: what its checksums cannot tell.

use roaring::RoaringBitmap;

use super::Segment;
use crate::error::Damage;

impl Segment {
    /// Every row makes a key, keys ascend, every key is found by its hash and has its id, and every series is in one
    /// posting of each of its tags. `Err` says what is not so.
    pub(crate) fn check(&self) -> Result<(), Damage> {
        let mut last = None;
        for place in 0..self.footer.series {
            let key = self.key_at(place).ok_or(Damage::Malformed("series key"))?;
            let id = self.id_at(place).ok_or(Damage::Malformed("ids"))?;
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(Damage::Differs("order of keys"));
            }
            if self.find(&key, key.hash(self.entry.bucket), |found| found == id) != Some(id) {
                return Err(Damage::Differs("place of a hash"));
            }
            if self.place_of(id) != Some(place) {
                return Err(Damage::Differs("place of an id"));
            }
            last = Some(key);
        }
        for (number, tag) in self.tags.iter().enumerate() {
            let mut having = RoaringBitmap::new();
            self.having(&tag.name, &mut having);
            let (mut all, mut postings) = (RoaringBitmap::new(), 0);
            for code in 0..tag.values {
                let mut of_value = RoaringBitmap::new();
                self.add_postings(number, code, &mut of_value);
                postings += of_value.len();
                all |= of_value;
            }
            if all != having || postings != having.len() {
                return Err(Damage::Differs("series of a tag"));
            }
        }
        Ok(())
    }
}
