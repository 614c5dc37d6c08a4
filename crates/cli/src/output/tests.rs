//! What a table does with texts that would steer a terminal.

use super::harmless;

#[test]
fn data_does_not_steer_the_terminal() {
    assert_eq!(
        harmless("a \u{1b}[31mred\u{9b}1m\ttab\rback\u{7f}".to_owned()),
        "a \\u{1b}[31mred\\u{9b}1m\\ttab\\rback\\u{7f}"
    );
    assert_eq!(harmless("zwei\nZeilen, \u{fc}ber Stra\u{df}en".to_owned()), "zwei\nZeilen, über Straßen");
}
