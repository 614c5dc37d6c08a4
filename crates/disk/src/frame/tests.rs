//! Frames read back as written, and nothing else reads.

use proptest::prelude::*;

use super::*;

fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        write_frame(&mut bytes, payload, 1000).unwrap();
    }
    bytes
}

#[test]
fn the_checksum_is_castagnolis() {
    // The check value of CRC-32C, not of the CRC-32 of zip and Ethernet.
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(frames(&[b"ab".to_vec()])[..4], [2, 0, 0, 0]);
}

#[test]
fn a_payload_above_the_limit_is_refused_both_ways() {
    let mut bytes = Vec::new();
    let refused = Err(FrameError::TooLong { offset: 0, len: 5, limit: 4 });
    assert_eq!(write_frame(&mut bytes, b"12345", 4), refused);
    assert!(bytes.is_empty());
    write_frame(&mut bytes, b"12345", 5).unwrap();
    assert_eq!(FrameReader::new(&bytes, 4).next_frame(), refused.map(|()| None));
    let huge = [0xff; 16];
    assert_eq!(FrameReader::new(&huge, u32::MAX).next_frame(), Err(FrameError::Truncated { offset: 0 }));
}

proptest! {
    #[test]
    fn frames_come_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10)) {
        let bytes = frames(&payloads);
        let read: Result<Vec<_>, _> = FrameReader::new(&bytes, 1000).collect();
        prop_assert_eq!(read.unwrap(), payloads);
    }

    #[test]
    fn a_cut_loses_whole_frames_at_the_end(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = frames(&payloads);
        let cut = cut.index(bytes.len());
        let mut reader = FrameReader::new(&bytes[..cut], 1000);
        let mut read = Vec::new();
        while let Ok(Some(payload)) = reader.next_frame() {
            read.push(payload.to_vec());
        }
        prop_assert_eq!(&read[..], &payloads[..read.len()]);
        prop_assert_eq!(frames(&read).len(), reader.offset());
        let end = reader.next_frame();
        if reader.offset() == cut {
            prop_assert_eq!(end, Ok(None));
        } else {
            prop_assert_eq!(end, Err(FrameError::Truncated { offset: reader.offset() }));
        }
    }

    #[test]
    fn a_flipped_bit_never_reads(payload in prop::collection::vec(any::<u8>(), 0..50), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = frames(&[payload]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(FrameReader::new(&bytes, 1000).next_frame().is_err());
    }
}
