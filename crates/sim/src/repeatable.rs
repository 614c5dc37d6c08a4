//! What makes a process do the same again: random numbers of the system come from the seed, its clocks are those of the
//! simulation, and addresses in memory, which some hash tables take for random, are always the same.

use std::process::{Command, ExitCode};
use std::time::Duration;

use disk::vfs::sim::Random;
use parking_lot::Mutex;

/// Set in the process that has addresses which are always the same: as long that arguments and environment, which lie on
/// the stack before all else, have always so many bytes.
const AGAIN: &str = "TIDEMARK_SIM_AGAIN";
const BEFORE_STACK_BYTES: usize = 16 << 10;
/// Starts a program with addresses that are always the same.
const SETARCH: &str = "/usr/bin/setarch";
/// What is kept of the environment: what nodes are to say.
const KEPT: &str = "RUST_LOG";

/// Starts this program again with addresses that are always the same, where that is possible, and
/// answers how that ended; `None` in the one that was started.
pub(crate) fn begin_again() -> Option<ExitCode> {
    if std::env::var_os(AGAIN).is_some() {
        return None;
    }
    let me = std::env::current_exe().ok()?;
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let kept = std::env::var_os(KEPT).unwrap_or_default();
    // Each has a pointer and an end.
    let bytes: usize = arguments.iter().chain([&kept]).map(|text| text.len() + 9).sum();
    let mut again = Command::new(SETARCH);
    again.arg("-R").arg(me).args(arguments).env_clear().env(KEPT, kept);
    let ended = again.env(AGAIN, "x".repeat(BEFORE_STACK_BYTES.saturating_sub(bytes))).status();
    match ended.ok()?.code() {
        Some(code) => Some(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => Some(ExitCode::FAILURE),
    }
}

/// Where the "random" numbers of the process come from.
static RANDOM: Mutex<Random> = Mutex::new(Random::new(0));

/// Takes all random numbers of the process from a seed.
pub(crate) fn seed(seed: u64) {
    *RANDOM.lock() = Random::new(seed);
}

/// What the standard library and all crates call for random numbers, in the place of the C library's.
///
/// # Safety
/// `buffer` must have room for `length` bytes, as for getrandom(2).
#[expect(unsafe_code, reason = "the one place where a simulation stands in for the system")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller has room for so many bytes, as getrandom(2) wants it.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for chunk in bytes.chunks_mut(8) {
        let random = RANDOM.lock().number().to_le_bytes();
        chunk.copy_from_slice(&random[..chunk.len()]);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// A time as the C library gives it on machines of 64 bits.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// The clock that counts from 1970.
const REALTIME: i32 = 0;

/// What the standard library and all crates call for the time, in the place of the C library's: the simulation's.
///
/// # Safety
/// `time` must be a place for a time, as for clock_gettime(3).
#[expect(unsafe_code, reason = "the one place where a simulation stands in for the system")]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Timespec) -> i32 {
    let now = sim::now();
    // A clock that counts from the start of the machine has run for a while: what is taken from it stays above zero.
    let since = if clock == REALTIME { sim::BEGINNING } else { Duration::from_secs(1 << 20) };
    let now = now.saturating_add(since);
    let now = Timespec {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: i64::from(now.subsec_nanos()),
    };
    // SAFETY: the caller gives a place for a time, as clock_gettime(3) wants it.
    unsafe { time.write(now) };
    0
}
