//! Users and grants of InfluxQL: who is made by a statement has these rights and no others, at every node.

use testkit::node::encode;
use testkit::{Cluster, Node, NodeOptions, Reply, Request, wait_for};

const DONE: &str = r#"{"results":[{"statement_id":0}]}"#;
const ADMIN: Who = ("admin", "correct-horse");
const JANE: Who = ("jane", "password-1");

type Who = (&'static str, &'static str);

fn ask(node: &Node, (user, password): Who, q: &str) -> Reply {
    let path = format!("/query?db=d&u={user}&p={password}&epoch=ns&q={}", encode(q));
    node.post(&path).send()
}

fn text(node: &Node, who: Who, q: &str) -> String {
    ask(node, who, q).text().trim().to_owned()
}

fn failed(reason: &str) -> String {
    format!(r#"{{"results":[{{"statement_id":0,"error":"{reason}"}}]}}"#)
}

fn listed(columns: &str, values: &str) -> String {
    let values = if values.is_empty() { String::new() } else { format!(r#","values":[{values}]"#) };
    format!(r#"{{"results":[{{"statement_id":0,"series":[{{"columns":[{columns}]{values}}}]}}]}}"#)
}

fn grants(values: &str) -> String {
    listed(r#""database","privilege""#, values)
}

fn write(request: Request) -> u16 {
    request.body("m f=1 1\n").send().status
}

/// As recorded from InfluxDB 1.6.7, but for what the differences say.
#[test]
fn statements_answer_as_influxdb_does() {
    let node = Node::start_set_up();
    let admin = |q: &str| text(&node, ADMIN, q);
    let steps: Vec<(&str, String)> = vec![
        ("CREATE DATABASE d", DONE.into()),
        ("CREATE DATABASE e", DONE.into()),
        ("CREATE USER jane WITH PASSWORD 'password-1'", DONE.into()),
        ("CREATE USER jane WITH PASSWORD 'password-1'", DONE.into()),
        ("CREATE USER jane WITH PASSWORD 'password-2'", failed("user already exists")),
        ("CREATE USER jane WITH PASSWORD 'password-1' WITH ALL PRIVILEGES", failed("user already exists")),
        ("CREATE USER \"\" WITH PASSWORD 'password-2'", failed("username required")),
        ("CREATE USER p WITH PASSWORD 'x'", failed("passwords must be between 8 and 72 characters long")),
        ("SHOW GRANTS FOR jane", grants("")),
        ("SHOW GRANTS FOR nobody", failed("user not found")),
        ("GRANT READ ON d TO nobody", failed("user not found")),
        ("GRANT READ ON nodb TO jane", failed("database not found: nodb")),
        ("REVOKE READ ON nodb FROM jane", failed("database not found: nodb")),
        ("REVOKE READ ON d FROM nobody", failed("user not found")),
        ("GRANT READ ON d TO jane", DONE.into()),
        ("SHOW GRANTS FOR jane", grants(r#"["d","READ"]"#)),
        ("GRANT WRITE ON d TO jane", DONE.into()),
        ("SHOW GRANTS FOR jane", grants(r#"["d","WRITE"]"#)),
        ("GRANT ALL ON e TO jane", DONE.into()),
        ("SHOW GRANTS FOR jane", grants(r#"["d","WRITE"],["e","ALL PRIVILEGES"]"#)),
        ("REVOKE READ ON e FROM jane", DONE.into()),
        ("SHOW GRANTS FOR jane", grants(r#"["d","WRITE"],["e","WRITE"]"#)),
        ("DROP DATABASE e", DONE.into()),
        ("SHOW GRANTS FOR jane", grants(r#"["d","WRITE"]"#)),
        ("GRANT ALL PRIVILEGES TO nobody", failed("user not found")),
        ("GRANT ALL PRIVILEGES TO jane", DONE.into()),
        ("SHOW USERS", listed(r#""user","admin""#, r#"["admin",true],["jane",true]"#)),
        ("REVOKE ALL PRIVILEGES FROM jane", DONE.into()),
        ("REVOKE ALL PRIVILEGES FROM admin", failed("the last owner of an organization must stay")),
        ("SHOW USERS", listed(r#""user","admin""#, r#"["admin",true],["jane",false]"#)),
        ("SET PASSWORD FOR nobody = 'password-3'", failed("user not found")),
        ("SET PASSWORD FOR jane = 'password-3'", DONE.into()),
        ("DROP USER nobody", failed("user not found")),
        ("DROP USER admin", failed("the last owner of an organization must stay")),
        ("DROP USER jane", DONE.into()),
        ("DROP USER jane", failed("user not found")),
    ];
    for (statement, expected) in steps {
        assert_eq!(admin(statement), expected, "{statement}");
    }
    for secret in ["password-1", "password-2", "password-3"] {
        assert!(!node.log().contains(secret), "{}", node.log());
    }
}

#[test]
fn a_grant_gives_what_it_says_at_every_node() {
    let cluster = Cluster::start(3, &[]);
    let [a, b, c] = [0, 1, 2].map(|at| cluster.node(at));
    for statement in [
        "CREATE DATABASE d",
        "CREATE DATABASE e",
        "CREATE USER jane WITH PASSWORD 'password-1'",
        "CREATE RETENTION POLICY short ON d DURATION 2h REPLICATION 1",
    ] {
        assert_eq!(text(a, ADMIN, statement), DONE, "{statement}");
    }
    let written = |node: &Node, db: &str| write(node.post(&format!("/write?db={db}&u=jane&p=password-1")));
    // Whoever is known is let in at once, and may do nothing yet.
    for node in [b, c] {
        let shown = text(node, JANE, "SHOW DATABASES");
        let none = r#"{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"]}]}]}"#;
        assert_eq!(shown, none);
        assert_eq!(written(node, "d"), 403);
        let refused = ask(node, JANE, "GRANT ALL ON d TO jane").expect_status(403).text();
        let expected = r#"{"error":"error authorizing query: jane not authorized to execute statement 'GRANT ALL PRIVILEGES ON d TO jane', requires admin privilege"}"#;
        assert_eq!(refused.trim(), expected);
    }
    assert_eq!(text(a, ADMIN, "GRANT WRITE ON d TO jane"), DONE);
    for node in [b, c] {
        // A write that is refused is refused after a barrier.
        assert_eq!(written(node, "d"), 204);
        assert_eq!(written(node, "d&rp=short"), 400, "the point is older than the policy keeps it");
        assert_eq!(written(node, "e"), 403);
        // Nor is it told what there is.
        for statement in ["SELECT f FROM m", "SELECT f FROM d.nope.m", "SELECT f FROM nodb..m", "SHOW SERIES"]
        {
            let refused = ask(node, JANE, statement).expect_status(403).text();
            assert!(refused.contains("requires READ on "), "{refused}");
        }
        assert_eq!(written(node, "e&rp=nope"), 403);
        assert_eq!(written(node, "d&rp=nope"), 404);
        assert!(text(node, JANE, "SHOW DATABASES").contains(r#"[["d"]]"#), "what it may write to");
    }
    // A policy that comes later belongs to the database, too.
    let policy = "CREATE RETENTION POLICY long ON d DURATION INF REPLICATION 1";
    assert_eq!(text(b, ADMIN, policy), DONE);
    assert_eq!(written(c, "d&rp=long"), 204);

    assert_eq!(text(a, ADMIN, "GRANT READ ON d TO jane"), DONE);
    for node in [b, c] {
        wait_for("the grant to be here", || {
            let answer = ask(node, JANE, "SELECT f FROM m").text();
            if answer.contains(r#""values":[[1,1]]"#) { Ok(()) } else { Err(answer) }
        });
        wait_for("the right to write to be gone", || match written(node, "d") {
            403 => Ok(()),
            other => Err(other),
        });
        let basic = node
            .get("/query?db=d&q=SHOW%20MEASUREMENTS")
            .header("Authorization", "Basic amFuZTpwYXNzd29yZC0x");
        assert!(basic.send().expect_status(200).text().contains("[\"m\"]"));
    }
    assert_eq!(text(b, ADMIN, "DROP USER jane"), DONE);
    for node in [a, c] {
        wait_for("the user to be gone", || match ask(node, JANE, "SHOW DATABASES").status {
            401 => Ok(()),
            other => Err(other),
        });
    }
}

#[test]
fn the_first_administrator_of_open_routes_looks_after_the_instance() {
    let args = vec!["--http-auth-enabled=false".to_owned()];
    let node = Node::start(NodeOptions { args, ..NodeOptions::default() });
    let open = |q: &str| node.post(&format!("/query?q={}", encode(q))).send().text().trim().to_owned();
    assert_eq!(open("CREATE USER bob WITH PASSWORD 'password-1'"), failed("create admin user first"));
    assert_eq!(open("CREATE DATABASE d"), DONE);
    assert_eq!(open("CREATE USER ann WITH PASSWORD 'password-1' WITH ALL PRIVILEGES"), DONE);
    assert_eq!(open("CREATE USER bob WITH PASSWORD 'password-2'"), DONE);
    // Who reaches the open routes must not come to be an operator by it.
    let refused =
        failed("insufficient permissions to change ann, who has rights outside of this organization");
    assert_eq!(open("SET PASSWORD FOR ann = 'password-3'"), refused);
    assert_eq!(open("DROP USER ann"), refused);
    assert_eq!(open("SET PASSWORD FOR bob = 'password-3'"), DONE);

    let node = node.start_again(|options| options.args.clear());
    let ann = ("ann", "password-1");
    assert!(text(&node, ann, "SHOW DATABASES").contains(r#"["d"]"#));
    let users = listed(r#""user","admin""#, r#"["ann",true],["bob",false]"#);
    assert_eq!(text(&node, ann, "SHOW USERS"), users);
    let sign_in = node.post("/api/v2/signin").header("Authorization", "Basic YW5uOnBhc3N3b3JkLTE=").send();
    let cookie = sign_in.expect_status(204).header("set-cookie").expect("a session").to_owned();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let status = node.get("/api/v1/cluster/status").header("Cookie", &cookie).send();
    assert_eq!(status.status, 200, "{}", status.text());
}
