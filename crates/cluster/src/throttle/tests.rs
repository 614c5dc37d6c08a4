//! All together get what one would.

use super::*;

#[test]
fn whoever_comes_waits_for_those_before() {
    let throttle = Throttle::new(64 << 20);
    let begin = Instant::now();
    // 256 chunks of 1 MiB at once, and each goes a 64th of a second after the other.
    for chunk in 0..256 {
        assert_eq!(throttle.reserve(begin, 1 << 20), begin + Duration::from_nanos(15_625_000) * chunk);
    }
    // Whoever comes when all is paid for does not wait, and what nobody used is not saved up.
    let later = begin + Duration::from_secs(60);
    for chunk in 0..64 {
        assert_eq!(throttle.reserve(later, 1 << 20), later + Duration::from_nanos(15_625_000) * chunk);
    }
}

#[tokio::test]
async fn bytes_take_their_time_unless_there_is_no_limit() {
    let throttle = Throttle::new(100 << 20);
    let begin = Instant::now();
    throttle.take(10 << 20).await;
    throttle.take(1).await;
    assert!(begin.elapsed() >= Duration::from_millis(100), "{:?}", begin.elapsed());
    let free = Throttle::default();
    for _ in 0..1000 {
        free.take(usize::MAX).await;
    }
}
