//! Values in the bytes that InfluxDB gives them.

use super::*;

fn bytes(push: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out);
    out
}

#[test]
fn integers_are_signed_and_short() {
    for (value, expected) in [
        (0, &[0][..]),
        (127, &[0x7f]),
        (-1, &[0xff]),
        (-32, &[0xe0]),
        (-33, &[0xd0, 0xdf]),
        (128, &[0xd1, 0, 0x80]),
        (-300, &[0xd1, 0xfe, 0xd4]),
        (32_768, &[0xd2, 0, 0, 0x80, 0]),
        (9_007_199_254_740_993, &[0xd3, 0, 0x20, 0, 0, 0, 0, 0, 1]),
    ] {
        assert_eq!(bytes(|out| push_integer(out, value)), expected, "{value}");
    }
    for (value, expected) in [
        (127, &[0x7f][..]),
        (128, &[0xcc, 0x80]),
        (256, &[0xcd, 1, 0]),
        (65_536, &[0xce, 0, 1, 0, 0]),
        (u64::MAX, &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
    ] {
        assert_eq!(bytes(|out| push_unsigned(out, value)), expected, "{value}");
    }
}

#[test]
fn lengths_take_the_shortest_form() {
    for (length, string, array, map) in [
        (0, &[0xa0][..], &[0x90][..], &[0x80][..]),
        (15, &[0xaf], &[0x9f], &[0x8f]),
        (16, &[0xb0], &[0xdc, 0, 16], &[0xde, 0, 16]),
        (31, &[0xbf], &[0xdc, 0, 31], &[0xde, 0, 31]),
        (32, &[0xd9, 32], &[0xdc, 0, 32], &[0xde, 0, 32]),
        (256, &[0xda, 1, 0], &[0xdc, 1, 0], &[0xde, 1, 0]),
        (65_536, &[0xdb, 0, 1, 0, 0], &[0xdd, 0, 1, 0, 0], &[0xdf, 0, 1, 0, 0]),
    ] {
        let text = "x".repeat(length);
        assert_eq!(bytes(|out| push_string(out, &text)), [string, text.as_bytes()].concat(), "{length}");
        assert_eq!(bytes(|out| push_array(out, length)), array, "{length}");
        assert_eq!(bytes(|out| push_map(out, length)), map, "{length}");
    }
}

#[test]
fn times_before_the_epoch_count_their_nanoseconds_forward() {
    let expected = [0xc7, 12, 5, 255, 255, 255, 255, 255, 255, 255, 0xfa, 0x3b, 0x9a, 0xc9, 0xff];
    assert_eq!(bytes(|out| push_time(out, -5_000_000_001)), expected);
}
