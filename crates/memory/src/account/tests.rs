//! Accounts: refusals, and that nothing leaks whatever happens.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

#[test]
fn a_refusal_names_the_account_and_changes_nothing() {
    let account = Account::new("queries", 100, 0);
    let mut first = Reservation::of(&account, 60).unwrap();
    let refused = first.cover(101).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the memory of queries is used up: 60 of 100 bytes are held, and 41 more are needed (memory-bytes)"
    );
    assert_eq!((first.bytes(), account.used()), (60, 60));
    assert!(Reservation::of(&account, 41).is_err());
    let second = Reservation::of(&account, 40).unwrap();
    assert!(account.is_full());
    drop(first);
    assert_eq!(account.used(), 40);
    drop(second);
    let figures = Figures { name: "queries", used: 0, limit: 100, peak: 100, refused: 2 };
    assert_eq!(account.figures(), figures);
}

#[test]
fn what_is_lent_comes_on_top_of_the_limit() {
    let account = Account::new("queries", 100, 50);
    let all = Reservation::of(&account, 150).unwrap();
    assert!(Reservation::of(&account, 1).is_err());
    assert_eq!((account.limit(), account.bytes_max()), (100, 150));
    drop(all);
}

#[test]
fn the_first_may_hold_more_than_there_is_and_the_second_waits() {
    let account = Account::new("compaction", 100, 0);
    let first = Reservation::of_or_first(&account, 1000).unwrap();
    assert!(Reservation::of_or_first(&account, 1).is_err());
    drop(first);
    let small = Reservation::of_or_first(&account, 30).unwrap();
    assert!(Reservation::of_or_first(&account, 1000).is_err());
    assert!(Reservation::of_or_first(&account, 70).is_ok());
    drop(small);
    assert_eq!(account.used(), 0);
}

#[test]
fn what_exists_is_counted_beyond_the_limit() {
    let account = Account::new("memtables", 100, 0);
    let mut rows = Reservation::empty(&account);
    rows.set(300);
    assert_eq!(account.used(), 300);
    rows.set(20);
    assert_eq!((account.used(), account.figures().peak), (20, 300));
}

#[derive(Debug, Clone)]
enum Op {
    Reserve(usize),
    First(usize),
    Cover(usize, usize),
    Set(usize, usize),
    Drop(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bytes = || 0..400_usize;
    let op = prop_oneof![
        bytes().prop_map(Op::Reserve),
        bytes().prop_map(Op::First),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Op::Cover(at, bytes)),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Op::Set(at, bytes)),
        any::<usize>().prop_map(Op::Drop),
    ];
    proptest::collection::vec(op, 0..200)
}

proptest! {
    #[test]
    fn an_account_holds_the_sum_of_its_reservations_in_whatever_order_they_go(ops in ops()) {
        let account = Account::new("test", 1000, 100);
        let mut living: Vec<Reservation> = Vec::new();
        let (mut peak, mut refused) = (0, 0);
        for op in ops {
            match op {
                Op::Reserve(bytes) => match Reservation::of(&account, bytes) {
                    Ok(reservation) => living.push(reservation),
                    Err(_) => refused += 1,
                },
                Op::First(bytes) => {
                    let empty = account.used() == 0;
                    match Reservation::of_or_first(&account, bytes) {
                        Ok(reservation) => living.push(reservation),
                        Err(_) => { prop_assert!(!empty); refused += 1 }
                    }
                }
                Op::Cover(at, bytes) if !living.is_empty() => {
                    let at = at % living.len();
                    refused += u64::from(living[at].cover(bytes).is_err());
                }
                Op::Set(at, bytes) if !living.is_empty() => {
                    let at = at % living.len();
                    living[at].set(bytes);
                }
                Op::Drop(at) if !living.is_empty() => drop(living.swap_remove(at % living.len())),
                _ => {}
            }
            let sum = living.iter().map(Reservation::bytes).sum::<usize>();
            peak = peak.max(sum);
            prop_assert_eq!(account.used(), sum);
        }
        drop(living);
        let expected = Figures { name: "test", used: 0, limit: 1000, peak, refused };
        prop_assert_eq!(account.figures(), expected);
    }
}

#[test]
fn threads_together_never_hold_more_than_the_limit() {
    let account = Account::new("test", 64, 0);
    std::thread::scope(|scope| {
        for thread in 1..=8 {
            let account = Arc::clone(&account);
            scope.spawn(move || {
                for round in 0..5_000 {
                    if let Ok(mut held) = Reservation::of(&account, thread) {
                        // Refused or not, it goes back as a whole.
                        let grown = held.cover(thread + round % 16);
                        assert_eq!(
                            held.bytes(),
                            if grown.is_ok() { thread.max(thread + round % 16) } else { thread }
                        );
                    }
                }
            });
        }
    });
    assert_eq!(account.used(), 0);
    assert!(account.figures().peak <= 64);
}
