//! Room for short runs of words: small blocks, pieces of any size up to a block, freed pieces used again.
//!
//! Blocks are shared by copy-on-write, so a clone is a snapshot that costs a pointer per block, and what is written
//! after it copies the blocks that it touches.

use std::sync::Arc;

/// Words of a block. Small, because each shard that is written to has at least one.
const BLOCK: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 10;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Slab {
    blocks: Vec<Arc<[u64; BLOCK]>>,
    /// Words used of the last block.
    used: usize,
    /// Places of freed pieces, by their words.
    free: Vec<(usize, Vec<u32>)>,
}

impl Slab {
    /// The place of a piece of `words` words, with whatever stood there. `None` when there is no room for more.
    pub(super) fn take(&mut self, words: usize) -> Option<u32> {
        assert!(words <= BLOCK, "a piece lies in one block");
        let freed = self.free.iter_mut().find(|(size, _)| *size == words);
        if let Some(place) = freed.and_then(|(_, places)| places.pop()) {
            return Some(place);
        }
        if self.blocks.is_empty() || self.used + words > BLOCK {
            // The places of the next block must be numbers too.
            u32::try_from((self.blocks.len() + 1) << BLOCK_BITS).ok()?;
            self.blocks.push(Arc::new([0; BLOCK]));
            self.used = 0;
        }
        let place = ((self.blocks.len() - 1) << BLOCK_BITS) + self.used;
        self.used += words;
        u32::try_from(place).ok()
    }

    /// Gives a piece back.
    pub(super) fn give_back(&mut self, place: u32, words: usize) {
        match self.free.iter_mut().find(|(size, _)| *size == words) {
            Some((_, places)) => places.push(place),
            None => self.free.push((words, vec![place])),
        }
    }

    pub(super) fn get(&self, place: u32, words: usize) -> &[u64] {
        let (block, at) = split(place);
        &self.blocks[block][at..at + words]
    }

    pub(super) fn get_mut(&mut self, place: u32, words: usize) -> &mut [u64] {
        let (block, at) = split(place);
        &mut Arc::make_mut(&mut self.blocks[block])[at..at + words]
    }

    /// The same words to be read.
    pub(super) fn snapshot(&self) -> Self {
        Self { blocks: self.blocks.clone(), used: BLOCK, free: Vec::new() }
    }
}

fn split(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place >> BLOCK_BITS, place & (BLOCK - 1))
}
