//! What a node answers before it can serve, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use model::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::support::Server;
use crate::{Drain, Limits, Stage, Vitals, Waiting};

fn vitals(waits: &'static str) -> Vitals {
    Vitals::new(Arc::new(SystemClock::new()), move || Stage::Waiting(waits.to_owned()))
}

/// One request on a connection of its own.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_node_that_cannot_serve_says_why_and_tells_clients_to_come_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let more = |page: &mut metrics::Page| page.gauge("tidemark_starting", "It starts.", true);
    let waiting = Waiting::new(vitals("node 2 is asleep"), Limits::STANDARD, true, more);
    let (begin, begun) = oneshot::channel();
    let asking = async {
        // Left open: it must not hold the node up.
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        kept.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 503");

        let ready = ask(address, "GET /ready").await;
        assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
        assert!(ready.contains(r#""message":"starting: node 2 is asleep""#), "{ready}");
        assert!(ready.contains("retry-after: 1\r\n") && ready.contains("x-influxdb-version: v2"), "{ready}");
        let health = ask(address, "GET /health").await;
        assert!(health.starts_with("HTTP/1.1 503 ") && health.contains(r#""status":"fail""#), "{health}");
        assert!(health.contains("starting: node 2 is asleep"), "{health}");
        let metrics = ask(address, "GET /metrics").await;
        assert!(
            metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\ntidemark_starting 1\n"),
            "{metrics}"
        );
        let write = ask(address, "POST /api/v2/write?org=a&bucket=b").await;
        assert!(write.starts_with("HTTP/1.1 503 ") && write.contains(r#""code":"unavailable""#), "{write}");
        assert!(write.contains("retry-after: 1\r\n"), "{write}");
        let first_api = ask(address, "GET /query?q=x").await;
        assert!(first_api.starts_with("HTTP/1.1 503 "), "{first_api}");
        assert!(first_api.contains(r#"{"error":"starting: node 2 is asleep"}"#), "{first_api}");

        begin.send(()).unwrap();
        let mut rest = Vec::new();
        kept.read_to_end(&mut rest).await.unwrap();
    };
    let opened = waiting.serve_while(&listener, async { begun.await.map(|()| 7) });
    let (opened, ()) = tokio::join!(opened, asking);
    assert_eq!(opened, Ok(7));

    // The same listener goes on with all that there is.
    let server = Server::new().await;
    let stop = CancellationToken::new();
    let stopped = async {
        stop.cancelled().await;
        Drain::within(Duration::from_secs(30))
    };
    let asking = async {
        let ping = ask(address, "GET /ping").await;
        assert!(ping.starts_with("HTTP/1.1 204 "), "{ping}");
        stop.cancel();
    };
    let (served, ()) = tokio::join!(server.gateway.serve(listener, stopped), asking);
    served.unwrap();
}

#[tokio::test]
async fn metrics_that_are_switched_off_stay_so_while_a_node_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = Waiting::new(vitals(""), Limits::STANDARD, false, |_| ());
    let answer = waiting.serve_while(&listener, ask(address, "GET /metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}
