//! Bodies in: read with limits on bytes, pauses and slowness, counted against one account, decompressed without ever
//! holding more than the limit. `Content-Length` is judged before a byte is read.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use memory::{Account, Reservation};
use tokio::time::Instant;

use crate::error::{ApiError, Code};

/// The setting of the memory of all writes, as refusals name it.
const IN_FLIGHT_MAX: &str = "max-in-flight-write-size";

/// What one write holds of the memory of all writes, given back when dropped. Bytes count from when they have come:
/// a client that announces much and sends little holds little.
#[derive(Debug)]
pub(crate) struct Held {
    account: Arc<Account>,
    reservation: Reservation,
}

impl Held {
    pub(crate) fn new(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), reservation: Reservation::empty(account) }
    }

    /// Makes the share at least `bytes`.
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes > self.account.bytes_max() {
            // However often it is sent again, it will never fit.
            return Err(too_large((self.account.bytes_max(), IN_FLIGHT_MAX)));
        }
        self.reservation.cover(bytes).map_err(|full| {
            let message = format!("too many bytes in flight: the limit {IN_FLIGHT_MAX} is {}", full.limit);
            ApiError::new(Code::TooManyRequests, message)
        })
    }

    /// Makes the share what is there now.
    pub(crate) fn settle(&mut self, bytes: usize) {
        self.reservation.set(bytes);
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    /// Reads `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match text.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            other => Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!("unsupported content encoding {other:?}; gzip, deflate and identity are read"),
            )),
        }
    }
}

/// The limits of one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Most bytes as they arrive, and the name of that limit.
    pub(crate) bytes_max: (usize, &'static str),
    /// Longest pause.
    pub(crate) idle_max: Duration,
}

fn too_large(limit: (usize, &str)) -> ApiError {
    ApiError::new(Code::TooLarge, format!("request too large: the limit {} is {} bytes", limit.1, limit.0))
}

/// Refuses a body by its `Content-Length`, before any of it is read.
pub(crate) fn check_length(headers: &HeaderMap, limit: (usize, &str)) -> Result<usize, ApiError> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(0) };
    let length: u64 = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ApiError::invalid("invalid Content-Length"))?;
    usize::try_from(length).ok().filter(|length| *length <= limit.0).ok_or_else(|| too_large(limit))
}

/// A body may take as long as one pause may, and a second more for so many bytes of it: what has come holds memory
/// until the rest is there.
const BYTES_PER_SECOND_MIN: usize = 64 << 10;
/// Bytes of a refused body that are still taken, and thrown away.
const DRAIN_BYTES_MAX: usize = 64 << 20;
/// How long they are waited for.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Reads a whole body, still packed.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limits: BodyLimits,
    held: &mut Held,
) -> Result<Bytes, ApiError> {
    let result = read_within(headers, &mut body, limits, held).await;
    if result.as_ref().is_err_and(|error| matches!(error.code, Code::TooLarge | Code::TooManyRequests)) {
        drain(&mut body).await;
    }
    result
}

/// Takes what a refused client is still sending: one whose connection is closed meanwhile sees a broken pipe and never
/// the answer that tells it to send less.
async fn drain(body: &mut Body) {
    let all = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    if tokio::time::timeout(DRAIN_TIME_MAX, all).await.is_err() {
        tracing::debug!("a refused body did not end in time");
    }
}

async fn read_within(
    headers: &HeaderMap,
    body: &mut Body,
    limits: BodyLimits,
    held: &mut Held,
) -> Result<Bytes, ApiError> {
    let announced = check_length(headers, limits.bytes_max)?;
    if announced > held.account.bytes_max() {
        return Err(too_large((held.account.bytes_max(), IN_FLIGHT_MAX)));
    }
    let begun = Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let received = first.len() + rest.len();
        let until = begun + limits.idle_max + Duration::from_secs((received / BYTES_PER_SECOND_MIN) as u64);
        let until = until.min(Instant::now() + limits.idle_max);
        let frame = match tokio::time::timeout_at(until, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(ApiError::invalid(format!("the request body broke off: {error}")));
            }
            Err(_elapsed) => {
                let idle_max = limits.idle_max;
                let message = if received == 0 {
                    format!("no byte of the request body came for {idle_max:?} (http-idle-timeout)")
                } else {
                    format!(
                        "the request body came too slowly: {received} bytes (http-idle-timeout is {idle_max:?})"
                    )
                };
                return Err(ApiError::new(Code::Timeout, message));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        let total = first.len() + rest.len() + data.len();
        if total > limits.bytes_max.0 {
            return Err(too_large(limits.bytes_max));
        }
        held.cover(total)?;
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Unpacks a body; never holds more than `bytes_max` of it.
pub(crate) fn unpack(
    packed: Bytes,
    encoding: Encoding,
    bytes_max: (usize, &'static str),
    held: &mut Held,
) -> Result<Bytes, ApiError> {
    if packed.is_empty() {
        return Ok(packed);
    }
    let out = Limited { bytes: Vec::new(), max: bytes_max.0, packed: packed.len(), held, refusal: None };
    let result = match encoding {
        Encoding::Identity => {
            return if packed.len() > bytes_max.0 { Err(too_large(bytes_max)) } else { Ok(packed) };
        }
        Encoding::Gzip => {
            let mut decoder = flate2::write::MultiGzDecoder::new(out);
            let result = decoder.write_all(&packed).and_then(|()| decoder.try_finish());
            finish(result, decoder.get_mut())
        }
        Encoding::Deflate => {
            let mut decoder = flate2::write::ZlibDecoder::new(out);
            let result = decoder.write_all(&packed).and_then(|()| decoder.try_finish());
            finish(result, decoder.get_mut())
        }
    };
    result.map_err(|failure| match failure {
        Unpack::Refused(error) => error,
        Unpack::TooLarge => too_large(bytes_max),
        Unpack::Broken(error) => ApiError::invalid(format!("cannot decompress the request body: {error}")),
    })
}

enum Unpack {
    Refused(ApiError),
    TooLarge,
    Broken(io::Error),
}

fn finish(result: io::Result<()>, out: &mut Limited<'_>) -> Result<Bytes, Unpack> {
    match (result, out.refusal.take()) {
        (_, Some(refusal)) => Err(refusal),
        (Err(error), None) => Err(Unpack::Broken(error)),
        (Ok(()), None) => Ok(std::mem::take(&mut out.bytes).into()),
    }
}

/// A buffer that refuses to grow past its limit.
struct Limited<'a> {
    bytes: Vec<u8>,
    max: usize,
    packed: usize,
    held: &'a mut Held,
    refusal: Option<Unpack>,
}

impl Write for Limited<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let total = self.bytes.len() + data.len();
        if total > self.max {
            self.refusal = Some(Unpack::TooLarge);
        } else if let Err(error) = self.held.cover(self.packed + total) {
            self.refusal = Some(Unpack::Refused(error));
        }
        if self.refusal.is_some() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
