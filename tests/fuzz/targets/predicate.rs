//! The bytes of a predicate: any bytes are an error or a predicate that encodes to one that is equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::SeriesKey;
use model::predicate::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(predicate) = decode(bytes) else { return };
    let series = SeriesKey::new("m", &[("host", "a")]).expect("valid");
    if let Some(decided) = predicate.accepts_series(&series) {
        assert_eq!(predicate.accepts(&series, "f"), decided);
    }
    let encoded = encode(&predicate).expect("no larger than what was decoded");
    assert_eq!(decode(&encoded).expect("what was encoded"), predicate);
});
