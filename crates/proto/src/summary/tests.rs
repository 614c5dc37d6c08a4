//! Groups arrive as they were, in however many pieces, and nothing else does.

use std::time::Duration;

use model::summary::of_blocks;
use model::{
    BucketId, Consistency, FieldSelection, GroupSummary, PartitionId, Predicate, Reading, ScanRequest,
    SeriesBlock, TimeRange,
};

use super::*;

fn asked(every: i64, grouping: Grouping) -> SummaryRequest {
    SummaryRequest {
        scan: ScanRequest {
            bucket: BucketId::new(7).unwrap(),
            range: TimeRange::ALL,
            predicate: Predicate::Constant(true),
            fields: FieldSelection::All,
        },
        windows: if every == 0 { Windows::One } else { Windows::Every { every, offset: -3 } },
        wanted: Wanted::ALL,
        grouping,
        cells_max: 1 << 20,
        rows_max: 1 << 20,
    }
}

/// Rows of a series with a field of each type.
fn block(host: &str, from: i64, to: i64) -> SeriesBlock {
    let numbers = || from..to;
    let unsigned = |n: i64| n.unsigned_abs() * 3;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let float = |n: i64| (n % 17) as f64 / 3.0;
    let columns = [
        ("b", Values::Boolean(numbers().map(|n| n % 3 == 0).collect())),
        ("f", Values::Float(numbers().map(float).collect())),
        ("i", Values::Integer(numbers().map(|n| n - 500).collect())),
        ("s", Values::String(numbers().map(|n| format!("{host}{n}")).collect())),
        ("u", Values::Unsigned(numbers().map(unsigned).collect())),
    ];
    SeriesBlock {
        key: SeriesKey::new("m", &[("host", host)]).unwrap(),
        times: numbers().collect(),
        fields: columns.map(|(name, values)| (name.into(), Column { values, valid: None })).to_vec(),
    }
}

fn groups(request: &SummaryRequest, rows: i64) -> Groups {
    let blocks = ["a", "b", "c"].map(|host| Ok(block(host, 0, rows)));
    of_blocks::<TooLarge>(request, blocks.into_iter()).unwrap()
}

fn arrived(request: &SummaryRequest, sent: Groups) -> (usize, u64, Vec<GroupSummary>) {
    let mut here = Groups::new(request);
    let (mut count, mut is_over) = (0, false);
    for message in messages(PartitionId(3), sent, request) {
        count += 1;
        assert!(!std::mem::replace(&mut is_over, message.is_last), "something comes after the last");
        assert_eq!(message.partition, 3);
        read_groups(message, request, &mut here).unwrap();
    }
    assert!(is_over);
    (count, here.rows(), here.finish())
}

#[test]
fn long_texts_are_sent_in_messages_that_are_taken() {
    const WINDOWS: i64 = 8192;
    let request = asked(1, Grouping::Series);
    let texts = || (0..WINDOWS).map(|n| format!("{n:04096}"));
    let block = || SeriesBlock {
        key: SeriesKey::new("m", &[("host", "a")]).unwrap(),
        times: (0..WINDOWS).collect(),
        fields: vec![("s".into(), Column { values: Values::String(texts().collect()), valid: None })],
    };
    let sent = || of_blocks::<TooLarge>(&request, std::iter::once(Ok(block()))).unwrap();
    for message in messages(PartitionId(3), sent(), &request) {
        let bytes = prost::Message::encoded_len(&message);
        assert!(bytes < 3 << 20, "{bytes}");
    }
    let (_, rows, seen) = arrived(&request, sent());
    assert_eq!((rows, seen), (8192, sent().finish()));
}

#[test]
fn groups_arrive_as_they_were_sent() {
    for every in [0, 1, 10] {
        for grouping in [Grouping::Series, Grouping::Tags(vec![]), Grouping::Tags(vec!["host".into()])] {
            let request = asked(every, grouping);
            let (count, rows, seen) = arrived(&request, groups(&request, 20_000));
            assert_eq!((rows, seen), (60_000, groups(&request, 20_000).finish()), "{request:?}");
            // Many windows need more than one piece, and more than one message.
            match every {
                0 => assert_eq!(count, 1),
                1 => assert!(count > 1),
                _ => {}
            }
        }
    }
    // Nothing is something to say, too.
    let request = asked(0, Grouping::Series);
    assert_eq!(arrived(&request, Groups::new(&request)), (1, 0, vec![]));
}

#[test]
fn what_is_not_wanted_is_not_sent() {
    let request = SummaryRequest {
        wanted: Wanted { sum: true, count: true, ..Wanted::default() },
        ..asked(10, Grouping::Tags(vec![]))
    };
    let (_, _, seen) = arrived(&request, groups(&request, 1000));
    assert_eq!(seen, groups(&request, 1000).finish());
    let bytes = |request: &SummaryRequest| {
        messages(PartitionId(3), groups(request, 1000), request)
            .map(|message| prost::Message::encoded_len(&message))
            .sum::<usize>()
    };
    // Windows that follow one another need no starts.
    assert!(3 * bytes(&request) < bytes(&asked(10, Grouping::Tags(vec![]))));
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let reading =
        Reading { consistency: Consistency::Bounded(Duration::from_millis(250)), seen: Default::default() };
    let place = Place { partitions: vec![PartitionId(0), PartitionId(7)], reading };
    for every in [0, 10] {
        for grouping in [Grouping::Series, Grouping::Tags(vec!["host".to_owned()])] {
            let sent = asked(every, grouping);
            let (read_place, read) = read_request(request(&place, &sent).unwrap()).unwrap();
            assert_eq!(read_place, place);
            assert_eq!(
                (read.windows, read.wanted, read.grouping),
                (sent.windows, sent.wanted, sent.grouping)
            );
            assert_eq!((read.cells_max, read.rows_max), (sent.cells_max, sent.rows_max));
        }
    }
    let place = Place { partitions: vec![], reading: Reading::default() };
    let message = || request(&place, &asked(10, Grouping::Series)).unwrap();
    let windows = |every_ns, offset_ns| {
        let windows = Some(peer::Windows { every_ns, offset_ns });
        read_request(peer::SummaryRequest { windows, ..message() })
    };
    assert!(windows(0, 0).is_err() && windows(-1, 0).is_err() && windows(1, i64::MIN).is_ok());
    assert!(read_request(peer::SummaryRequest { scan: None, ..message() }).is_err());
    assert!(read_request(peer::SummaryRequest { wanted: None, ..message() }).is_err());
    assert!(read_request(peer::SummaryRequest { grouping: None, ..message() }).is_err());
}

#[test]
fn groups_that_make_no_sense_are_refused() {
    let request = asked(10, Grouping::Series);
    let good = || messages(PartitionId(3), groups(&request, 100), &request).next().unwrap();
    let changed = |change: &dyn Fn(&mut peer::GroupCells)| {
        let mut message = good();
        for group in &mut message.groups {
            change(group.cells.as_mut().unwrap());
        }
        read_groups(message, &request, &mut Groups::new(&request)).map_err(|error| error.to_string())
    };
    assert_eq!(changed(&|_| {}), Ok(()));
    let wrong: [&dyn Fn(&mut peer::GroupCells); 17] = [
        &|cells| cells.starts = vec![2, 1],
        &|cells| cells.starts.clear(),
        &|cells| cells.starts = vec![i64::MAX - 5],
        &|cells| cells.sums = None,
        &|cells| cells.min = None,
        &|cells| cells.first = None,
        &|cells| cells.counts.clear(),
        &|cells| cells.counts[0] = 0,
        &|cells| cells.counts[0] = u64::MAX,
        &|cells| cells.r#type = 0,
        &|cells| cells.r#type = 6,
        &|cells| cells.r#type = cells.r#type % 5 + 1,
        &|cells| cells.sums = Some(WireSums::Wide(vec![0xff; 16 * cells.counts.len() - 1].into())),
        &|cells| cells.sums = Some(WireSums::Wide(vec![0x7f; 16 * cells.counts.len()].into())),
        &|cells| cells.min.iter_mut().for_each(|points| points.times.truncate(1)),
        &|cells| cells.last.as_mut().unwrap().values = None,
        &|cells| cells.first.as_mut().unwrap().values = Some(peer::Field::default()),
    ];
    for (at, change) in wrong.into_iter().enumerate() {
        assert!(changed(change).is_err(), "{at}");
    }
    let mut nobody = good();
    nobody.groups[0].key = vec![0xff].into();
    assert!(read_groups(nobody, &request, &mut Groups::new(&request)).is_err());
    // The limits of whoever asks hold for what comes.
    let strict = SummaryRequest { cells_max: 10, ..request.clone() };
    let refused = read_groups(good(), &request, &mut Groups::new(&strict));
    assert!(matches!(refused, Err(GroupsError::TooLarge(TooLarge::Cells(10)))), "{refused:?}");
    let strict = SummaryRequest { rows_max: 10, ..request.clone() };
    let refused = read_groups(good(), &request, &mut Groups::new(&strict));
    assert!(matches!(refused, Err(GroupsError::TooLarge(TooLarge::Rows(10)))), "{refused:?}");
}
