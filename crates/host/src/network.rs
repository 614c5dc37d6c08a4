//! Connections as an argument: TCP in production, another network in a simulation.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::names::{Names, by_machine};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection.
pub type Connection = Box<dyn Stream>;

/// Where connections to others come from.
pub trait Network: fmt::Debug + Send + Sync {
    /// Opens a connection to a port of a host, which is a name or an address.
    ///
    /// # Errors
    /// The host is not known, or nobody answers there.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>>;
}

/// Where connections from others come from.
pub trait Listener: fmt::Debug + Send + Sync {
    /// The next connection, and who has opened it.
    ///
    /// # Errors
    /// That one was lost, or there are no descriptors for it. The next call may succeed.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Connection, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// How long one address may take, where there are others.
const TRY_FOR: Duration = Duration::from_secs(1);

/// TCP as the machine has it. Small messages are sent at once.
#[derive(Debug)]
pub struct Tcp {
    names: Names,
}

impl Default for Tcp {
    fn default() -> Self {
        Self { names: Names::new(by_machine) }
    }
}

impl Network for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let addresses = self.names.addresses(host).await?;
            let mut failed = io::Error::from(io::ErrorKind::NotFound);
            for (others, address) in (0..addresses.len()).rev().zip(addresses) {
                let connecting = TcpStream::connect((address, port));
                let connected = if others == 0 {
                    connecting.await
                } else {
                    timeout(TRY_FOR, connecting).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
                };
                match connected {
                    Ok(stream) => {
                        self.names.reached(host, address);
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as Connection);
                    }
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        })
    }
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Connection, SocketAddr)>> {
        Box::pin(async {
            let (stream, from) = Self::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Connection, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
