//! No password is left, and nothing else is lost that need not be.

use super::redact;
use crate::params::Param;

#[track_caller]
fn check(text: &str, expected: &str) {
    let params = [("p".to_owned(), Param::String("bound".to_owned()))];
    assert_eq!(redact(text, &params), expected);
}

#[test]
fn passwords_are_redacted_wherever_a_statement_has_them() {
    check("CREATE USER x WITH PASSWORD 'secret'", "CREATE USER x WITH PASSWORD [REDACTED]");
    check("CREATE USER x WITH PASSWORD $p", "CREATE USER x WITH PASSWORD [REDACTED]");
    check(
        "create user x with password 'it\\'s; a \\\\' with all privileges; SHOW USERS",
        "CREATE USER x WITH PASSWORD [REDACTED] WITH ALL PRIVILEGES; SHOW USERS",
    );
    check(
        "-- the password's\nSELECT /it's/ FROM m; SET PASSWORD FOR \"a'b\" /* ' */ = 'secret'",
        "SELECT /it's/ FROM m; SET PASSWORD FOR \"a'b\" = [REDACTED]",
    );
}

#[test]
fn what_has_no_password_stays() {
    for text in ["SELECT f FROM m WHERE host = 'a'", "", "it's", "SELECT \"password\" FROM m WHERE h = 'x'"] {
        check(text, text);
    }
}

#[test]
fn what_does_not_parse_tells_nothing() {
    check("CREATE USER x WITH PASSWORD 'secret", "CREATE USER x WITH PASSWORD [REDACTED]");
    check("SET PASSWORD FOR x 'secret'", "SET PASSWORD [REDACTED]");
    check("SELECT 'ü', password ü 'x'", "SELECT 'ü', password [REDACTED]");
}
