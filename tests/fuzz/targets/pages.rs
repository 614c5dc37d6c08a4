//! The pages of TSM files: any bytes are an error or exactly as many values as were asked for.
//! The first bytes say the type, the codec, the number of values and where the shared part ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{ColumnType, FieldType, Values};
use storage::codec::Decoder;

const TYPES: [ColumnType; 6] = [
    ColumnType::Time,
    ColumnType::Field(FieldType::Float),
    ColumnType::Field(FieldType::Integer),
    ColumnType::Field(FieldType::Unsigned),
    ColumnType::Field(FieldType::Boolean),
    ColumnType::Field(FieldType::String),
];

fuzz_target!(|bytes: &[u8]| {
    let [kind, codec, low, high, shared, rest @ ..] = bytes else { return };
    let column_type = TYPES[usize::from(*kind) % TYPES.len()];
    let count = usize::from(u16::from_le_bytes([*low, *high])) % 1025;
    let (shared, payload) = rest.split_at(usize::from(*shared).min(rest.len()));
    let Ok(mut decoder) = Decoder::new(column_type, shared) else { return };
    let mut out = Values::empty(column_type);
    if decoder.decode(*codec, payload, count, &mut out).is_ok() {
        assert_eq!(out.len(), count);
    }
});
