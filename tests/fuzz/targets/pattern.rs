//! Regular expressions in Go's syntax: any text is answered, and what compiles keeps its source and can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Pattern;

fuzz_target!(|source: &str| {
    let Ok(pattern) = Pattern::new(source) else { return };
    assert_eq!(pattern.source(), source);
    let _matches = pattern.is_match("server-é1{}\n");
});
