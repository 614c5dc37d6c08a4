//! Probes, on the port of clients and on one of their own.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::Server;
use crate::{Exposed, Found, Leaving, Limits, ProbeListener, Stage, Vitals, Waiting};

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn a_listener_of_their_own_answers_while_the_server_is_stuck() {
    let clock = Arc::new(SystemClock::new());
    let vitals = Vitals::new(clock, || Stage::Recovering("reading the log (7 of 9)".to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exposed = Exposed::default();
    let probes = ProbeListener::start(listener, vitals.clone(), exposed.clone()).unwrap();
    // The event loop of the test is not that of the listener: it stands still between the questions.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |path: &str| runtime.block_on(ask(probes.address(), path));
    let started = ask("/startupz");
    assert!(
        started.starts_with("HTTP/1.1 503 ") && started.contains("reading the log (7 of 9)"),
        "{started}"
    );
    assert!(ask("/livez").starts_with("HTTP/1.1 200 "));
    assert!(ask("/ping").starts_with("HTTP/1.1 204 "));
    assert!(ask("/metrics").starts_with("HTTP/1.1 503 "));
    let waiting = Waiting::new(vitals.clone(), Limits::STANDARD, true, |page| {
        page.gauge("tidemark_starting", "Whether the server starts.", true);
    });
    waiting.expose(&exposed);
    let metrics = ask("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("\ntidemark_starting 1"), "{metrics}");
    vitals.note(Found { sound: Ok(()), ready: Ok(()), healthy: Err("no room".to_owned()) });
    for path in ["/startupz", "/livez", "/readyz", "/ready", "/-/healthy", "/-/ready"] {
        let answer = ask(path);
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""draining":"no""#),
            "{path}: {answer}"
        );
    }
    let health = ask("/health");
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains("no room"), "{health}");
    vitals.leave(Leaving::Gone);
    let ready = ask("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains(r#""draining":"drained""#), "{ready}");
    assert!(ask("/livez").starts_with("HTTP/1.1 200 "));
    assert!(ask("/api/v2/write").starts_with("HTTP/1.1 404 "));
    let address = probes.address();
    drop(probes);
    assert!(std::net::TcpStream::connect(address).is_err(), "it ends with its owner");
}

#[tokio::test]
async fn metrics_of_a_server_that_serves_are_shown_beside_probes_as_long_as_it_does() {
    let server = Server::new().await;
    let exposed = Exposed::default();
    server.gateway.expose(&exposed);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let probes = ProbeListener::start(listener, server.vitals.clone(), exposed).unwrap();
    let metrics = ask(probes.address(), "/metrics").await;
    assert!(metrics.contains("\ntidemark_uptime_seconds "), "{metrics}");
    drop(server);
    let gone = ask(probes.address(), "/metrics").await;
    assert!(gone.starts_with("HTTP/1.1 503 "), "{gone}");
}

#[tokio::test]
async fn the_port_of_clients_answers_probes_too_and_closes_connections_before_it_stops() {
    let server = Server::new().await;
    server.vitals.note(Found { sound: Ok(()), ready: Ok(()), healthy: Ok(()) });
    for path in
        ["/startupz", "/livez", "/readyz", "/-/healthy", "/-/ready", "/ready", "/readyz?linearizable=1"]
    {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("connection"), "");
    }
    server.catalog.unreachable.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.get("/readyz?linearizable=1").await.status, 503);
    server.vitals.leave(Leaving::Going);
    for path in ["/readyz", "/ready"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("connection")), (503, "close"), "{path}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
}
