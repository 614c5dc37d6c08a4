//! Small numbers in as many bits as their frequency is worth: asymmetric numeral systems by table (tANS).
//!
//! ```text
//!  shares, sum 512      3 of a, 1 of b, ...
//!  states  0 .. 511     each has a symbol, and a symbol as many states as its share, spread evenly
//!  decoding             symbol of the state; next state = base of the state + its number of bits from the stream
//!
//!  | states of four streams, 9 bits each | bits, as the decoder takes them | zeros to a byte |    lowest bit first
//! ```
//! Symbol `i` belongs to stream `i` modulo 4, so that four chains of look-ups run side by side. A state is a symbol
//! already: the last symbol of a stream is that of its last state and takes no bits.

use crate::error::Damage;

const STATES_LOG: u32 = 9;
/// States of a table, and the sum of the shares of its symbols.
pub(super) const STATES: usize = 1 << STATES_LOG;
/// Most symbols of a table.
pub(super) const SYMBOLS_MAX: usize = 256;
const STREAMS: usize = 4;
/// Coprime to the number of states, and far from any neighbour.
const SPREAD_STEP: usize = STATES / 2 + STATES / 8 + 3;
/// A symbol takes at most so many bits for each 1.
const BITS_MAX: usize = 9;

/// The symbol of each state.
fn spread(shares: &[u16]) -> [u8; STATES] {
    let mut symbols = [0; STATES];
    let mut state = 0;
    for (symbol, share) in (0..=u8::MAX).zip(shares) {
        for _ in 0..*share {
            symbols[state] = symbol;
            state = (state + SPREAD_STEP) % STATES;
        }
    }
    symbols
}

/// Shares for symbols that occur so often; those that occur have at least 1.
pub(super) fn shares(counts: &[u32]) -> Vec<u16> {
    let all = counts.iter().map(|count| u64::from(*count)).sum::<u64>().max(1);
    let fair =
        |count: u32| (u64::from(count) * STATES as u64 * 2 / all).div_ceil(2).max(u64::from(count.min(1)));
    let mut shares: Vec<u16> = counts.iter().map(|c| u16::try_from(fair(*c)).unwrap_or(u16::MAX)).collect();
    let mut sum: usize = shares.iter().map(|share| usize::from(*share)).sum();
    // What one state more or less is worth to a symbol is about its count divided by its share.
    let is_short = sum < STATES;
    let worth = |count: u32, share: u16| match (is_short, share) {
        _ if count == 0 => f64::NEG_INFINITY,
        (true, _) => f64::from(count) / (f64::from(share) + 0.5),
        (false, ..2) => f64::NEG_INFINITY,
        (false, _) => (f64::from(share) - 0.5) / f64::from(count),
    };
    let mut worths: Vec<f64> =
        counts.iter().zip(&shares).map(|(count, share)| worth(*count, *share)).collect();
    while sum != STATES {
        let most = (0..worths.len()).reduce(|a, b| if worths[b] > worths[a] { b } else { a });
        let Some(most) = most.filter(|most| worths[*most] > f64::NEG_INFINITY) else { break };
        if is_short {
            shares[most] += 1;
            sum += 1;
        } else {
            shares[most] -= 1;
            sum -= 1;
        }
        worths[most] = worth(counts[most], shares[most]);
    }
    shares
}

/// About the bits that symbols take that occur so often.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, and never below zero"
)]
pub(super) fn bits(counts: &[u32], shares: &[u16]) -> u64 {
    let log = f64::from(STATES_LOG);
    let used = counts.iter().zip(shares).filter(|(count, _)| **count > 0);
    used.map(|(count, share)| f64::from(*count) * (log - f64::from(*share).log2())).sum::<f64>() as u64
}

/// What a state says.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    base: u16,
    symbol: u8,
    bits: u8,
}

/// Decodes symbols with these shares.
#[derive(Debug)]
pub(super) struct Table(Box<[Entry; STATES]>);

impl Table {
    /// The shares must sum up to [`STATES`].
    pub(super) fn new(shares: &[u16]) -> Result<Self, Damage> {
        let sum: usize = shares.iter().map(|share| usize::from(*share)).sum();
        if sum != STATES || shares.len() > SYMBOLS_MAX {
            return Err(Damage::Malformed("shares of symbols"));
        }
        let mut next = [0_u16; SYMBOLS_MAX];
        next.iter_mut().zip(shares).for_each(|(next, share)| *next = *share);
        let mut entries = Box::new([Entry::default(); STATES]);
        for (entry, symbol) in entries.iter_mut().zip(spread(shares)) {
            let next = &mut next[usize::from(symbol)];
            let bits = STATES_LOG - next.ilog2();
            // From `share` to twice that; moved up into 512 to 1,023.
            let base = (*next << bits) - (1 << STATES_LOG);
            *entry = Entry { base, symbol, bits: u8::try_from(bits).unwrap_or(u8::MAX) };
            *next += 1;
        }
        Ok(Self(entries))
    }

    fn entry(&self, state: u64) -> Entry {
        self.0[usize::try_from(state).unwrap_or(0) % STATES]
    }

    /// Decodes `count` symbols from the front of bytes and says how many bytes they took; `None` when there are too few.
    pub(super) fn decode(&self, bytes: &[u8], count: usize, symbols: &mut Vec<u8>) -> Option<usize> {
        // A share of 512 takes no bits at all, so the bytes do not bound the count; the caller's page does.
        symbols.clear();
        symbols.resize(count, 0);
        let mut states = [0_u64; STREAMS];
        let mut bit = 0;
        for state in states.iter_mut().take(count) {
            *state = word_at(bytes, bit) % STATES as u64;
            bit += BITS_MAX;
        }
        let chained = count.saturating_sub(STREAMS);
        let (quads, tail) = symbols.as_chunks_mut::<STREAMS>();
        for quad in quads.iter_mut().take(chained / STREAMS) {
            let mut word = word_at(bytes, bit);
            for (symbol, state) in quad.iter_mut().zip(&mut states) {
                let entry = self.entry(*state);
                *symbol = entry.symbol;
                *state = u64::from(entry.base) + (word & !(u64::MAX << entry.bits));
                word >>= entry.bits;
                bit += usize::from(entry.bits);
            }
        }
        let rest = quads.iter_mut().skip(chained / STREAMS).flatten().chain(tail);
        for ((i, symbol), stream) in rest.enumerate().zip((0..STREAMS).cycle()) {
            let entry = self.entry(states[stream]);
            *symbol = entry.symbol;
            if i < chained % STREAMS {
                let taken = word_at(bytes, bit) & !(u64::MAX << entry.bits);
                states[stream] = u64::from(entry.base) + taken;
                bit += usize::from(entry.bits);
            }
        }
        let used = bit.div_ceil(8);
        (used <= bytes.len()).then_some(used)
    }
}

/// At least 57 bits from a place on; zeros beyond the end.
fn word_at(bytes: &[u8], bit: usize) -> u64 {
    let from = bytes.get(bit / 8..).unwrap_or(&[]);
    let word = match from.first_chunk::<8>() {
        Some(eight) => *eight,
        None => {
            let mut padded = [0; 8];
            padded.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            padded
        }
    };
    u64::from_le_bytes(word) >> (bit % 8)
}

/// Encodes symbols with these shares.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Share of each symbol, and where its states begin in `states`.
    symbols: Vec<(u16, u16)>,
    /// The states of each symbol, ascending.
    states: [u16; STATES],
    /// What each symbol of a page emits.
    emitted: Vec<(u16, u8)>,
}

impl Encoder {
    /// The shares sum up to [`STATES`].
    pub(super) fn new(shares: &[u16]) -> Self {
        let mut end = 0;
        let with_begin = |share: &u16| {
            end += share;
            (*share, end - share)
        };
        let symbols: Vec<(u16, u16)> = shares.iter().map(with_begin).collect();
        let mut next: Vec<u16> = symbols.iter().map(|(_, begin)| *begin).collect();
        let mut states = [0; STATES];
        for (state, symbol) in (0..).zip(spread(shares)) {
            let next = &mut next[usize::from(symbol)];
            states[usize::from(*next)] = state;
            *next += 1;
        }
        Self { symbols, states, emitted: Vec::new() }
    }

    /// Appends symbols, each of which has a share.
    pub(super) fn encode(&mut self, symbols: &[u8], out: &mut Vec<u8>) {
        let mut states = [0_u16; STREAMS];
        self.emitted.clear();
        self.emitted.resize(symbols.len(), (0, 0));
        let chained = symbols.len().saturating_sub(STREAMS);
        // Backwards: a decoder takes back what was done last.
        for (i, symbol) in symbols.iter().enumerate().rev() {
            let (share, begin) = self.symbols[usize::from(*symbol)];
            let state = &mut states[i % STREAMS];
            if i >= chained {
                *state = self.states[usize::from(begin)];
                continue;
            }
            let full = (1 << STATES_LOG) + *state;
            let mut bits = STATES_LOG - share.ilog2();
            bits -= u32::from(full >> bits < share);
            self.emitted[i] = (full & !(u16::MAX << bits), u8::try_from(bits).unwrap_or(u8::MAX));
            *state = self.states[usize::from(begin + (full >> bits) - share)];
        }
        let first = states.iter().take(symbols.len()).map(|state| (*state, STATES_LOG));
        let rest = self.emitted[..chained].iter().map(|(value, bits)| (*value, u32::from(*bits)));
        put_bits(out, first.chain(rest));
    }
}

/// Appends numbers of at most 16 bits each.
fn put_bits(out: &mut Vec<u8>, numbers: impl Iterator<Item = (u16, u32)>) {
    let (mut word, mut filled) = (0_u64, 0_u32);
    for (value, bits) in numbers {
        word |= u64::from(value) << filled;
        filled += bits;
        if filled >= 32 {
            out.extend_from_slice(&word.to_le_bytes()[..4]);
            word >>= 32;
            filled -= 32;
        }
    }
    let used = usize::try_from(filled.div_ceil(8)).unwrap_or(8);
    out.extend(word.to_le_bytes().iter().take(used));
}
