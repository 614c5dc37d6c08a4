use super::*;

/// A segment from port 1000 to port 2000 that has number 7 and awaits 9.
pub(in crate::switch) fn frame(flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 41, 0, 0, 0, 0, 64, 6, 0, 0, 10, 88, 0, 1, 10, 88, 0, 2]);
    frame.extend([0x03, 0xe8, 0x07, 0xd0, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, flags, 0, 0, 0, 0, 0, 0, 0xab]);
    frame
}

#[test]
fn a_segment_says_what_it_is() {
    let of = |flags: u8| {
        let frame = frame(flags);
        let one = Segment::of(&frame).unwrap();
        (one.opens(), one.is_first(), one.ends(), one.is_reset())
    };
    assert_eq!(of(SYN), (true, true, false, false));
    assert_eq!(of(SYN | ACK), (true, false, false, false));
    assert_eq!(of(ACK), (false, false, false, false));
    assert_eq!(of(FIN | ACK), (false, false, true, false));
    assert_eq!(of(RST), (false, false, true, true));
    let mut udp = frame(ACK);
    udp[23] = 17;
    for other in [udp.as_slice(), &frame(ACK)[..40], &[]] {
        assert!(Segment::of(other).is_none());
    }
}

#[test]
fn resets_have_the_numbers_that_each_end_awaits_and_right_checksums() {
    let frame = frame(ACK);
    let [ahead, back] = Segment::of(&frame).unwrap().resets();
    assert_eq!(ahead[..14], frame[..14]);
    assert_eq!((&back[..6], &back[6..12]), (&frame[6..12], &frame[..6]));
    for (reset, ports, number) in [(ahead, [0x03, 0xe8, 0x07, 0xd0], 7), (back, [0x07, 0xd0, 0x03, 0xe8], 9)]
    {
        assert_eq!((&reset[34..38], &reset[38..42], reset[47]), (&ports[..], &[0, 0, 0, number][..], RST));
        assert_eq!(checksum(&reset[14..34]), [0, 0]);
        let covered = [&reset[26..34], &[0, 6, 0, 20], &reset[34..]].concat();
        assert_eq!(checksum(&covered), [0, 0]);
    }
}
