//! The allocator, and how eagerly it gives back what is freed.
//!
//! As a rule freed pages stay for a second, because they are mostly used again: see `.cargo/config.toml`. Under load that
//! is much memory, so a server that nears the end of its memory has them given back at once, which costs system calls.

use tikv_jemalloc_ctl::{Access as _, AsName as _, arenas};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long freed pages stay, as a rule.
const DECAY_MS: isize = 1000;

/// Has freed memory given back at once, or after a while as usual.
pub(crate) fn be_frugal(frugal: bool) {
    let decay_ms = if frugal { 0 } else { DECAY_MS };
    let set = |name: String| name.as_bytes().name().write(decay_ms);
    // Arenas that were not used yet refuse; they take the default when they are.
    let _unused = set("arenas.dirty_decay_ms\0".to_owned());
    for arena in 0..arenas::narenas::read().unwrap_or(0) {
        let _unused = set(format!("arena.{arena}.dirty_decay_ms\0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_is_given_back_at_once_when_told_so() {
        let decay_ms = || -> isize { b"arena.0.dirty_decay_ms\0"[..].name().read().unwrap() };
        be_frugal(true);
        assert_eq!(decay_ms(), 0);
        be_frugal(false);
        assert_eq!(decay_ms(), DECAY_MS);
    }
}
