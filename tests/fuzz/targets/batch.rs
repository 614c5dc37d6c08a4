//! The encoding of a batch: any bytes are an error or a batch that encodes to one that is equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::batch::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(batch) = decode(bytes) else { return };
    let mut encoded = Vec::new();
    encode(&batch, &mut encoded);
    let mut second = Vec::new();
    encode(&decode(&encoded).expect("what was encoded"), &mut second);
    assert_eq!(second, encoded);
});
