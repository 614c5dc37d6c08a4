//! TCP segments over IPv4 in Ethernet frames, and the resets that can be forged for them.

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: usize = 20;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A segment in its frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    ethernet: &'a [u8; ETHERNET],
    ip: &'a [u8; IPV4],
    tcp: &'a [u8; TCP],
}

/// Ports of a connection: the sender's and the receiver's.
pub(super) type Ports = ([u8; 2], [u8; 2]);

impl<'a> Segment<'a> {
    /// The segment of a frame, if it has one.
    pub(super) fn of(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_first_chunk()?;
        let (ip, _) = packet.split_first_chunk::<IPV4>()?;
        let header = usize::from(ip[0] & 0x0f) * 4;
        let is_tcp = ethernet[12..] == [0x08, 0x00] && ip[0] >> 4 == 4 && ip[9] == 6;
        let tcp = packet.get(header..)?.first_chunk()?;
        is_tcp.then_some(Self { ethernet, ip, tcp })
    }

    fn flags(&self) -> u8 {
        self.tcp[13]
    }

    /// Whether it is one of the two that open a connection.
    pub(super) fn opens(&self) -> bool {
        self.flags() & SYN != 0
    }

    /// Whether it is the very first of a connection.
    pub(super) fn is_first(&self) -> bool {
        self.flags() & (SYN | ACK) == SYN
    }

    /// Whether it tells the other end that a connection ends.
    pub(super) fn ends(&self) -> bool {
        self.flags() & (FIN | RST) != 0
    }

    /// Whether it is a reset itself.
    pub(super) fn is_reset(&self) -> bool {
        self.flags() & RST != 0
    }

    /// The ports.
    pub(super) fn ports(&self) -> Ports {
        let [a, b, c, d, ..] = *self.tcp;
        ([a, b], [c, d])
    }

    fn four<const AT: usize>(bytes: &[u8; 20]) -> [u8; 4] {
        std::array::from_fn(|at| bytes[AT + at])
    }

    /// Frames that reset the connection at both ends: as if the sender had sent one instead of this segment, and as if the
    /// receiver had answered with one. The numbers are those that each end waits for, so that it believes them.
    pub(super) fn resets(&self) -> [Vec<u8>; 2] {
        let (source, destination) = (Self::four::<12>(self.ip), Self::four::<16>(self.ip));
        let (from, to) = self.ports();
        let (number, awaits) = (Self::four::<4>(self.tcp), Self::four::<8>(self.tcp));
        let mut turned = *self.ethernet;
        turned[..6].copy_from_slice(&self.ethernet[6..12]);
        turned[6..12].copy_from_slice(&self.ethernet[..6]);
        [
            reset(self.ethernet, [source, destination], [from, to], number),
            reset(&turned, [destination, source], [to, from], awaits),
        ]
    }
}

fn reset(
    ethernet: &[u8; ETHERNET],
    [source, destination]: [[u8; 4]; 2],
    [from, to]: [[u8; 2]; 2],
    number: [u8; 4],
) -> Vec<u8> {
    // Version 4 of 20 bytes, 40 in all; not to be taken apart; 64 hops; TCP; no checksum yet.
    let mut ip = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0].to_vec();
    ip.extend([source, destination].concat());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut tcp = [from, to].concat();
    tcp.extend(number);
    // Nothing is acknowledged; 20 bytes; no window, no checksum yet, nothing urgent.
    tcp.extend([0, 0, 0, 0, 0x50, RST, 0, 0, 0, 0, 0, 0]);
    let mut covered = [source, destination].concat();
    covered.extend([0, 6, 0, 20]);
    covered.extend(&tcp);
    let sum = checksum(&covered);
    tcp[16..18].copy_from_slice(&sum);
    [ethernet.as_slice(), &ip, &tcp].concat()
}

/// The checksum of IP and TCP of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 =
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("it is at most 0xffff")).to_be_bytes()
}

#[cfg(test)]
pub(super) mod tests;
