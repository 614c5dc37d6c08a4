//! What is sent, and when it is sent again.

use std::time::Duration;

use super::{cut, pause_before_retry};
use crate::error::CliError;

fn refused(status: u16, message: &str) -> CliError {
    CliError::Refused { status, message: message.to_owned() }
}

#[test]
fn a_busy_server_is_asked_again_until_patience_ends() {
    let (mut waited, mut pauses) = (Duration::ZERO, 0);
    while let Some(pause) =
        pause_before_retry(&refused(503, "memtable-size"), waited, Duration::from_secs(30))
    {
        assert!(pause >= Duration::from_millis(500) && pause <= Duration::from_secs(8));
        waited += pause;
        pauses += 1;
    }
    assert!(waited > Duration::from_secs(20) && waited <= Duration::from_secs(30), "{waited:?}");
    assert!((4..20).contains(&pauses), "{pauses}");
}

#[test]
fn only_what_was_certainly_not_done_is_sent_again() {
    let again =
        |error: &CliError| pause_before_retry(error, Duration::ZERO, Duration::from_secs(30)).is_some();
    assert!(again(&refused(429, "too many bytes in flight")));
    assert!(!again(&refused(503, "outcome unknown: no answer in time")));
    for status in [400, 401, 404, 413, 500] {
        assert!(!again(&refused(status, "x")), "{status}");
    }
}

/// The batches of a text that comes a few bytes at a time, and their points.
fn batches(text: &str, batch_points: u32) -> Vec<(String, u64)> {
    struct Slowly<'a>(&'a [u8]);
    impl std::io::Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = buffer.len().min(3);
            std::io::Read::read(&mut self.0, &mut buffer[..n])
        }
    }
    let mut batches = Vec::new();
    let sent = cut(Slowly(text.as_bytes()), batch_points, |batch, points| {
        batches.push((String::from_utf8(batch.to_vec()).unwrap(), points));
        Ok(())
    });
    sent.unwrap();
    batches
}

#[test]
fn the_last_point_counts_without_its_newline() {
    for (text, points) in [
        ("a f=1", 1),
        ("a f=1\n", 1),
        ("a f=1\nb f=2", 2),
        ("a f=1\nb s=\"x\ny\"", 2),
        ("a f=1\n# done", 1),
        ("a f=1\n\n", 1),
        ("", 0),
        ("# nothing\n", 0),
    ] {
        for batch_points in [1, 2, 3] {
            let batches = batches(text, batch_points);
            assert_eq!(batches.iter().map(|(_, n)| n).sum::<u64>(), points, "{text:?} by {batch_points}");
            let sent: String =
                batches.iter().filter(|(_, n)| *n > 0).map(|(text, _)| text.as_str()).collect();
            assert_eq!(
                sent.matches('f').count() + sent.matches("s=").count(),
                usize::try_from(points).unwrap()
            );
        }
    }
}
