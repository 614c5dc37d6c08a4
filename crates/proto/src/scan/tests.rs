//! What is asked and what is answered arrives as it was, and nothing else does.

use model::{Predicate, Subject, Test};

use super::*;

fn asked() -> ScanRequest {
    ScanRequest {
        bucket: BucketId::new(7).unwrap(),
        range: TimeRange::new(Timestamp(-5), Timestamp(9)),
        predicate: Predicate::Compare(Subject::Tag("host".into()), Test::Eq("a".into())),
        fields: FieldSelection::All,
    }
}

fn place(partitions: &[u16], reading: Reading) -> Place {
    Place { partitions: partitions.iter().copied().map(PartitionId).collect(), reading }
}

#[test]
fn requests_arrive_as_they_were_sent() {
    let place = place(&[0, 4095], Reading::default());
    let some = FieldSelection::Names(vec!["a".into(), "b".into()]);
    let in_all_rows = [vec![], vec!["a".into()]].map(FieldSelection::InAllRows);
    for (fields, ends) in [
        (FieldSelection::All, None),
        (FieldSelection::Names(Vec::new()), Some(Ends { rows: 1, newest: true })),
        (some, Some(Ends { rows: usize::MAX, newest: false })),
        (in_all_rows[0].clone(), None),
        (in_all_rows[1].clone(), None),
    ] {
        let sent = ScanRequest { fields, ..asked() };
        let (read_place, read, read_ends) = read_request(request(&place, &sent, ends).unwrap()).unwrap();
        assert_eq!(read_place, place);
        assert_eq!((read.bucket, read.range, &read.predicate), (sent.bucket, sent.range, &sent.predicate));
        assert_eq!((read.fields, read_ends), (sent.fields, ends));
    }
    for question in [
        SchemaQuestion::Measurements,
        SchemaQuestion::TagKeys,
        SchemaQuestion::TagValues("host".to_owned()),
        SchemaQuestion::FieldKeys,
        SchemaQuestion::Series,
    ] {
        let ScanRequest { bucket, range, predicate, .. } = asked();
        let sent = SchemaRequest { bucket, range, predicate, question };
        let (_, read) = read_schema_request(schema_request(&place, &sent).unwrap()).unwrap();
        assert_eq!(read.question, sent.question);
        assert_eq!((read.bucket, read.range, read.predicate), (sent.bucket, sent.range, sent.predicate));
    }
}

#[test]
fn what_is_demanded_of_a_read_arrives_as_far_as_it_concerns_the_partitions() {
    let group = |partition| GroupId::Data(PartitionId(partition));
    let bounded = Consistency::Bounded(Duration::from_millis(250));
    for consistency in [Consistency::Leader, Consistency::Linearizable, bounded, Consistency::Any] {
        let seen = [(GroupId::Meta, 1), (group(1), 2), (group(7), u64::MAX)].into_iter().collect();
        let sent = place(&[1, 2, 7], Reading { consistency, seen });
        let (read, ..) = read_request(request(&sent, &asked(), None).unwrap()).unwrap();
        let seen = [(group(1), 2), (group(7), u64::MAX)].into_iter().collect();
        assert_eq!(read.reading, Reading { consistency, seen });
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let message = || request(&place(&[1], Reading::default()), &asked(), None).unwrap();
    let nobody = peer::Reading { seen: vec![peer::Seen { group: 1 << 17, index: 1 }], consistency: None };
    assert!(read_request(peer::ScanRequest { reading: Some(nobody), ..message() }).is_err());
    assert!(read_request(peer::ScanRequest { bucket: 0, ..message() }).is_err());
    assert!(read_request(peer::ScanRequest { partitions: vec![1 << 16], ..message() }).is_err());
    assert!(read_request(peer::ScanRequest { predicate: vec![0xff; 3].into(), ..message() }).is_err());
    assert!(read_schema_request(peer::SchemaRequest { scope: Some(message()), question: None }).is_err());
}

fn block(rows: usize, text: &str) -> SeriesBlock {
    let at = |i: usize| i64::try_from(i).unwrap();
    let some = Bitmap::from_fn(rows, |i| i % 3 == 0);
    let columns = [
        ("b", Values::Boolean(Bitmap::from_fn(rows, |i| i % 2 == 0)), None),
        ("f", Values::Float((0..rows).map(|i| f64::from_bits(i as u64 * 77)).collect()), Some(some.clone())),
        ("i", Values::Integer((0..rows).map(|i| i64::MIN + at(i)).collect()), None),
        ("s", Values::String((0..rows).map(|i| format!("{text}{i}")).collect()), Some(some)),
        ("u", Values::Unsigned((0..rows).map(|i| u64::MAX - i as u64).collect()), None),
    ];
    SeriesBlock {
        key: SeriesKey::new("m", &[("host", "a")]).unwrap(),
        times: (0..rows).map(|i| at(i) - 50).collect(),
        fields: columns.map(|(name, values, valid)| (name.into(), Column { values, valid })).to_vec(),
    }
}

fn sent(blocks: Vec<SeriesBlock>) -> (usize, Vec<SeriesBlock>) {
    let mut gather = Gather::default();
    let mut messages: Vec<_> = blocks.into_iter().flat_map(|block| gather.push(block)).collect();
    messages.extend(gather.take());
    let count = messages.len();
    (count, messages.into_iter().flat_map(|message| read_blocks(message).unwrap()).collect())
}

#[test]
fn blocks_arrive_as_they_were_sent() {
    let blocks = vec![block(1, ""), block(64, "x"), block(200, "y")];
    assert_eq!(sent(blocks.clone()), (1, blocks));
    assert_eq!(sent(Vec::new()), (0, Vec::new()));
}

#[test]
fn a_large_block_is_cut_and_nothing_of_it_is_lost() {
    let large = block(300, &"z".repeat(50_000));
    let (messages, parts) = sent(vec![large.clone()]);
    assert!(messages > 3 && parts.len() > 3, "{messages} {}", parts.len());
    let times: Vec<i64> = parts.iter().flat_map(|part| part.times.clone()).collect();
    assert_eq!(times, large.times);
    let mut row = 0;
    for part in parts {
        for at in 0..part.times.len() {
            for ((_, read), (_, sent)) in part.fields.iter().zip(&large.fields) {
                assert_eq!(read.get(at), sent.get(row));
            }
            row += 1;
        }
    }
}

#[test]
fn blocks_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut peer::SeriesBlock)| {
        let mut message = write_block(block(70, ""));
        change(&mut message);
        assert!(read_blocks(peer::SeriesBlocks { blocks: vec![message] }).is_err());
    };
    refused(&|block| block.key = vec![1, 2].into());
    refused(&|block| block.times[3] = block.times[2]);
    refused(&|block| block.times.truncate(69));
    refused(&|block| block.fields[0].values = None);
    refused(&|block| block.fields[1].valid = Some(peer::Bits { words: vec![0] }));
    refused(&|block| {
        block.fields[0].values = Some(field::Values::Booleans(peer::Bits { words: vec![0; 3] }));
    });
}
