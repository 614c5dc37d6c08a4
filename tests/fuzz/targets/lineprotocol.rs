//! Line protocol: any body is answered; good lines written again are read as the same points.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::lineprotocol::{Options, parse, write_batch};
use model::{BucketId, Precision, Timestamp};

fuzz_target!(|body: &[u8]| {
    let options = Options {
        bucket: BucketId::new(7).expect("not zero"),
        shard_duration_ns: 1,
        precision: Precision::Nanosecond,
        default_time: Timestamp(42),
        line_bytes_max: 1 << 20,
        string_bytes_max: 1 << 20,
    };
    let parsed = parse(body, &options);
    assert!(parsed.errors.len() <= parsed.refused);
    let lines = body.iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(parsed.errors.iter().all(|error| 1 <= error.line && error.line <= lines));
    let is_blank = |name: &str| name.starts_with(['\t', '\0']);
    if parsed.batch.tables.iter().any(|table| table.fields.iter().any(|field| is_blank(&field.name))) {
        // A name that begins with a blank can be read, behind a field `time` that is left out, and not written.
        return;
    }
    let mut text = String::new();
    write_batch(&mut text, &parsed.batch).expect("what was read can be written");
    // Fields come in the order in which a body first names them, so it is the second writing that stays.
    let second = written_again(&text, &options);
    assert_eq!(second.len(), text.len());
    assert_eq!(written_again(&second, &options), second);
});

fn written_again(text: &str, options: &Options) -> String {
    let parsed = parse(text.as_bytes(), options);
    assert_eq!(parsed.refused, 0, "{:?}\n{text}", parsed.errors);
    let mut written = String::new();
    write_batch(&mut written, &parsed.batch).expect("what was read can be written");
    written
}
