//! Power cuts: after every operation, with any part of what was not synced.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What a test does to a log.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Sync,
    Mark,
    RemoveBefore(u64),
}

/// What the log owes after a crash.
#[derive(Debug, Default)]
struct Owed {
    /// Batches in the order of their append; each the numbers of its records.
    batches: Vec<Batch>,
    /// Batches below this index were synced.
    synced: usize,
    /// Segments below this one may have been removed.
    removed_before: u64,
}

#[derive(Debug)]
struct Batch {
    records: Vec<Vec<u8>>,
    /// The segment; unknown when the append failed, and then it may or may not be found.
    segment: Option<u64>,
}

/// A record that is all its own number, or zeros, or zeros with an end.
fn filled(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = record(number, len);
    let fill = bytes.len() - 8;
    match number % 3 {
        1 => bytes[8..].fill(0),
        2 => bytes[8..8 + fill.saturating_sub(1)].fill(0),
        _ => {}
    }
    bytes
}

/// Does the steps until one fails because the power went off.
fn run(vfs: &SimVfs, log: &mut SegmentedLog, steps: &[Step], owed: &mut Owed) {
    let mut number = owed.batches.iter().map(|batch| batch.records.len() as u64).sum();
    for step in steps {
        let done = match step {
            Step::Append(lens) => {
                let records: Vec<Vec<u8>> =
                    lens.iter().zip(number..).map(|(len, n)| filled(n, *len)).collect();
                number += records.len() as u64;
                let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
                // Rolling to the next segment syncs what came before.
                let synced = owed.batches.len();
                let result = log.append(&slices);
                let segment = result.as_ref().ok().and_then(|at| at.first()).map(|at| at.segment);
                if let (Some(segment), Some(last)) = (segment, owed.batches.last())
                    && last.segment.is_some_and(|last| last < segment)
                {
                    owed.synced = synced;
                }
                owed.batches.push(Batch { records, segment });
                result.map(|_| ())
            }
            Step::Sync => log.sync().inspect(|()| owed.synced = owed.batches.len()),
            Step::Mark => log.mark_idle(),
            Step::RemoveBefore(below_active) => {
                let before = log.end().segment.saturating_sub(*below_active);
                owed.removed_before = owed.removed_before.max(before);
                log.remove_before(before).map(|_| ())
            }
        };
        if let Err(error) = done {
            assert!(vfs.is_off(), "{error}");
            return;
        }
    }
}

/// Opens what a power cut left and compares it with what is owed: all synced batches whose segments may not have been
/// removed, then perhaps more, whole batches only, in order, and nothing that was never appended.
fn check(vfs: &SimVfs, owed: &Owed, what: &str) -> (SegmentedLog, usize) {
    let (log, recovery, records) = open(vfs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let first = *log.segments().start();
    assert!(first <= owed.removed_before.max(1), "{what}: removed more than was asked for");
    let skipped =
        owed.batches.iter().take_while(|batch| batch.segment.is_some_and(|segment| segment < first)).count();
    let mut found = payloads(&records).into_iter().peekable();
    let mut next = skipped;
    while found.peek().is_some() {
        let batch =
            owed.batches.get(next).unwrap_or_else(|| panic!("{what}: records that were never appended"));
        let whole: Vec<Vec<u8>> = found.by_ref().take(batch.records.len()).collect();
        assert!(whole == batch.records, "{what}: batch {next} differs");
        next += 1;
    }
    assert!(next >= owed.synced, "{what}: {} of {} synced batches, {:?}", next, owed.synced, recovery.torn);
    (log, next)
}

/// Runs the steps, cutting the power after each operation in turn, and checks what is left in several ways.
fn crash_everywhere(before: &[Step], steps: &[Step], seeds: std::ops::Range<u64>) {
    for ops in 0.. {
        let (vfs, mut log) = new_log();
        let mut owed = Owed::default();
        run(&vfs, &mut log, before, &mut owed);
        vfs.power_off_after(vfs.ops() + ops);
        run(&vfs, &mut log, steps, &mut owed);
        let torn = seeds
            .clone()
            .flat_map(|seed| [512, 4096].map(|block_bytes| PowerCut::Torn { seed, block_bytes }));
        for cut in torn.chain([PowerCut::Lost, PowerCut::Kept]) {
            let what = format!("after {ops} operations, {cut:?}");
            let after = vfs.crash(cut);
            let (mut log, found) = check(&after, &owed, &what);

            // What was opened is durable and the log goes on: nothing of a cut tail comes back.
            let mut again = Owed { synced: found, removed_before: owed.removed_before, ..Owed::default() };
            again.batches.extend(owed.batches.iter().take(found).map(|batch| Batch {
                records: batch.records.clone(),
                segment: batch.segment.or_else(|| Some(log.end().segment)),
            }));
            check(&after.crash(PowerCut::Lost), &again, &what);
            run(
                &after,
                &mut log,
                &[Step::Append(vec![30, 9]), Step::Sync, Step::Append(vec![12])],
                &mut again,
            );
            let last = after.crash(PowerCut::Torn { seed: ops, block_bytes: 512 });
            check(&last, &again, &what);
        }
        if !vfs.is_off() {
            return;
        }
    }
}

#[test]
fn the_synced_prefix_survives_a_crash_after_every_operation() {
    let append = |lens: &[usize]| Step::Append(lens.to_vec());
    let steps = [
        append(&[40, 600, 8]),
        append(&[1200]),
        Step::Sync,
        append(&[700, 700]),
        Step::Sync,
        Step::Mark,
        append(&[900]),
        append(&[1500, 20]),
        Step::Sync,
        append(&[2000]),
        append(&[2500]),
        append(&[100]),
        Step::RemoveBefore(1),
        Step::Sync,
        Step::Mark,
    ];
    crash_everywhere(&[], &steps, 0..12);
}

#[test]
fn every_subset_of_blocks_of_an_unsynced_tail_is_cut_or_whole() {
    let (vfs, mut log) = new_log();
    let mut owed = Owed::default();
    let steps = [Step::Append(vec![300]), Step::Sync, Step::Append(vec![700, 300]), Step::Append(vec![600])];
    run(&vfs, &mut log, &steps, &mut owed);
    let mut found = BTreeSet::new();
    let mut choices = 1_u32;
    let mut choice = 0;
    while choice < choices {
        let mut asked = 0;
        let after = vfs.crash_with(512, &mut |_| {
            asked += 1;
            choice >> (asked - 1) & 1 == 1
        });
        assert!(asked <= 12, "small enough to try all: {asked}");
        choices = 1 << asked;
        found.insert(check(&after, &owed, &format!("choice {choice:b}")).1);
        choice += 1;
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_crash_while_opening_loses_nothing() {
    let (vfs, mut log) = new_log();
    let mut owed = Owed::default();
    let steps = [Step::Append(vec![300]), Step::Sync, Step::Append(vec![1700]), Step::Append(vec![600])];
    run(&vfs, &mut log, &steps, &mut owed);
    for seed in 0..40 {
        let torn = vfs.crash(PowerCut::Torn { seed, block_bytes: 512 });
        for ops in 0.. {
            let opened = torn.crash(PowerCut::Kept);
            opened.power_off_after(ops);
            let done = open(&opened).is_ok();
            for second in 0..4 {
                let after = opened.crash(PowerCut::Torn { seed: seed ^ (second << 8), block_bytes: 512 });
                check(&after, &owed, &format!("seed {seed}, {ops} operations, then {second}"));
            }
            if done {
                break;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0_usize..900, 1..4).prop_map(Step::Append),
        1 => (1000_usize..3000).prop_map(|len| Step::Append(vec![len])),
        3 => Just(Step::Sync),
        1 => Just(Step::Mark),
        1 => (0_u64..3).prop_map(Step::RemoveBefore),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_work_with_any_crash_keeps_what_was_synced(before in steps(), work in prop::collection::vec(steps(), 1..2), seed in any::<u64>()) {
        let work: Vec<Step> = work.into_iter().flatten().take(8).collect();
        crash_everywhere(&before, &work, seed..seed.saturating_add(2));
    }

    #[test]
    fn a_flip_anywhere_is_refused_or_loses_nothing(work in steps(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let (vfs, mut log) = new_log();
        let mut owed = Owed::default();
        run(&vfs, &mut log, &work, &mut owed);
        let (declared, segments) = (log.declared, log.segments());
        drop(log);
        let lens: Vec<(u64, u64)> = segments
            .map(|number| (number, vfs.open(&segment(number)).unwrap().len().unwrap()))
            .collect();
        let mut at = at.index(usize::try_from(lens.iter().map(|(_, len)| len).sum::<u64>()).unwrap()) as u64;
        for (number, len) in lens {
            if at >= len {
                at -= len;
                continue;
            }
            vfs.corrupt(&segment(number), at, 1_u8 << bit).unwrap();
            let place = Position { segment: number, offset: u32::try_from(at).unwrap() };
            match open(&vfs) {
                Err(OpenError::Corrupt { segment, .. }) => prop_assert_eq!(segment, number),
                Err(other) => prop_assert!(false, "{}", other),
                // Then it was a mark, a seal, or where nothing was written: everything is there.
                Ok(_) => {
                    prop_assert!(place >= declared || number < declared.segment, "{place:?} {declared:?}");
                    let batches = owed.batches.len();
                    check(&vfs, &Owed { synced: batches, ..owed }, "flipped");
                }
            }
            break;
        }
    }
}
