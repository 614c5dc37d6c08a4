//! Allowances: in steps while there is plenty, to the byte when there is not.

use proptest::prelude::*;

use super::*;

#[test]
fn small_amounts_are_reserved_in_steps_and_the_last_bytes_one_by_one() {
    let account = Account::new("queries", 3 * STEP_BYTES + 10, 0);
    let mut one = Allowance::new(&account);
    one.hold(1).unwrap();
    assert_eq!(account.used(), STEP_BYTES);
    one.hold(STEP_BYTES).unwrap();
    assert_eq!(account.used(), STEP_BYTES);
    one.hold(3 * STEP_BYTES + 5).unwrap();
    assert_eq!(account.used(), 3 * STEP_BYTES + 5);
    assert!(one.hold(3 * STEP_BYTES + 11).is_err());
    assert_eq!(one.held(), 3 * STEP_BYTES + 5);
    one.hold(0).unwrap();
    assert!(account.used() <= STEP_BYTES, "what is not held goes back");
    drop(one);
    assert_eq!(account.used(), 0);
}

proptest! {
    #[test]
    fn what_is_held_is_reserved_and_not_much_more(amounts in proptest::collection::vec(0..8 * STEP_BYTES, 0..60)) {
        let account = Account::new("queries", 5 * STEP_BYTES, 0);
        let mut allowance = Allowance::new(&account);
        for bytes in amounts {
            let before = allowance.held();
            match allowance.hold(bytes) {
                Ok(()) => prop_assert_eq!(allowance.held(), bytes),
                Err(_) => {
                    prop_assert!(bytes > account.bytes_max());
                    prop_assert_eq!(allowance.held(), before);
                }
            }
            let reserved = account.used();
            prop_assert!(reserved >= allowance.held() && reserved <= allowance.held() + 2 * STEP_BYTES);
        }
        drop(allowance);
        prop_assert_eq!(account.used(), 0);
    }
}
