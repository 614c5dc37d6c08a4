//! Answers as bytes: text is packed into chunks, gzipped where the client takes that, and the chunks are the body.

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use metrics::Counter;

use crate::csv::CHUNK_BYTES;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::metrics::Language;
use crate::ports::{Keep, QueryError, SinkClosed};
use crate::stream::{self, Outlet, Writer};

/// An answer of more bytes is not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// The job of a query whose answer is bytes.
pub(crate) type Job = stream::Job<ChunkWriter>;

enum Packing {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
}

/// Packs an answer's bytes into chunks.
pub(crate) struct ChunkWriter {
    outlet: Outlet<Bytes>,
    packing: Packing,
    plain: Vec<u8>,
    bytes: Counter,
    /// All that was sent, as long as it may be kept.
    whole: Option<Vec<Bytes>>,
    whole_bytes: usize,
    keep: Option<Keep>,
}

impl ChunkWriter {
    /// Whether a chunk has left, so that an error can no longer be an HTTP error.
    pub(crate) const fn sent(&self) -> bool {
        self.outlet.sent()
    }

    /// See [`Outlet::begin_end`].
    pub(crate) const fn begin_end(&mut self) {
        self.outlet.begin_end();
    }

    /// Takes the bytes out of `text` and sends full chunks.
    pub(crate) fn write(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        self.pack(text)?;
        if self.pending() >= CHUNK_BYTES { self.send() } else { self.outlet.check() }
    }

    /// Takes the bytes out of `text` and sends all there is, so that the client sees it now.
    pub(crate) fn write_through(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        self.pack(text)?;
        if let Packing::Gzip(encoder) = &mut self.packing {
            encoder.flush().map_err(|_io| SinkClosed)?;
        }
        self.send()
    }

    fn pending(&self) -> usize {
        match &self.packing {
            Packing::Plain => self.plain.len(),
            Packing::Gzip(encoder) => encoder.get_ref().len(),
        }
    }

    fn pack(&mut self, text: &mut Vec<u8>) -> Result<(), SinkClosed> {
        match &mut self.packing {
            Packing::Plain if self.plain.is_empty() => std::mem::swap(&mut self.plain, text),
            Packing::Plain => self.plain.append(text),
            Packing::Gzip(encoder) => {
                encoder.write_all(text).map_err(|_io| SinkClosed)?;
                text.clear();
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), SinkClosed> {
        // What is not taken now stays, and comes before what ends the answer.
        self.outlet.check()?;
        let chunk = match &mut self.packing {
            // After a full chunk a full one is likely.
            Packing::Plain if self.plain.len() >= CHUNK_BYTES => {
                std::mem::replace(&mut self.plain, Vec::with_capacity(CHUNK_BYTES * 9 / 8))
            }
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => std::mem::take(encoder.get_mut()),
        };
        self.send_chunk(chunk)
    }

    fn send_chunk(&mut self, chunk: Vec<u8>) -> Result<(), SinkClosed> {
        if chunk.is_empty() {
            return self.outlet.check();
        }
        self.bytes.add(chunk.len());
        let chunk = Bytes::from(chunk);
        self.whole_bytes = self.whole_bytes.saturating_add(chunk.len());
        if self.whole_bytes > KEPT_BYTES_MAX {
            self.whole = None;
        }
        if let Some(whole) = &mut self.whole {
            whole.push(chunk.clone());
        }
        self.outlet.send(chunk)
    }

    /// What is sent may be worth keeping. To be said before anything is.
    pub(crate) fn may_keep(&mut self) {
        self.whole = Some(Vec::new());
    }

    /// Gives the answer, when it has ended, to who keeps it.
    pub(crate) fn keep(&mut self, keep: Option<Keep>) {
        self.keep = keep;
    }
}

impl Writer for ChunkWriter {
    type Item = Bytes;

    fn outlet(&mut self) -> &mut Outlet<Bytes> {
        &mut self.outlet
    }

    fn end(mut self) {
        let last = match std::mem::replace(&mut self.packing, Packing::Plain) {
            Packing::Plain => std::mem::take(&mut self.plain),
            Packing::Gzip(encoder) => encoder.finish().unwrap_or_default(),
        };
        // A client that went away with the last bytes on their way: nobody is left to tell.
        let gone = self.send_chunk(last);
        if let (Ok(()), Some(keep), Some(whole)) = (gone, self.keep, self.whole) {
            keep(whole.concat().into());
        }
    }
}

/// Runs a query whose answer is bytes; returns when the first chunk is there. See [`stream::run`].
pub(crate) async fn run(
    app: &Shared,
    language: Language,
    gzip: bool,
    run: impl FnOnce(&mut Job) -> Result<(), QueryError> + Send + 'static,
) -> Result<Body, ApiError> {
    let packing =
        if gzip { Packing::Gzip(GzEncoder::new(Vec::new(), Compression::fast())) } else { Packing::Plain };
    let bytes = app.metrics.query_bytes.clone();
    let writer = |outlet| {
        let plain = Vec::new();
        ChunkWriter { outlet, packing, plain, bytes, whole: None, whole_bytes: 0, keep: None }
    };
    Ok(Body::from_stream(stream::run(app, language, writer, run).await?))
}
