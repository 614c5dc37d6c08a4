use super::super::segment;
use super::*;
use crate::clock::now;

const FRAME: [u8; 1000] = [0; 1000];
const COUNT: usize = 2000;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN_ACK: u8 = 0x11;

/// Passes frames, one in so many microseconds. Answers when each came and when it arrives, and the tally.
fn pass(shape: Shape, every: Duration) -> (Vec<(Instant, Arrivals)>, Tally) {
    let (mut rng, begin) = (Rng::with_seed(7), now());
    let mut link = Link::new(shape, begin);
    let mut at = begin;
    let mut passed = Vec::new();
    for _ in 0..COUNT {
        at += every;
        passed.push((at, link.pass(&FRAME, at, &mut rng)));
    }
    (passed, link.tally)
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_way_without_a_shape_passes_all_at_once() {
    let (passed, tally) = pass(Shape::default(), MS);
    assert!(passed.iter().all(|(at, arrivals)| *arrivals == [Some(*at), None]));
    let all = COUNT as u64;
    assert_eq!(tally, Tally { frames: all, bytes: all * 1000, ..Tally::default() });
}

#[test]
fn a_cut_passes_nothing_and_counts_tcp() {
    let tcp = segment::tests::frame(FIN_ACK);
    let mut link = Link::new(Shape::CUT, now());
    let mut rng = Rng::with_seed(1);
    assert_eq!(link.pass(&tcp, now(), &mut rng), [None, None]);
    assert_eq!(link.pass(&FRAME, now(), &mut rng), [None, None]);
    assert_eq!((link.tally.frames, link.tally.cut, link.tally.ends_cut), (2, 1, 1));
}

#[test]
fn delays_keep_the_order_and_stay_within_the_jitter() {
    let (passed, tally) = pass(Shape { delay_ms: 50, jitter_ms: 20, ..Shape::default() }, MS);
    let arrivals: Vec<_> = passed.iter().map(|(_, arrivals)| arrivals[0].unwrap()).collect();
    assert!(arrivals.is_sorted());
    assert!(
        passed.iter().all(|(at, arrivals)| (30..=70).contains(&(arrivals[0].unwrap() - *at).as_millis()))
    );
    assert_eq!(tally.delayed, COUNT as u64);
}

#[test]
fn shares_are_about_as_asked() {
    let shape = Shape {
        delay_ms: 10,
        loss_percent: 10.0,
        duplicate_percent: 5.0,
        reorder_percent: 20.0,
        ..Shape::default()
    };
    let (passed, tally) = pass(shape, MS);
    assert!((120..280).contains(&tally.lost), "{tally:?}");
    assert!((40..160).contains(&tally.duplicated), "{tally:?}");
    assert!((250..470).contains(&tally.reordered), "{tally:?}");
    let never = passed.iter().filter(|(_, arrivals)| arrivals[0].is_none()).count();
    assert_eq!(never as u64, tally.lost);
}

#[test]
fn a_rate_is_kept_and_what_does_not_fit_is_dropped() {
    // 8 Mbit/s are offered, 1 Mbit/s passes.
    let (passed, tally) = pass(Shape { kbit_per_second: 1000, ..Shape::default() }, MS);
    let last = passed.iter().filter_map(|(_, arrivals)| arrivals[0]).max().unwrap();
    let took = (last - passed[0].0).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "few bytes")]
    let rate = tally.bytes as f64 * 8.0 / took;
    assert!((950_000.0..1_050_000.0).contains(&rate), "{rate} {tally:?}");
    assert!(tally.overflowed > COUNT as u64 / 2, "{tally:?}");
    // A way that had nothing to do takes a short frame at once.
    let mut link = Link::new(Shape { kbit_per_second: 1000, ..Shape::default() }, now());
    let later = now() + Duration::from_secs(1);
    assert_eq!(link.pass(&FRAME, later, &mut Rng::with_seed(1)), [Some(later), None]);
}

#[test]
fn what_is_too_long_does_not_come() {
    let mut link = Link::new(Shape { largest_bytes: 999, ..Shape::default() }, now());
    let (mut rng, at) = (Rng::with_seed(1), now());
    assert_eq!(link.pass(&FRAME, at, &mut rng), [None, None]);
    assert_eq!(link.pass(&FRAME[..999], at, &mut rng), [Some(at), None]);
    assert_eq!((link.tally.too_long, link.tally.bytes), (1, 999));
}

#[test]
fn a_connection_is_reset_in_each_round_and_new_ones_are_left_until_the_next() {
    let (syn, ack, begin) = (segment::tests::frame(SYN), segment::tests::frame(ACK), now());
    let of = |rounds| Link::new(Shape { resets: Some(rounds), ..Shape::default() }, begin);
    let mut link = of(Rounds::Once);
    assert!(link.reset(&ack, begin).is_some());
    assert!(link.reset(&syn, begin).is_none());
    assert!(link.reset(&ack, begin + 100 * MS).is_none());
    assert_eq!((link.tally.resets, link.tally.opened), (1, 1));
    let mut link = of(Rounds::Every(50));
    assert!(link.reset(&syn, begin).is_none());
    assert!(link.reset(&ack, begin).is_none());
    // The second shows that the first was not believed, and is no other connection.
    assert!(link.reset(&ack, begin + 50 * MS).is_some());
    assert!(link.reset(&ack, begin + 60 * MS).is_some());
    assert_eq!((link.tally.resets, link.tally.opened), (1, 1));
}

#[test]
fn the_same_seed_does_the_same() {
    let shape = Shape { delay_ms: 5, jitter_ms: 5, loss_percent: 30.0, ..Shape::default() };
    assert_eq!(pass(shape, MS).1, pass(shape, MS).1);
}
