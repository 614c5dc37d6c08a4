//! Printing a statement and parsing the print gives the same statement, whatever is in it.

use proptest::prelude::*;

use super::generate::{name, statement};
use crate::{Statement, parse};

/// Parses text that is one statement.
fn one(text: &str) -> Result<Statement, TestCaseError> {
    let parsed = parse(text, &[]).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let [statement] = <[Statement; 1]>::try_from(parsed)
        .map_err(|parsed| TestCaseError::fail(format!("{} statements in {text}", parsed.len())))?;
    Ok(statement)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_printed_parses_to_the_same(statement in statement()) {
        let printed = statement.to_string();
        let again = one(&printed)?;
        prop_assert_eq!(&again, &statement, "{}", printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn several_statements_stay_apart(statements in prop::collection::vec(statement(), 0..4)) {
        let printed: Vec<_> = statements.iter().map(ToString::to_string).collect();
        let printed = printed.join(";\n");
        prop_assert_eq!(parse(&printed, &[]), Ok(statements), "{}", printed);
    }

    #[test]
    fn all_but_the_password_is_printed(user in name(), secret in "[ -~é]{8,16}", admin in any::<bool>(), set in any::<bool>()) {
        let (name, password) = (user.clone(), secret.clone());
        let statement = match set {
            true => Statement::SetPassword { name, password },
            false => Statement::CreateUser { name, password, admin },
        };
        let printed = statement.to_string();
        let (before, after) = printed.rsplit_once("[REDACTED]").unwrap();
        let whole = format!("{before}{}{after}", crate::quote_string(&secret));
        prop_assert_eq!(one(&whole)?, statement);
        prop_assert!(user.contains(&secret) || !crate::redact(&whole, &[]).contains(&crate::quote_string(&secret)));
    }
}

#[test]
fn prints_that_once_meant_something_else() {
    for text in [
        "SELECT v INTO db..m FROM m",
        "SELECT v INTO db..:MEASUREMENT FROM m",
        "SELECT v INTO \"\" FROM m",
        "SELECT 1 / -v FROM m",
        "SELECT a % +\"distinct\"(v) FROM m",
        "SELECT \"my function\"(v) FROM m",
        "CREATE RETENTION POLICY a ON b DURATION INF REPLICATION 1 SHARD DURATION 0s",
    ] {
        assert_eq!(one(text).unwrap().to_string(), text);
    }
}
