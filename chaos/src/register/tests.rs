use super::*;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn write(value: u64, start: u64, end: u64) -> Operation {
    Operation { what: What::Write(value), start: at(start), end: Some(at(end)) }
}

fn unknown(value: u64, start: u64) -> Operation {
    Operation { what: What::Write(value), start: at(start), end: None }
}

fn read(value: Option<u64>, start: u64, end: u64) -> Operation {
    Operation { what: What::Read(value), start: at(start), end: Some(at(end)) }
}

#[test]
fn what_one_register_can_do_is_linearizable() {
    check(&[]).unwrap();
    check(&[read(None, 1, 2), write(1, 3, 6), read(None, 4, 5), read(Some(1), 7, 8)]).unwrap();
    // Two writes at once, in either order for whoever reads after both, but the same for all.
    check(&[write(1, 1, 9), write(2, 1, 9), read(Some(1), 10, 11), read(Some(1), 12, 13)]).unwrap();
    check(&[write(1, 1, 9), write(2, 1, 9), read(Some(1), 2, 4), read(Some(2), 10, 11)]).unwrap();
    // What may have been done may be seen at any later time, or never.
    check(&[write(1, 1, 2), unknown(2, 3), read(Some(1), 4, 5), read(Some(2), 6, 7)]).unwrap();
    check(&[write(1, 1, 2), unknown(2, 3), read(Some(1), 4, 5), read(Some(1), 6, 7)]).unwrap();
}

#[test]
fn what_no_register_does_is_found() {
    for (history, word) in [
        (vec![write(1, 1, 2), read(None, 3, 4)], "has no place"),
        (vec![write(1, 1, 2), write(2, 3, 4), read(Some(1), 5, 6)], "no place"),
        (vec![read(Some(1), 1, 2), write(1, 3, 4)], "ended before"),
        (vec![read(Some(7), 1, 2)], "never written"),
        // One sees the new value, and another after it the old one.
        (vec![write(1, 1, 2), write(2, 3, 20), read(Some(2), 4, 5), read(Some(1), 6, 7)], "no place"),
        (vec![write(1, 1, 2), unknown(2, 3), read(Some(2), 4, 5), read(Some(1), 6, 7)], "no place"),
        (
            vec![
                write(1, 1, 9),
                write(2, 1, 9),
                read(Some(1), 10, 11),
                read(Some(2), 12, 13),
                read(Some(1), 14, 15),
            ],
            "two values",
        ),
    ] {
        let why = check(&history).unwrap_err();
        assert!(why.contains(word), "{why}: {history:?}");
    }
}

#[test]
fn each_register_is_judged_by_itself() {
    let registers = Registers::default();
    assert_ne!(registers.fresh(), registers.fresh());
    registers.note(0, write(1, 1, 2));
    registers.note(1, read(None, 3, 4));
    assert_eq!((registers.operations(), registers.violations()), (2, Vec::new()));
    registers.note(0, read(None, 3, 4));
    assert_eq!(registers.violations().len(), 1);
}
