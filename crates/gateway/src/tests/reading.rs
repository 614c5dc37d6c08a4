//! How new a client wants what it reads, and what it must see in any case.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use model::{Commits, Consistency, GroupId, PartitionId, Reading};

use super::support::{Answer, Server};
use crate::commit;
use crate::ports::{QueryError, Unavailable};

const FLUX: &str = "/api/v2/query?org=acme";
const INFLUXQL: &str = "/query?db=metrics&q=SELECT+1";
const WRITES: [&str; 3] =
    ["/api/v2/write?org=acme&bucket=metrics", "/write?db=metrics", "/api/v2/delete?org=acme&bucket=metrics"];

fn commits(pairs: &[(u16, u64)]) -> Commits {
    pairs.iter().map(|(partition, index)| (GroupId::Data(PartitionId(*partition)), *index)).collect()
}

/// Sends a script or a statement with more headers.
async fn ask(server: &Server, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = server.ask(Method::POST, uri).header("content-type", "application/vnd.flux");
    for (name, value) in headers {
        ask = ask.header(*name, *value);
    }
    server.send(ask.body(Body::from("x")).unwrap()).await
}

/// What the last query demanded.
fn demanded(server: &Server) -> Reading {
    let flux = server.query.flux_seen.lock().pop().map(|request| request.reading);
    flux.or_else(|| server.query.influxql_seen.lock().pop().map(|request| request.reading)).expect("a query")
}

async fn write(server: &Server, uri: &str, token: Option<&str>) -> Answer {
    let mut ask = server.ask(Method::POST, uri);
    if let Some(token) = token {
        ask = ask.header("x-commit-token", token);
    }
    let body = if uri.contains("delete") {
        r#"{"start":"2020-01-01T00:00:00Z","stop":"2021-01-01T00:00:00Z"}"#
    } else {
        "m v=1"
    };
    server.send(ask.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_query_says_how_new_its_answer_must_be() {
    let server = Server::new().await;
    for uri in [FLUX, INFLUXQL] {
        assert_eq!(ask(&server, uri, &[]).await.status, 200, "{uri}");
        assert_eq!(demanded(&server), Reading::default());
        for (name, meant) in [
            ("leader", Consistency::Leader),
            ("linearizable", Consistency::Linearizable),
            ("bounded(5s)", Consistency::Bounded(Duration::from_secs(5))),
            ("any", Consistency::Any),
        ] {
            assert_eq!(ask(&server, uri, &[("X-Tidemark-Consistency", name)]).await.status, 200, "{uri}");
            assert_eq!(demanded(&server).consistency, meant);
            assert_eq!(ask(&server, &format!("{uri}&consistency={name}"), &[]).await.status, 200, "{uri}");
            assert_eq!(demanded(&server).consistency, meant);
        }
        let both = [("X-Tidemark-Consistency", "any")];
        assert_eq!(ask(&server, &format!("{uri}&consistency=any"), &both).await.status, 200);
        assert_eq!(demanded(&server).consistency, Consistency::Any);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = Server::new().await;
    let foreign = commit::encode(7, &commits(&[(1, 1)]));
    let unknown = "unknown consistency \"eventual\": expected leader, linearizable, bounded(<duration>) such as \
                   bounded(5s), or any";
    let differs = "headers X-Tidemark-Consistency and parameters consistency say different things";
    for (parameter, header, message) in [
        ("", ("x-tidemark-consistency", "eventual"), unknown),
        ("&consistency=eventual", ("x-other", ""), unknown),
        ("&consistency=any", ("x-tidemark-consistency", "leader"), differs),
        ("", ("x-commit-token", "what"), "malformed commit token"),
        ("", ("x-commit-token", ""), "malformed commit token"),
        ("", ("x-commit-token", &foreign), "the commit token is another cluster's"),
    ] {
        let answer = ask(&server, &format!("{FLUX}{parameter}"), &[header]).await;
        answer.is_v2(400, "invalid", message);
        let answer = ask(&server, &format!("{INFLUXQL}{parameter}"), &[header]).await;
        answer.is_v1(400, message);
    }
    for (uri, first) in WRITES.into_iter().zip([false, true, false]) {
        let answer = write(&server, uri, Some("what")).await;
        if first {
            answer.is_v1(400, "malformed commit token");
        } else {
            answer.is_v2(400, "invalid", "malformed commit token");
        }
    }
    assert!(server.query.flux_seen.lock().is_empty() && server.query.influxql_seen.lock().is_empty());
    assert!(server.write.batches.lock().is_empty() && server.write.deletions.lock().is_empty());
}

#[tokio::test]
async fn a_query_sees_the_writes_whose_tokens_it_has() {
    let server = Server::new().await;
    let mut tokens = Vec::new();
    for (uri, partition) in WRITES.into_iter().zip(1..) {
        *server.write.commits.lock() = commits(&[(partition, 10 * u64::from(partition)), (9, 7)]);
        let answer = write(&server, uri, None).await;
        assert_eq!(answer.status, 204, "{uri}: {}", answer.text());
        tokens.push(answer.header("x-commit-token").to_owned());
    }
    for uri in [FLUX, INFLUXQL] {
        // Several headers, or several tokens in one.
        let headers: Vec<_> = tokens.iter().map(|token| ("x-commit-token", token.as_str())).collect();
        assert_eq!(ask(&server, uri, &headers).await.status, 200);
        let all = commits(&[(1, 10), (2, 20), (3, 30), (9, 7)]);
        assert_eq!(demanded(&server).seen, all);
        assert_eq!(ask(&server, uri, &[("x-commit-token", &tokens.join(", "))]).await.status, 200);
        assert_eq!(demanded(&server).seen, all);
    }
    // A write that has a token answers one for both.
    *server.write.commits.lock() = commits(&[(1, 11), (9, 3)]);
    let answer = write(&server, WRITES[0], Some(&tokens[1])).await;
    let token = answer.header("x-commit-token").to_owned();
    assert_eq!(commit::decode(0, &token), Ok(commits(&[(1, 11), (2, 20), (9, 7)])));
    // Where nothing was written there is nothing to wait for.
    *server.write.commits.lock() = Commits::default();
    assert_eq!(write(&server, WRITES[0], None).await.header("x-commit-token"), "");
}

#[tokio::test]
async fn what_cannot_be_as_new_as_demanded_is_asked_for_later() {
    let server = Server::new().await;
    let late = || QueryError::Unavailable(Unavailable::TryLater("group data-1 is behind here".to_owned()));
    server.query.on_flux(move |_, _| Err(late()));
    server.query.on_influxql(move |_, _| Err(late()));
    for uri in [FLUX, INFLUXQL] {
        let answer = ask(&server, uri, &[("x-tidemark-consistency", "linearizable")]).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{uri}");
    }
}
