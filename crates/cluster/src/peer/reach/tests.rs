use super::*;

/// Lets the time pass after which who has not answered is silent.
fn time_passes(reach: &Reach) {
    reach.0.lock().values_mut().for_each(|known| known.heard -= SILENT_AFTER);
}

const SLOW: Duration = Duration::from_millis(150);

fn known(reach: &Reach, node: u128, reaches: &[u128], is_short: bool) {
    let (reaches, silent) = (reaches.iter().copied().collect(), HashSet::from([9]));
    reach.asked(
        node,
        Some(Beacon {
            reaches,
            silent,
            is_short,
            is_leaving: !is_short,
            slowness: (!is_short).then_some(SLOW),
            clock_offset: Duration::ZERO,
        }),
    );
}

#[test]
fn a_node_that_stops_answering_is_reached_over_one_that_still_reaches_it() {
    let reach = Reach::default();
    assert_eq!(reach.way(2), Way::Direct, "nobody has asked yet");
    assert_eq!(reach.ask(&HashSet::from([2, 3])).len(), 2);
    assert_eq!(reach.ask(&HashSet::from([2, 3])), [], "one question at a time");
    assert!(reach.answer(false, false, None).reaches.is_empty(), "nobody has answered yet");
    known(&reach, 2, &[3], false);
    known(&reach, 3, &[2], true);
    assert_eq!(reach.answer(false, false, None).reaches.len(), 2);
    assert_eq!((reach.is_short(2), reach.is_short(3)), (false, true));
    assert_eq!([2, 3].map(|node| reach.is_leaving(node)), [true, false]);
    assert_eq!([2, 3].map(|node| reach.is_slow(node, None)), [true, false]);
    // Nobody gives a lead to one that is about as slow.
    assert!(reach.is_slow(2, Some(SLOW * 3)) && !reach.is_slow(2, Some(SLOW * 4)));
    time_passes(&reach);
    known(&reach, 3, &[2], true);
    assert_eq!((reach.way(2), reach.way(3)), (Way::Over(3), Way::Direct));
    let (reaches, silent) = (vec![route::id(3)], vec![route::id(2)]);
    let said = peer::BeaconResponse {
        reaches,
        silent,
        is_short: true,
        is_leaving: true,
        slow_ms: 150,
        ..Default::default()
    };
    assert_eq!(reach.answer(true, true, Some(SLOW)), said);
    assert_eq!((reach.silent(&[1, 2, 3]), reach.silent_as_seen_by(3, &[1, 2, 3])), (1, 0));
    assert_eq!((reach.silent_as_seen_by(3, &[1, 9]), reach.silent_as_seen_by(2, &[9])), (1, 0));
    // The third does not reach it any more either.
    known(&reach, 3, &[], true);
    assert_eq!(reach.way(2), Way::Nowhere);
    time_passes(&reach);
    assert_eq!((reach.way(2), reach.way(3)), (Way::Nowhere, Way::Nowhere));
    assert!(!reach.is_short(3) && !reach.is_leaving(2), "of a silent node nobody knows");
    // It is back, and whoever has left is forgotten.
    reach.ask(&HashSet::from([2]));
    assert!(reach.asked(2, Some(Beacon::default())), "it was silent");
    assert!(!reach.asked(2, Some(Beacon::default())));
    assert_eq!((reach.way(2), reach.way(3)), (Way::Direct, Way::Direct));
}

#[tokio::test]
async fn who_waits_for_a_node_waits_no_longer_than_it_is_reached() {
    let reach = Reach::default();
    reach.ask(&HashSet::from([2]));
    assert_eq!(reach.while_reached(2, Way::Direct, async { 7 }).await, Some(7));
    let waits = reach.while_reached(2, Way::Direct, std::future::pending::<()>());
    // It becomes silent while somebody waits.
    assert_eq!(waits.await, None);
    assert_eq!(reach.way(2), Way::Nowhere);
    assert_eq!(reach.while_reached(2, Way::Nowhere, std::future::pending::<()>()).await, None);
}

#[test]
fn clocks_differ_by_more_than_the_way_takes() {
    let offset = |took: u64, theirs: u64| {
        clock_offset(Timestamp(1_000_000_000_000), Duration::from_millis(took), theirs).as_millis()
    };
    assert_eq!(offset(10, 0), 0, "an older node does not say");
    assert_eq!([offset(10, 1_000_000), offset(10, 1_000_005), offset(10, 1_000_010)], [0, 0, 0]);
    assert_eq!([offset(10, 1_000_505), offset(10, 999_505)], [494, 494]);
    assert_eq!(offset(1_000, 1_000_900), 0, "it may have taken long to come");
}
