use proptest::prelude::*;

use super::*;

#[test]
fn numbers_take_as_many_bytes_as_they_need() {
    for (value, want) in
        [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
    {
        let mut out = Vec::new();
        put(&mut out, value);
        assert_eq!((out.len(), len(value)), (want, want));
        assert_eq!(take(&mut &out[..]), Some(value));
    }
}

#[test]
fn cut_and_oversized_numbers_are_refused() {
    assert_eq!(take(&mut &[][..]), None);
    assert_eq!(take(&mut &[0x80][..]), None);
    assert_eq!(take(&mut &[0xff; 10][..]), None);
    assert_eq!(take(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02][..]), None);
    assert_eq!(take_bytes(&mut &[5, 1, 2][..]), None);
    let mut huge = Vec::new();
    put(&mut huge, u64::MAX);
    assert_eq!(take_bytes(&mut &huge[..]), None);
}

proptest! {
    #[test]
    fn what_is_put_is_taken(value: u64, shift in 0..64_u32, bytes: Vec<u8>, rest: Vec<u8>) {
        let value = value >> shift;
        let mut out = Vec::new();
        put(&mut out, value);
        prop_assert_eq!(out.len(), len(value));
        put_bytes(&mut out, &bytes);
        out.extend_from_slice(&rest);
        let mut input = &out[..];
        prop_assert_eq!(take(&mut input), Some(value));
        prop_assert_eq!(take_bytes(&mut input), Some(&bytes[..]));
        prop_assert_eq!(input, &rest[..]);
    }

    #[test]
    fn zigzag_keeps_small_numbers_small(value: i64) {
        prop_assert_eq!(unzigzag(zigzag(value)), value);
        prop_assert!(zigzag(value >> 60) <= 16);
    }
}
