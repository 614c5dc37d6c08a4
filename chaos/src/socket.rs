//! Connections as the kernel lists them in `/proc/net/tcp`.

use std::net::{Ipv4Addr, SocketAddrV4};

const ESTABLISHED: u8 = 0x01;
const TIME_WAIT: u8 = 0x06;
const LISTEN: u8 = 0x0a;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddrV4,
    pub(crate) remote: SocketAddrV4,
    state: u8,
}

impl Socket {
    /// What a line is about, if it is of a socket.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1);
        let mut end = || {
            let (address, port) = fields.next()?.split_once(':')?;
            // In the order of the machine's bytes, of which the network's were taken.
            let address = u32::from_str_radix(address, 16).ok()?.swap_bytes();
            let port = u16::from_str_radix(port, 16).ok()?;
            Some(SocketAddrV4::new(Ipv4Addr::from_bits(address), port))
        };
        let (local, remote) = (end()?, end()?);
        Some(Self { local, remote, state: u8::from_str_radix(fields.next()?, 16).ok()? })
    }

    /// Whether both ends can talk.
    pub(crate) fn is_open(&self) -> bool {
        self.state == ESTABLISHED
    }

    /// Whether the other end hears nothing more of it.
    pub(crate) fn is_over(&self) -> bool {
        [TIME_WAIT, LISTEN].contains(&self.state)
    }
}

#[cfg(test)]
mod tests;
