//! SQL over HTTP: what reaches the port, and the forms of answers and errors.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use http::Method;
use serde_json::json;

use super::support::Server;
use crate::ports::{QueryError, SqlRequest};

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("host", Arc::new(StringArray::from(vec![Some("a"), None])), true),
        ("n", Arc::new(Int64Array::from(vec![1, 2])), true),
        ("u", Arc::new(Float64Array::from(vec![Some(1.5), None])), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

/// A port that answers the batch so many times.
fn script(server: &Server, times: usize) {
    server.query.on_sql(move |_, sink| {
        let empty = RecordBatch::new_empty(batch().schema());
        let all = std::iter::once(empty).chain(std::iter::repeat_n(batch(), times));
        all.into_iter().try_for_each(sink).map_err(|_closed| QueryError::Cancelled)
    });
}

fn seen(server: &Server) -> SqlRequest {
    server.query.sql_seen.lock().pop().expect("the port was asked")
}

const URI: &str = "/api/v3/query_sql?db=d&q=SELECT+1";

#[tokio::test]
async fn answers_have_the_form_that_is_asked_for() {
    let server = Server::new().await;
    script(&server, 1);
    let json = r#"[{"host":"a","n":1,"u":1.5},{"n":2}]"#;
    let lines = "{\"host\":\"a\",\"n\":1,\"u\":1.5}\n{\"n\":2}\n";
    let drawn = "+------+---+-----+\n| host | n | u   |\n+------+---+-----+\n| a    | 1 | 1.5 |\n|      | 2 |     |\n+------+---+-----+\n";
    for (format, content_type, text) in [
        ("json", "application/json", json),
        ("jsonl", "application/jsonl", lines),
        ("csv", "text/csv; charset=utf-8", "host,n,u\na,1,1.5\n,2,\n"),
        ("pretty", "text/plain; charset=utf-8", drawn),
    ] {
        let answer = server.get(&format!("{URI}&format={format}")).await;
        assert_eq!(answer.pair(), (200, text));
        assert_eq!(answer.header("content-type"), content_type);
        // Where the format is not named, what the client accepts decides.
        let accept = content_type.split(';').next().unwrap_or_default();
        let request = server.ask(Method::GET, URI).header("accept", accept).body(axum::body::Body::empty());
        assert_eq!(server.send(request.expect("a request")).await.text(), text, "{accept}");
    }
    assert_eq!(server.get(URI).await.text(), json, "JSON where nothing is said");
    script(&server, 0);
    for (format, text) in [("json", "[]"), ("jsonl", ""), ("csv", "host,n,u\n")] {
        assert_eq!(server.get(&format!("{URI}&format={format}")).await.pair(), (200, text));
    }
}

#[tokio::test]
async fn the_request_reaches_the_port() {
    let server = Server::new().await;
    script(&server, 0);
    server.get(&format!("{URI}&params=%7B%22a%22%3A1%7D")).await;
    let request = seen(&server);
    assert_eq!((request.query.as_str(), request.database.as_str()), ("SELECT 1", "d"));
    let params = request.params.expect("parameters");
    assert_eq!((params.num_rows(), params.schema().field(0).name().as_str()), (1, "a"));
    let body = json!({"db": "e", "q": "SELECT 2", "params": {"b": "x", "c": null, "d": 1.5, "e": true}});
    server.json(Method::POST, "/api/v3/query_sql?db=d", &body).await;
    let request = seen(&server);
    assert_eq!((request.query.as_str(), request.database.as_str()), ("SELECT 2", "e"), "the body goes first");
    assert_eq!(request.params.expect("parameters").num_columns(), 4);
    let body = json!({"type": "sql", "bucket": "d", "query": "SELECT 3", "params": {"a": 1}});
    server.json(Method::POST, "/api/v2/query?org=acme", &body).await;
    let request = seen(&server);
    assert_eq!((request.query.as_str(), request.database.as_str()), ("SELECT 3", "d"));
    assert_eq!(request.params.expect("parameters").num_columns(), 1);
}

#[tokio::test]
async fn annotated_csv_has_one_table() {
    let server = Server::new().await;
    let body = json!({
        "type": "sql", "bucket": "d", "query": "SELECT 1",
        "dialect": {"annotations": ["datatype"], "header": true},
    });
    script(&server, 2);
    let answer = server.json(Method::POST, "/api/v2/query?org=acme", &body).await;
    let rows = ",,0,a,1,1.5\r\n,,0,,2,\r\n";
    let head = "#datatype,string,long,string,long,double\r\n,result,table,host,n,u\r\n";
    let rows = rows.replace(",,0,", ",_result,0,");
    assert_eq!(answer.pair(), (200, format!("{head}{rows}{rows}\r\n").as_str()));
    script(&server, 0);
    let answer = server.json(Method::POST, "/api/v2/query?org=acme", &body).await;
    assert_eq!(answer.pair(), (200, format!("{head}\r\n").as_str()), "columns of no rows");
}

#[tokio::test]
async fn mistakes_are_told() {
    let server = Server::new().await;
    script(&server, 0);
    for (uri, message) in [
        ("/api/v3/query_sql?q=SELECT+1", "missing required parameter \"db\""),
        ("/api/v3/query_sql?db=d", "missing required parameter \"q\""),
        ("/api/v3/query_sql?db=d&q=+", "missing required parameter \"q\""),
        (
            "/api/v3/query_sql?db=d&q=x&format=xml",
            "unknown format \"xml\"; there are json, jsonl, csv, parquet and pretty",
        ),
        (
            "/api/v3/query_sql?db=d&q=x&params=%5B%5D",
            "params is no JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (
            "/api/v3/query_sql?db=d&q=x&params=%7B%22a%22%3A%5B%5D%7D",
            "parameter \"a\": [] is not a plain value",
        ),
    ] {
        server.get(uri).await.is_v1(400, message);
    }
    let answer = server.post("/api/v3/query_sql", "{").await;
    assert_eq!(answer.pair().0, 400);
    assert!(answer.text().contains("the body is no JSON that fits"), "{}", answer.text());
    let body = json!({"type": "sql", "query": "SELECT 1"});
    let answer = server.json(Method::POST, "/api/v2/query?org=acme", &body).await;
    answer.is_v2(400, "invalid", "SQL needs a \"bucket\", in the body or in the URL");
    for (error, status) in [
        (QueryError::Invalid("no".to_owned()), 400),
        (QueryError::NotFound("no".to_owned()), 404),
        (QueryError::Forbidden("no".to_owned()), 403),
    ] {
        server.query.on_sql(move |_, _| Err(error.clone()));
        server.get(URI).await.is_v1(status, "no");
    }
}
