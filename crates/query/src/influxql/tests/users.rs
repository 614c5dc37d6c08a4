//! Users and grants: what a statement asks for, who may, and what SHOW answers, as recorded from InfluxDB 1.6.7.

use super::super::Caller;
use super::Fixture;

#[test]
fn statements_say_what_is_to_change() {
    let fixture = Fixture::new("");
    for statement in [
        "CREATE USER bob WITH PASSWORD 'secret-1'",
        "CREATE USER ann WITH PASSWORD 'secret-2' WITH ALL PRIVILEGES",
        "SET PASSWORD FOR bob = 'secret-3'",
        "GRANT READ ON d TO bob",
        "GRANT ALL ON d TO bob",
        "REVOKE WRITE ON d FROM bob",
        "GRANT ALL PRIVILEGES TO bob",
        "REVOKE ALL FROM bob",
        "DROP USER bob",
    ] {
        assert_eq!(fixture.body(statement), r#"{"results":[{"statement_id":0}]}"#, "{statement}");
    }
    let expected = [
        "user bob secret-1 false",
        "user ann secret-2 true",
        "password bob secret-3",
        "GRANT READ ON d TO bob",
        "GRANT ALL PRIVILEGES ON d TO bob",
        "REVOKE WRITE ON d FROM bob",
        "GRANT ALL PRIVILEGES TO bob",
        "REVOKE ALL PRIVILEGES FROM bob",
        "drop user bob",
    ];
    assert_eq!(*fixture.changes.0.lock().unwrap(), expected);
}

#[test]
fn users_and_grants_are_listed() {
    let fixture = Fixture::new("");
    assert_eq!(
        fixture.body("SHOW USERS"),
        r#"{"results":[{"statement_id":0,"series":[{"columns":["user","admin"],"values":[["ann",true],["bob",false]]}]}]}"#
    );
    assert_eq!(
        fixture.body("SHOW GRANTS FOR bob"),
        concat!(
            r#"{"results":[{"statement_id":0,"series":[{"columns":["database","privilege"],"#,
            r#""values":[["a","READ"],["b","WRITE"],["c","ALL PRIVILEGES"]]}]}]}"#
        )
    );
    assert_eq!(
        fixture.body("SHOW GRANTS FOR eve"),
        r#"{"results":[{"statement_id":0,"error":"user not found"}]}"#
    );
}

#[test]
fn who_does_not_look_after_the_organization_is_refused_without_the_password() {
    let mut fixture = Fixture::new("");
    fixture.caller = Caller { name: "jane", is_admin: false, may_create: true };
    for (statement, shown) in [
        ("SHOW USERS", "SHOW USERS"),
        ("SHOW GRANTS FOR jane", "SHOW GRANTS FOR jane"),
        ("CREATE USER x WITH PASSWORD 'secret-4'", "CREATE USER x WITH PASSWORD [REDACTED]"),
        ("SET PASSWORD FOR jane = 'secret-5'", "SET PASSWORD FOR jane = [REDACTED]"),
        ("GRANT ALL PRIVILEGES TO jane", "GRANT ALL PRIVILEGES TO jane"),
        ("REVOKE READ ON d FROM bob", "REVOKE READ ON d FROM bob"),
        ("DROP USER ann", "DROP USER ann"),
        // Nothing of a request runs that holds something forbidden.
        ("CREATE DATABASE e; DROP USER ann", "DROP USER ann"),
    ] {
        let expected =
            format!("jane not authorized to execute statement '{shown}', requires admin privilege");
        assert_eq!(fixture.run(statement).unwrap_err().to_string(), expected);
    }
    assert!(fixture.changes.0.lock().unwrap().is_empty());
}
