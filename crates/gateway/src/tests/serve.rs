//! The listener, over real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::support::Server;
use crate::Drain;
use crate::ports::QueryError;

struct Listening {
    server: Server,
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn listen(server: Server) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (gateway, stopped) = (server.gateway.clone(), stop.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let stop = async {
            stopped.cancelled_owned().await;
            Drain::within(Duration::from_secs(30))
        };
        gateway.serve(listener, stop).await
    });
    let task = tokio::task::spawn_blocking({
        let runtime = tokio::runtime::Handle::current();
        move || runtime.block_on(async { tasks.join_next().await.unwrap().unwrap() })
    });
    Listening { server, address, stop, task }
}

async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(answer).unwrap()
}

const PING: &str = "GET /ping HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other_on_a_connection() {
    let it = listen(Server::new().await).await;
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    for _ in 0..2 {
        let answer = exchange(&mut stream, PING).await;
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
    }
    it.stop.cancel();
    it.task.await.unwrap().unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "closed at shutdown");
}

#[tokio::test]
async fn a_slow_head_is_cut_and_an_idle_connection_is_not() {
    let server = Server::with(|options| options.limits.header_read_max = Duration::from_millis(30)).await;
    let it = listen(server).await;
    let mut idle = TcpStream::connect(it.address).await.unwrap();
    exchange(&mut idle, PING).await;
    let mut slow = TcpStream::connect(it.address).await.unwrap();
    slow.write_all(b"GET /ping HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    // Cut: an end or a reset, and no answer.
    let cut = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await.unwrap();
    assert!(cut.is_err() || !rest.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&rest));
    assert!(
        exchange(&mut idle, PING).await.starts_with("HTTP/1.1 204"),
        "idle for longer than a head may take"
    );
    it.stop.cancel();
    drop((idle, slow));
    it.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn broken_http_is_refused_and_harms_nobody() {
    let it = listen(Server::new().await).await;
    for broken in ["GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n"] {
        let mut stream = TcpStream::connect(it.address).await.unwrap();
        let answer = exchange(&mut stream, broken).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let huge = format!("GET /ping HTTP/1.1\r\nhost: x\r\nlarge: {}\r\n\r\n", "x".repeat(100_000));
    let answer = exchange(&mut stream, &huge).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    assert!(exchange(&mut stream, PING).await.starts_with("HTTP/1.1 204"));
    it.stop.cancel();
    drop(stream);
    it.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_what_is_in_progress() {
    let it = listen(Server::new().await).await;
    let (entered, inside) = std::sync::mpsc::channel();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = parking_lot::Mutex::new(gate);
    it.server.query.on_flux(move |_, _| {
        entered.send(()).unwrap();
        gate.lock().recv_timeout(Duration::from_secs(30)).map_err(|_closed| QueryError::Cancelled)
    });
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let body = r#"{"query":"x"}"#;
    let ask = format!(
        "POST /api/v2/query?org=acme HTTP/1.1\r\nhost: x\r\nauthorization: Token {}\r\ncontent-length: {}\r\n\r\n{body}",
        it.server.token,
        body.len()
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    tokio::task::spawn_blocking(move || inside.recv_timeout(Duration::from_secs(30))).await.unwrap().unwrap();
    it.stop.cancel();
    open.send(()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    it.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_whose_length_is_known_states_it() {
    let it = listen(Server::new().await).await;
    let mut stream = TcpStream::connect(it.address).await.unwrap();
    let answer = exchange(&mut stream, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.contains("\r\ncontent-length: "), "{answer}");
    assert!(!answer.contains("transfer-encoding"), "{answer}");
    it.stop.cancel();
    it.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_in_progress_is_cut_off_when_that_is_asked_for() {
    let server = Server::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let drain = async {
        stop.cancelled().await;
        Drain::within(Duration::MAX).or_until(cut.cancelled())
    };
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/v2/write?org=acme&bucket=metrics HTTP/1.1\r\nhost: x\r\nauthorization: Token {}\r\ncontent-length: 100\r\n\r\ncpu",
            server.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        while server.gateway.0.metrics.in_flight.get() == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        cut.cancel();
        stream
    };
    let (served, _stream) = tokio::join!(server.gateway.serve(listener, drain), asking);
    served.unwrap();
}

#[tokio::test]
async fn a_request_is_counted_when_its_answer_is_gone() {
    let server = Server::new().await;
    let text = "tidemark_http_requests_total{handler=\"/health\"";
    let counted = async || server.get("/metrics").await.text().contains(text);
    let request = http::Request::get("/health").body(axum::body::Body::empty()).unwrap();
    let response = server.gateway.router().oneshot(request).await.unwrap();
    assert_eq!(server.gateway.0.metrics.in_flight.get(), 1);
    assert!(!counted().await);
    drop(response);
    assert_eq!(server.gateway.0.metrics.in_flight.get(), 0);
    assert!(counted().await);
}
