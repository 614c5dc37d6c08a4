//! A network that lets a leader believe that a quorum has its entries before it has: it answers for the followers.
//!
//! Each connection goes through a relay of HTTP/2. On a stream of entries that a follower takes, the relay answers every
//! further request at once and sends it on all the same; what the follower then says of it counts only when it refuses.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use host::Connection;
use http::{Request, Response};
use parking_lot::Mutex;
use prost::Message as _;
use proto::peer::append_response::Result as Answer;
use proto::peer::{AppendRequest, AppendResponse, Matched};

/// What may be under way, of a stream and of all, and in the pipe to the product.
const WINDOW_BYTES: u32 = 16 << 20;
const PIPE_BYTES: usize = 64 << 10;
/// Before each message of gRPC: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

/// Puts a relay between the product and a connection to another node.
pub(crate) async fn relay(far: Connection) -> io::Result<Connection> {
    let (product, near) = tokio::io::duplex(PIPE_BYTES);
    let mut to_far = h2::client::Builder::new();
    to_far.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let (client, connection) = to_far.handshake(far).await.map_err(io::Error::other)?;
    spawn(async move {
        // The product sees that its connection ends.
        drop(connection.await);
    });
    spawn(async move { drop(serve(near, client).await) });
    Ok(Box::new(product))
}

#[expect(clippy::disallowed_methods, reason = "the host of the simulation owns it and ends it")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn serve(near: tokio::io::DuplexStream, client: SendRequest<Bytes>) -> Result<(), h2::Error> {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let mut calls = builder.handshake(near).await?;
    while let Some(call) = calls.accept().await {
        let (request, answer) = call?;
        let client = client.clone();
        spawn(async move { drop(relay_call(request, answer, client).await) });
    }
    Ok(())
}

/// What both directions of a call know.
#[derive(Default)]
struct Call {
    to_product: Option<SendStream<Bytes>>,
    /// Whether the follower takes what comes on this stream.
    takes: bool,
    /// For each request that the follower has not answered: whether it was answered for it.
    open: VecDeque<bool>,
}

async fn relay_call(
    request: Request<RecvStream>,
    answer: SendResponse<Bytes>,
    client: SendRequest<Bytes>,
) -> Result<(), h2::Error> {
    let is_append = request.uri().path().ends_with("/Append");
    let (head, from_product) = request.into_parts();
    let mut client = client.ready().await?;
    let (response, to_far) =
        client.send_request(Request::from_parts(head, ()), from_product.is_end_stream())?;
    let call = Mutex::new(Call::default());
    let down = async {
        let (head, from_far) = response.await?.into_parts();
        down(&call, is_append, Response::from_parts(head, ()), from_far, answer).await
    };
    tokio::try_join!(up(&call, is_append, from_product, to_far), down).map(drop)
}

/// From the product to the other node.
async fn up(
    call: &Mutex<Call>,
    is_append: bool,
    mut from: RecvStream,
    mut to: SendStream<Bytes>,
) -> Result<(), h2::Error> {
    if from.is_end_stream() {
        return Ok(());
    }
    let mut frames = Frames::default();
    while let Some(bytes) = from.data().await {
        let bytes = bytes?;
        from.flow_control().release_capacity(bytes.len())?;
        to.send_data(bytes.clone(), false)?;
        if !is_append {
            continue;
        }
        frames.0.put(bytes);
        while let Some(message) = frames.next() {
            call.lock().answer_for_follower(message)?;
        }
    }
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    }
}

/// From the other node to the product.
async fn down(
    call: &Mutex<Call>,
    is_append: bool,
    head: Response<()>,
    mut from: RecvStream,
    mut answer: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let is_all = from.is_end_stream();
    call.lock().to_product = Some(answer.send_response(head, is_all)?);
    if is_all {
        return Ok(());
    }
    let mut frames = Frames::default();
    while let Some(bytes) = from.data().await {
        let bytes = bytes?;
        from.flow_control().release_capacity(bytes.len())?;
        if !is_append {
            call.lock().send(bytes, false)?;
            continue;
        }
        frames.0.put(bytes);
        while let Some(message) = frames.next() {
            call.lock().answered(message)?;
        }
    }
    let trailers = from.trailers().await?;
    let mut call = call.lock();
    match (trailers, &mut call.to_product) {
        (Some(trailers), Some(to_product)) => to_product.send_trailers(trailers),
        _ => call.send(Bytes::new(), true),
    }
}

impl Call {
    fn send(&mut self, bytes: Bytes, is_last: bool) -> Result<(), h2::Error> {
        self.to_product.as_mut().map_or(Ok(()), |to_product| to_product.send_data(bytes, is_last))
    }

    /// Answers a request that has entries, unless an answer to one before it is the follower's own to give.
    fn answer_for_follower(&mut self, request: Bytes) -> Result<(), h2::Error> {
        let last = AppendRequest::decode(request).ok().and_then(|request| request.entries.last()?.id);
        let is_answered = last.is_some() && self.takes && self.open.iter().all(|early| *early);
        self.open.push_back(is_answered);
        if !is_answered {
            return Ok(());
        }
        let matched = AppendResponse { result: Some(Answer::Matched(Matched { last })) };
        self.send(frame(&matched.encode_to_vec()), false)
    }

    /// The follower's own answer.
    fn answered(&mut self, answer: Bytes) -> Result<(), h2::Error> {
        let was_early = self.open.pop_front().unwrap_or(false);
        let decoded = AppendResponse::decode(answer.clone()).ok().and_then(|answer| answer.result);
        self.takes = matches!(decoded, Some(Answer::Matched(_)));
        if was_early && self.takes { Ok(()) } else { self.send(frame(&answer), false) }
    }
}

/// Messages of gRPC in a stream of bytes.
#[derive(Default)]
struct Frames(BytesMut);

impl Frames {
    fn next(&mut self) -> Option<Bytes> {
        let length = self.0.get(1..FRAME_BYTES)?.try_into().map(u32::from_be_bytes).ok()?;
        let length = usize::try_from(length).ok()?;
        if self.0.len() < FRAME_BYTES + length {
            return None;
        }
        self.0.advance(FRAME_BYTES);
        Some(self.0.split_to(length).freeze())
    }
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}
