//! Bad requests: the documented status and JSON error, nothing else lost, and the node goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::{Node, NodeOptions, Reply};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Checks an error of the 2.x API.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str, message: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.json()["code"], code, "{}", reply.text());
    assert_eq!(reply.header("x-platform-error-code"), Some(code));
    let text = reply.json()["message"].as_str().expect("a message").to_owned();
    assert!(text.contains(message), "{text:?} does not hold {message:?}");
}

#[test]
fn wrong_writes_say_what_is_wrong() {
    let node = Node::start_set_up();
    let write = |query: &str, body: &str| {
        node.post(&format!("/api/v2/write?{query}")).token(node.token()).body(body).send()
    };
    refused(
        &write("org=acme&bucket=metrics", "m v="),
        400,
        "invalid",
        "unable to parse 'm v=': missing field value",
    );
    refused(&write("org=acme&bucket=nowhere", "m v=1"), 404, "not found", "bucket \"nowhere\" not found");
    refused(&write("org=nobody&bucket=metrics", "m v=1"), 404, "not found", "organization");
    refused(
        &write("org=acme&bucket=metrics&precision=h", "m v=1"),
        400,
        "invalid",
        "invalid precision; valid precision units are ns, us, ms, and s",
    );
    let stranger = node.post("/api/v2/write?org=acme&bucket=metrics").token("wrong").body("m v=1").send();
    refused(&stranger, 401, "unauthorized", "unauthorized access");

    // One bad line: nothing of a 2.x batch is written, the good lines of a 1.x batch are.
    refused(
        &write("org=acme&bucket=metrics", "two v=1 1\ntwo v= 2"),
        400,
        "invalid",
        "unable to parse 'two v= 2'",
    );
    assert!(node.influxql("metrics", "SELECT v FROM two").json()["results"][0]["series"].is_null());
    let old =
        node.post("/write?db=metrics").token(node.token()).body("one v=1 1\none v= 2\none v=3 3").send();
    assert_eq!(old.status, 400);
    assert!(
        old.json()["error"].as_str().is_some_and(|e| e.contains("partial write: unable to parse 'one v= 2'"))
    );
    let rows = node.influxql("metrics", "SELECT v FROM one").json();
    assert_eq!(rows["results"][0]["series"][0]["values"].to_string(), "[[1,1],[3,3]]");

    // A conflict of types: the rest is written.
    write("org=acme&bucket=metrics", "t f=1 1").expect_status(204);
    refused(
        &write("org=acme&bucket=metrics", "t f=\"x\" 2\nt f=3 3"),
        422,
        "unprocessable entity",
        "failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \
         \"t\" is type string, already exists as type float dropped=1",
    );
    let rows = node.influxql("metrics", "SELECT f FROM t").json();
    assert_eq!(rows["results"][0]["series"][0]["values"].to_string(), "[[1,1],[3,3]]");
    let old = node.post("/write?db=metrics").token(node.token()).body("t f=true 4").send().expect_status(400);
    assert_eq!(
        old.json()["error"],
        "partial write: field type conflict: input field \"f\" on measurement \"t\" is type boolean, already exists \
         as type float dropped=1"
    );
    let unknown = node.post("/write?db=nowhere").token(node.token()).body("m v=1").send().expect_status(404);
    assert!(unknown.text().contains("nowhere"), "{}", unknown.text());
    let none = node.post("/write").token(node.token()).body("m v=1").send().expect_status(400);
    assert!(none.text().contains("database is required"), "{}", none.text());
}

#[test]
fn sizes_have_limits_with_names() {
    let args = [
        "--max-body-size",
        "1MiB",
        "--max-decompressed-size",
        "4MiB",
        "--max-line-size",
        "64KiB",
        "--max-string-field-size",
        "1KiB",
    ];
    let mut node =
        Node::start(NodeOptions { args: args.map(String::from).to_vec(), ..NodeOptions::default() });
    node.set_up();
    let large = "m v=1\n".repeat(300_000);
    refused(&node.write("metrics", large), 413, "request too large", "1048576");
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let zipped = |body: Vec<u8>| {
        node.post("/api/v2/write?org=acme&bucket=metrics")
            .token(node.token())
            .header("Content-Encoding", "gzip")
            .body(body)
            .send()
    };
    refused(&zipped(bomb), 413, "request too large", "4194304");
    refused(&zipped(b"this is no gzip".to_vec()), 400, "invalid", "gzip");
    let mut cut = gzip("m v=1 1\n".repeat(10_000).as_bytes());
    cut.truncate(cut.len() / 2);
    refused(&zipped(cut), 400, "invalid", "gzip");
    zipped(gzip(b"fine v=1 1")).expect_status(204);

    let long = format!("m,tag={} v=1", "x".repeat(70_000));
    let reply = node.write("metrics", long);
    assert!(reply.status == 400 && reply.text().len() < 8192, "{} {}", reply.status, reply.text());
    refused(&node.write("metrics", format!("m v=\"{}\"", "x".repeat(2000))), 400, "invalid", "1024");
    // The chunked form of a body that is too large is cut off as well.
    let mut stream = TcpStream::connect(node.url().trim_start_matches("http://")).expect("a connection");
    let head = format!(
        "POST /api/v2/write?org=acme&bucket=metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        node.token()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "m v=1\n".repeat(10_000));
    let mut answer = String::new();
    for _ in 0..200 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    // The node may close before everything was sent; then the answer can be lost with the connection.
    match stream.read_to_string(&mut answer) {
        Ok(_) => assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_eq!(node.get("/health").send().status, 200);
}

#[test]
fn malformed_http_does_not_harm() {
    let node = Node::start_set_up();
    let address = node.url().trim_start_matches("http://").to_owned();
    let long_header = format!("GET /ping HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(2 << 20));
    let cases: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /write HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: banana\r\n\r\n",
        b"POST /api/v2/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        long_header.as_bytes(),
    ];
    for case in cases {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        // Closing while the node still answers is part of the test.
        if stream.write_all(case).is_ok() && stream.shutdown(std::net::Shutdown::Write).is_ok() {
            let mut answer = Vec::new();
            if stream.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 2") {
                panic!(
                    "{:?} was answered with success",
                    String::from_utf8_lossy(&case[..case.len().min(80)])
                );
            }
        }
        assert_eq!(node.get("/health").send().status, 200);
    }
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn wrong_queries_say_where() {
    let node = Node::start_set_up();
    let flux = |script: &str| node.flux(script);
    refused(&flux("from(bucket: \"metrics\""), 400, "invalid", "error @1:");
    refused(&flux("x = 1\nfrom(bucket: \"metrics\") |> rang(start: -1h)"), 400, "invalid", "error @2:");
    refused(&flux("from(bucket: \"nowhere\") |> range(start: -1h)"), 404, "not found", "nowhere");
    refused(&flux("from(bucket: \"metrics\") |> count()"), 400, "invalid", "unbounded");
    refused(&flux(&"(".repeat(100_000)), 400, "invalid", "error @");
    let bad_json =
        node.post("/api/v2/query?org=acme").token(node.token()).header("Content-Type", "application/json");
    refused(&bad_json.body("{\"query\": ").send(), 400, "invalid", "");
    let influxql = node.influxql("metrics", "SELECT FROM cpu").expect_status(400);
    assert_eq!(
        influxql.json()["error"],
        "error parsing query: found FROM, expected identifier, string, number, bool at line 1, char 8"
    );
    let missing = node.get("/query").token(node.token()).send().expect_status(400);
    assert_eq!(missing.json()["error"], "missing required parameter \"q\"");
    let unknown = node.get("/api/v2/nothing").token(node.token()).send();
    refused(&unknown, 404, "not found", "path not found");
    let method =
        testkit::Request::new("PUT", format!("{}/api/v2/write", node.url())).token(node.token()).send();
    assert_eq!(method.status, 405);
}
