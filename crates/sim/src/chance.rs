//! What a seed decides, for one purpose of many: what is decided for one does not change with what is asked for another.

use disk::vfs::sim::Random;

/// The choices of a seed for a purpose.
pub(crate) fn chance(seed: u64, purpose: u64) -> Random {
    let mut chance = Random::new(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
    chance.number();
    chance
}
