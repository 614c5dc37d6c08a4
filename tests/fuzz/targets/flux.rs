//! Flux: any text is answered by a tree and errors whose places lie inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (file, errors) = flux::syntax::parse(text);
    drop(file.dump());
    let lines: Vec<_> = text.split('\n').collect();
    for error in errors {
        for place in [error.span.start, error.span.end] {
            let line = lines.get(place.line as usize - 1).expect("a line of the text");
            assert!(1 <= place.column && place.column as usize <= line.len() + 1, "{text:?}: {error}");
        }
        assert!(error.span.start <= error.span.end, "{text:?}: {error}");
    }
});
