//! InfluxQL queries: parameters in; JSON, chunks and CSV out.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::Method;
use model::{Column, ColumnType, FieldType, FieldValue, Frame, FrameColumn, FrameValues, Values};

use super::support::{Answer, InfluxqlSink, Server};
use crate::ports::{InfluxqlItem, InfluxqlParam, InfluxqlSeries, QueryError};

fn column(name: &str, values: FrameValues) -> FrameColumn {
    FrameColumn { name: name.into(), group: false, values }
}

/// A series of times and floats, with a tag.
fn series(host: &str, times: &[i64]) -> InfluxqlSeries {
    let mut floats = Column::empty(ColumnType::Field(FieldType::Float));
    for (i, time) in times.iter().enumerate() {
        if i == 1 {
            floats.push_null();
        } else {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            floats.push(&FieldValue::Float(*time as f64 / 2.0));
        }
    }
    let frame = Frame {
        columns: vec![
            column("time", FrameValues::Column(Column::new(Values::Time(times.to_vec())))),
            column("mean", FrameValues::Column(floats)),
        ],
        rows: times.len(),
    };
    let tags = vec![("host".into(), host.into())];
    InfluxqlSeries { name: "cpu".into(), tags, frame, zone: None, is_whole: false }
}

fn send(sink: InfluxqlSink<'_>, items: impl IntoIterator<Item = InfluxqlItem>) -> Result<(), QueryError> {
    items.into_iter().try_for_each(sink).map_err(|_closed| QueryError::Cancelled)
}

fn script(server: &Server, items: &[InfluxqlItem]) {
    let items = items.to_vec();
    server.query.on_influxql(move |_, sink| send(sink, items.clone()));
}

async fn accept(server: &Server, uri: &str, accept: &str) -> Answer {
    server.send(server.ask(Method::GET, uri).header("accept", accept).body(Body::empty()).unwrap()).await
}

use InfluxqlItem::{Error, Series, Statement, Warning};

#[tokio::test]
async fn results_as_one_document() {
    let server = Server::new().await;
    script(
        &server,
        &[
            Statement(0),
            Series(series("a", &[0, 1_500_000_000])),
            Series(series("b", &[1])),
            Warning("careful".into()),
            Statement(1),
            Statement(2),
            Error("database name required".into()),
        ],
    );
    let answer = server.get("/query?q=x").await;
    let text = concat!(
        r#"{"results":[{"statement_id":0,"series":["#,
        r#"{"name":"cpu","tags":{"host":"a"},"columns":["time","mean"],"#,
        r#""values":[["1970-01-01T00:00:00Z",0],["1970-01-01T00:00:01.5Z",null]]},"#,
        r#"{"name":"cpu","tags":{"host":"b"},"columns":["time","mean"],"#,
        r#""values":[["1970-01-01T00:00:00.000000001Z",0.5]]}],"#,
        r#""messages":[{"level":"warning","text":"careful"}]},"#,
        r#"{"statement_id":1},{"statement_id":2,"error":"database name required"}]}"#,
        "\n"
    );
    assert_eq!(answer.pair(), (200, text));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn times_in_every_epoch() {
    let server = Server::new().await;
    script(&server, &[Statement(0), Series(series("a", &[7_200_000_000_123]))]);
    for (epoch, expected) in [
        ("ns", "7200000000123"),
        ("n", "7200000000123"),
        ("u", "7200000000"),
        ("%C2%B5", "7200000000"),
        ("ms", "7200000"),
        ("s", "7200"),
        ("m", "120"),
        ("h", "2"),
    ] {
        let answer = server.get(&format!("/query?q=x&epoch={epoch}")).await.json();
        assert_eq!(answer["results"][0]["series"][0]["values"][0][0].to_string(), expected, "{epoch}");
    }
}

#[tokio::test]
async fn pretty_is_indented_by_four() {
    let server = Server::new().await;
    script(&server, &[Statement(0), Series(series("a", &[2]))]);
    let expected = r#"{
    "results": [
        {
            "statement_id": 0,
            "series": [
                {
                    "name": "cpu",
                    "tags": {
                        "host": "a"
                    },
                    "columns": [
                        "time",
                        "mean"
                    ],
                    "values": [
                        [
                            2,
                            1
                        ]
                    ]
                }
            ]
        }
    ]
}
"#;
    assert_eq!(server.get("/query?q=x&pretty=true&epoch=ns").await.text(), expected);
}

#[tokio::test]
async fn chunks_are_documents_that_say_what_follows() {
    let server = Server::new().await;
    let items = [
        Statement(0),
        Series(series("a", &[0, 1, 2, 3, 4])),
        Series(series("b", &[5])),
        Statement(1),
        Statement(2),
        Error("no".into()),
    ];
    script(&server, &items);
    let answer = server.get("/query?q=x&chunked=true&chunk_size=2&epoch=ns").await;
    let head =
        |host: &str| format!(r#"{{"name":"cpu","tags":{{"host":"{host}"}},"columns":["time","mean"],"#);
    let (a, b) = (head("a"), head("b"));
    let lines = [
        format!(
            r#"{{"results":[{{"statement_id":0,"series":[{a}"values":[[0,0],[1,null]],"partial":true}}],"partial":true}}]}}"#
        ),
        format!(
            r#"{{"results":[{{"statement_id":0,"series":[{a}"values":[[2,1],[3,1.5]],"partial":true}}],"partial":true}}]}}"#
        ),
        format!(r#"{{"results":[{{"statement_id":0,"series":[{a}"values":[[4,2]]}}],"partial":true}}]}}"#),
        format!(r#"{{"results":[{{"statement_id":0,"series":[{b}"values":[[5,2.5]]}}]}}]}}"#),
        r#"{"results":[{"statement_id":1}]}"#.to_owned(),
        r#"{"results":[{"statement_id":2,"error":"no"}]}"#.to_owned(),
    ];
    assert_eq!(answer.text().lines().collect::<Vec<_>>(), lines);
    assert!(answer.text().ends_with('\n'));
}

#[tokio::test]
async fn lists_of_names_are_not_cut() {
    let server = Server::new().await;
    let whole = |host, times: &[i64]| Series(InfluxqlSeries { is_whole: true, ..series(host, times) });
    script(&server, &[Statement(0), whole("a", &[0, 1, 2]), whole("b", &[3])]);
    let answer = server.get("/query?q=x&chunked=true&chunk_size=2&epoch=ns").await;
    assert_eq!(answer.text().lines().count(), 2, "{}", answer.text());
    assert!(!answer.text().contains("partial"), "{}", answer.text());
}

#[tokio::test]
async fn a_series_in_pieces_is_one_series() {
    let server = Server::new().await;
    script(&server, &[Statement(0), Series(series("a", &[0])), Series(series("a", &[1]))]);
    let whole = server.get("/query?q=x&epoch=ns").await.json();
    assert_eq!(whole["results"][0]["series"].as_array().unwrap().len(), 1);
    assert_eq!(whole["results"][0]["series"][0]["values"].as_array().unwrap().len(), 2);
    let chunks = server.get("/query?q=x&epoch=ns&chunked=true").await;
    assert_eq!(chunks.text().lines().count(), 1);
}

#[tokio::test]
async fn csv_when_asked() {
    let server = Server::new().await;
    let names = Frame {
        columns: vec![column(
            "name",
            FrameValues::Column(Column::new(Values::String(["a,b"].iter().collect()))),
        )],
        rows: 1,
    };
    let names =
        InfluxqlSeries { name: String::new(), tags: Vec::new(), frame: names, zone: None, is_whole: true };
    script(
        &server,
        &[
            Statement(0),
            Series(series("a", &[1_500_000_000, 2_000_000_000])),
            Series(series("b", &[0])),
            Statement(1),
            Series(names),
        ],
    );
    let expected = "name,tags,time,mean\ncpu,host=a,1500000000,750000000\ncpu,host=a,2000000000,\n\
                    cpu,host=b,0,0\n\nname,tags,name\n,,\"a,b\"\n";
    for kind in ["application/csv", "text/csv"] {
        let answer = accept(&server, "/query?q=x", kind).await;
        assert_eq!((answer.text(), answer.header("content-type")), (expected, "text/csv"));
    }
    let seconds = accept(&server, "/query?q=x&epoch=s", "text/csv").await;
    assert!(seconds.text().contains("cpu,host=a,1,"), "{}", seconds.text());
}

#[tokio::test]
async fn tags_in_csv_stand_as_in_line_protocol() {
    let server = Server::new().await;
    let tags = [("h", "a b"), ("k", ""), ("x,y", "1=2")].map(|(key, value)| (key.into(), value.into()));
    script(&server, &[Statement(0), Series(InfluxqlSeries { tags: tags.into(), ..series("", &[0]) })]);
    let answer = accept(&server, "/query?q=x", "text/csv").await;
    assert_eq!(answer.text(), "name,tags,time,mean\ncpu,\"h=a\\ b,x\\,y=1\\=2\",0,0\n");
}

#[tokio::test]
async fn errors_of_the_whole_text_in_csv() {
    let server = Server::new().await;
    server.query.on_influxql(|_, _| Err(QueryError::Invalid("found \"x\", expected SELECT".into())));
    let answer = accept(&server, "/query?q=x", "text/csv").await;
    let expected = "error\n\"error parsing query: found \"\"x\"\", expected SELECT\"\n";
    assert_eq!((answer.status.as_u16(), answer.text()), (400, expected));
    assert_eq!(answer.header("content-type"), "text/csv");
}

#[tokio::test]
async fn parameters_that_name_their_kind() {
    let server = Server::new().await;
    let kinds = [
        (r#"{"identifier":"h"}"#, InfluxqlParam::Identifier("h".into())),
        (r#"{"regex":"a.*"}"#, InfluxqlParam::Regex("a.*".into())),
        (r#"{"string":"a"}"#, InfluxqlParam::String("a".into())),
        (r#"{"integer":3}"#, InfluxqlParam::Integer(3)),
        (r#"{"number":2}"#, InfluxqlParam::Float(2.0)),
        (r#"{"duration":"1m"}"#, InfluxqlParam::Duration("1m".into())),
        (r#"{"duration":60}"#, InfluxqlParam::Duration("60ns".into())),
        (r#"{"regex":1}"#, InfluxqlParam::Unusable("regex literal must be a string value".into())),
        (r#"{"x":1}"#, InfluxqlParam::Unusable("unknown bind object type: x".into())),
        ("{}", InfluxqlParam::Unusable("bound object parameter value must have exactly one entry".into())),
        ("null", InfluxqlParam::Unusable("unable to bind parameter with type <nil>".into())),
        ("[]", InfluxqlParam::Unusable("unable to bind parameter with type []interface {}".into())),
    ];
    for (json, expected) in kinds {
        let params = format!(r#"{{"p":{json}}}"#);
        let encoded: String = params.bytes().map(|byte| format!("%{byte:02X}")).collect();
        server.get(&format!("/query?q=x&params={encoded}")).await;
        let seen = server.query.influxql_seen.lock();
        assert_eq!(seen.last().unwrap().params, [("p".to_owned(), expected)], "{json}");
    }
}

#[tokio::test]
async fn what_a_query_is_told() {
    let server = Server::new().await;
    let params = "%7B%22a%22%3A1%2C%22b%22%3A1.5%2C%22c%22%3A%22x%22%2C%22d%22%3Atrue%7D";
    server.get(&format!("/query?q=SELECT+1&db=d&rp=r&params={params}")).await;
    let form = server
        .ask(Method::POST, "/query?db=url&rp=r")
        .header("content-type", "application/x-www-form-urlencoded");
    server.send(form.body(Body::from("q=SELECT+2&db=form")).unwrap()).await;
    let raw = server.ask(Method::POST, "/query?db=d").header("content-type", "application/vnd.influxql");
    server.send(raw.body(Body::from("SELECT 3")).unwrap()).await;
    let seen = server.query.influxql_seen.lock();
    let first = &seen[0];
    assert_eq!(
        (first.query.as_str(), first.database.as_deref(), first.retention_policy.as_deref()),
        ("SELECT 1", Some("d"), Some("r"))
    );
    let bound = [
        ("a", InfluxqlParam::Integer(1)),
        ("b", InfluxqlParam::Float(1.5)),
        ("c", InfluxqlParam::String("x".into())),
        ("d", InfluxqlParam::Boolean(true)),
    ];
    assert_eq!(first.params, bound.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!((first.read_only, first.may_create, first.org), (true, true, server.org()));
    let second = &seen[1];
    assert_eq!(
        (second.query.as_str(), second.database.as_deref(), second.read_only),
        ("SELECT 2", Some("form"), false)
    );
    assert_eq!((seen[2].query.as_str(), seen[2].database.as_deref()), ("SELECT 3", Some("d")));
}

#[tokio::test]
async fn errors_of_the_whole_text() {
    let server = Server::new().await;
    server.get("/query?db=d").await.is_v1(400, "missing required parameter \"q\"");
    server
        .query
        .on_influxql(|_, _| Err(QueryError::Invalid("found x, expected SELECT at line 1, char 1".into())));
    let message = "error parsing query: found x, expected SELECT at line 1, char 1";
    server.get("/query?q=x").await.is_v1(400, message);
    server.query.on_influxql(|_, _| Err(QueryError::Forbidden("no".into())));
    server.get("/query?q=x").await.is_v1(403, "error authorizing query: no");
    server.query.on_influxql(|_, sink| {
        let many: Vec<i64> = (0..10_000).collect();
        send(sink, [Statement(0), Series(series("a", &many))])?;
        Err(QueryError::LimitReached("memory".into()))
    });
    let late = server.get("/query?q=x").await;
    assert_eq!((late.status.as_u16(), &late.json()["results"][0]["error"]), (200, &"memory".into()));
}

#[tokio::test]
async fn async_queries_answer_at_once() {
    let server = Server::new().await;
    let (told, ran) = std::sync::mpsc::channel();
    server.query.on_influxql(move |_, sink| {
        send(sink, [Statement(0), Series(series("a", &[1]))])?;
        told.send(()).unwrap();
        Ok(())
    });
    assert_eq!(server.post("/query?q=x&async=true", "").await.pair(), (204, ""));
    let wait = tokio::task::spawn_blocking(move || ran.recv_timeout(std::time::Duration::from_secs(30)));
    wait.await.unwrap().expect("it ran to its end");
}

#[tokio::test]
async fn times_are_shown_where_the_query_says() {
    let server = Server::new().await;
    let in_zone = |name: &str, times: &[i64]| {
        let zone = Some(jiff::tz::TimeZone::get(name).unwrap());
        Series(InfluxqlSeries { zone, ..series("a", times) })
    };
    let times = [1_600_000_000_000_000_000, 1_577_836_800_000_000_001];
    script(
        &server,
        &[
            Statement(0),
            in_zone("Europe/Berlin", &times),
            Statement(1),
            in_zone("America/St_Johns", &times[..1]),
            Statement(2),
            in_zone("Europe/London", &times[1..]),
            Statement(3),
            Series(series("a", &times[..1])),
        ],
    );
    let answer = server.get("/query?q=x").await.json();
    let shown = |statement: usize, row: usize| {
        answer["results"][statement]["series"][0]["values"][row][0].as_str().unwrap().to_owned()
    };
    assert_eq!(shown(0, 0), "2020-09-13T14:26:40+02:00");
    assert_eq!(shown(0, 1), "2020-01-01T01:00:00.000000001+01:00");
    assert_eq!(shown(1, 0), "2020-09-13T09:56:40-02:30");
    assert_eq!(shown(2, 0), "2020-01-01T00:00:00.000000001Z");
    assert_eq!(shown(3, 0), "2020-09-13T12:26:40Z");
    let epoch = server.get("/query?q=x&epoch=s").await.json();
    assert_eq!(epoch["results"][0]["series"][0]["values"][0][0], 1_600_000_000);
}

#[tokio::test]
async fn a_text_without_statements_has_no_results() {
    let server = Server::new().await;
    script(&server, &[]);
    assert_eq!(server.get("/query?q=;").await.pair(), (200, "{}\n"));
    assert_eq!(server.get("/query?q=%3B&chunked=true").await.pair(), (200, ""));
}

#[tokio::test]
async fn errors_of_the_whole_text_look_like_go_wrote_them() {
    let server = Server::new().await;
    server.query.on_influxql(|_, _| Err(QueryError::Invalid("found <, expected & at line 1".into())));
    let plain = server.get("/query?q=x").await;
    let text = "error parsing query: found \\u003c, expected \\u0026 at line 1";
    assert_eq!(plain.pair(), (400, format!("{{\"error\":\"{text}\"}}\n").as_str()));
    let pretty = server.get("/query?q=x&pretty=true").await;
    assert_eq!(pretty.pair(), (400, format!("{{\n    \"error\": \"{text}\"\n}}\n").as_str()));
}

/// Posts a form with these parts, each the rest of a Content-Disposition and a value.
async fn post_form(server: &Server, uri: &str, parts: &[(&str, &str)]) -> Answer {
    let mut body = String::new();
    for (disposition, value) in parts {
        body += &format!("--frontier\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n");
    }
    body += "--frontier--\r\n";
    let request =
        server.ask(Method::POST, uri).header("content-type", "multipart/form-data; boundary=frontier");
    server.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn multipart_forms_are_read() {
    let server = Server::new().await;
    server.query.on_influxql(|request, sink| {
        let text = format!("{} in {:?}", request.query, request.database);
        send(sink, [Statement(0), Error(text)])
    });
    let said = |answer: &Answer| answer.json()["results"][0]["error"].as_str().map(str::to_owned);
    let field = post_form(&server, "/query?db=d", &[("name=\"q\"", "show databases")]).await;
    assert_eq!(said(&field).as_deref(), Some("show databases in Some(\"d\")"));
    let file = [("name=\"db\"", "e"), ("name=\"q\"; filename=\"q.txt\"", "show series")];
    let file = post_form(&server, "/query", &file).await;
    assert_eq!(said(&file).as_deref(), Some("show series in Some(\"e\")"));
    let both = [("name=\"q\"; filename=\"q.txt\"", "from file"), ("name=\"q\"", "from field")];
    assert_eq!(said(&post_form(&server, "/query", &both).await).as_deref(), Some("from field in None"));
    assert_eq!(said(&post_form(&server, "/query?q=url", &both).await).as_deref(), Some("url in None"));
    assert_eq!(post_form(&server, "/query", &[]).await.status, 400);
    let broken = server.ask(Method::POST, "/query").header("content-type", "multipart/form-data; boundary=x");
    let broken = server.send(broken.body(Body::from("--x\r\nnonsense")).unwrap()).await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    let many: Vec<_> = (0..5000).map(|_| ("name=\"a\"", "1")).collect();
    let many = post_form(&server, "/query", &many).await;
    assert!(many.status == 400 && many.text().contains("params-max"), "{}", many.text());
}

/// What InfluxDB 1.6.7 answers for the same items.
#[tokio::test]
async fn results_in_message_pack() {
    let hex = |body: &[u8]| body.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let server = Server::new().await;
    let pack = "application/x-msgpack";
    script(&server, &[Statement(0), Series(series("a", &[1_000_000_000, -5_000_000_001]))]);
    let answer = accept(&server, "/query?q=x", pack).await;
    assert_eq!((answer.status, answer.header("content-type")), (http::StatusCode::OK, pack));
    let head = "81a7726573756c74739182ac73746174656d656e745f696400a673657269657391";
    let names =
        "a46e616d65a3637075a47461677381a4686f7374a161a7636f6c756d6e7392a474696d65a46d65616ea676616c756573";
    let rows = "9292c70c05000000000000000100000000cb41bdcd650000000092c70c05fffffffffffffffa3b9ac9ffc0";
    assert_eq!(hex(&answer.body), format!("{head}84{names}{rows}"));

    let answer = accept(&server, "/query?q=x&epoch=s&chunked=true&chunk_size=1", pack).await;
    let head = "81a7726573756c74739183ac73746174656d656e745f696400a673657269657391";
    let first = format!("{head}85{names}919201cb41bdcd6500000000a77061727469616cc3a77061727469616cc3");
    let head = "81a7726573756c74739182ac73746174656d656e745f696400a673657269657391";
    assert_eq!(hex(&answer.body), format!("{first}{head}84{names}9192fbc0"));

    script(&server, &[Statement(0), Warning("w".into()), Statement(1), Error("bad".into())]);
    let answer = accept(&server, "/query?q=x", pack).await;
    let warned = "83ac73746174656d656e745f696400a86d657373616765739182a56c6576656ca77761726e696e67a474657874a177a673657269657390";
    assert_eq!(hex(&answer.body), format!("81a7726573756c747392{warned}81a56572726f72a3626164"));

    script(&server, &[]);
    assert_eq!(hex(&accept(&server, "/query?q=%3B", pack).await.body), "81a7726573756c747390");
    assert_eq!(hex(&accept(&server, "/query?q=%3B&chunked=true", pack).await.body), "");
    let refused = accept(&server, "/query", pack).await;
    assert_eq!((refused.status, refused.header("content-type")), (http::StatusCode::BAD_REQUEST, pack));
    let missing = "81a56572726f72be6d697373696e6720726571756972656420706172616d6574657220227122";
    assert_eq!(hex(&refused.body), missing);
}

#[tokio::test]
async fn a_document_of_message_pack_has_a_limit_and_chunks_have_it_each() {
    let server = Server::new().await;
    let large = "x".repeat(1 << 20);
    server.query.on_influxql(move |_, sink| {
        let rows = (0..80).map(|n| Series(series(&format!("{n}{large}"), &[n])));
        send(sink, std::iter::once(Statement(0)).chain(rows))
    });
    let refused = accept(&server, "/query?q=x", "application/x-msgpack").await;
    assert_eq!(refused.status, http::StatusCode::BAD_REQUEST);
    assert!(refused.header("x-influxdb-error").contains("max-msgpack-size"), "{:?}", refused.headers);
    let whole = accept(&server, "/query?q=x&chunked=true", "application/x-msgpack").await;
    assert_eq!(whole.status, http::StatusCode::OK);
    assert!(whole.body.len() > 80 << 20);
}

#[tokio::test]
async fn a_query_that_is_ended_while_its_answer_is_sent_says_so_in_a_document() {
    let server = Server::new().await;
    for (path, sent) in
        [("/query?q=x&chunked=true", 2), ("/query?q=x&chunked=true&chunk_size=2", 3), ("/query?q=x", 1)]
    {
        server.query.on_influxql(move |request, sink| {
            let times: Vec<i64> = (0..20_000).collect();
            send(sink, [Statement(0), Series(series("a", &times)), Series(series("b", &times))])?;
            request.cancel.cancel();
            let refused = send(sink, [Series(series("c", &times)), Series(series("d", &times))]);
            assert!(refused.is_err());
            Err(QueryError::LimitReached("query interrupted".to_owned()))
        });
        let answer = server.get(path).await;
        let text = answer.text();
        let documents: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a document")).collect();
        assert!(documents.len() >= sent, "{path}: {}", documents.len());
        let last = &documents[documents.len() - 1]["results"][0];
        assert_eq!(
            (&last["statement_id"], &last["error"]),
            (&0.into(), &"query interrupted".into()),
            "{path}"
        );
    }
}

/// Asks with and without gzip, and answers what came.
async fn both(server: &Server, uri: &str) -> [(u16, Vec<u8>, String); 2] {
    let mut answers = Vec::new();
    for encoding in ["identity", "gzip"] {
        let asked = server.ask(Method::GET, uri).header("accept-encoding", encoding);
        let answer = server.send(asked.body(Body::empty()).unwrap()).await;
        let encoding = answer.header("content-encoding").to_owned();
        answers.push((answer.status.as_u16(), answer.body, encoding));
    }
    answers.try_into().unwrap()
}

#[tokio::test]
async fn a_kept_answer_is_what_was_sent() {
    let server = Server::new().await;
    server.query.keeps.store(true, Ordering::Relaxed);
    let times: Vec<i64> = (0..5_000).collect();
    for (uri, rows) in [("/query?q=small", 3), ("/query?q=more", 5_000), ("/query?q=x&chunked=true", 3)] {
        script(&server, &[Statement(0), Series(series("a", &times[..rows]))]);
        let computed = both(&server, uri).await;
        let asked = server.query.influxql_seen.lock().len();
        assert_eq!(both(&server, uri).await, computed);
        assert_eq!(server.query.influxql_seen.lock().len(), asked, "{uri}: nothing was computed again");
    }
    // One that is larger than what is kept is computed.
    let many: Vec<InfluxqlItem> = (0..10).map(|_| Series(series("a", &times))).collect();
    script(&server, &[vec![Statement(0)], many].concat());
    let computed = both(&server, "/query?q=large").await;
    let asked = server.query.influxql_seen.lock().len();
    assert_eq!(both(&server, "/query?q=large").await[0], computed[0]);
    assert!(server.query.influxql_seen.lock().len() > asked);
}

#[tokio::test]
async fn what_is_asked_otherwise_is_another_question() {
    let server = Server::new().await;
    server.query.keeps.store(true, Ordering::Relaxed);
    script(&server, &[Statement(0), Series(series("a", &[1]))]);
    for uri in [
        "/query?q=x",
        "/query?q=x&db=d",
        "/query?q=x&db=d&rp=r",
        "/query?q=x&epoch=s",
        "/query?q=x&pretty=true",
        "/query?q=x&chunked=true",
        "/query?q=x&chunked=true&chunk_size=1",
        "/query?q=x&params=%7B%22a%22%3A1%7D",
        "/query?q=y",
    ] {
        let before = server.query.influxql_seen.lock().len();
        server.get(uri).await;
        assert_eq!(server.query.influxql_seen.lock().len(), before + 1, "{uri}");
    }
    let csv = accept(&server, "/query?q=x", "application/csv").await;
    assert_eq!(csv.header("content-type"), "text/csv");
}
