//! Relays of TCP connections, which can be cut: a node that is reached through one is then reached by nobody, while it
//! reaches all others.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A relay to one address. Its threads end with the process.
#[derive(Debug, Clone)]
pub struct Relay {
    address: String,
    /// The connections; `None` while it is cut.
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Relay {
    /// Listens at a free port of loopback, and relays to `target`.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let (target, here) = (target.to_owned(), Arc::clone(&open));
        std::thread::spawn(move || {
            for incoming in listener.incoming().map_while(Result::ok) {
                // Whoever cannot be reached has refused the connection.
                let Ok(outgoing) = TcpStream::connect(&target) else { continue };
                if let Some(streams) = &mut *here.lock().expect("no holder panics") {
                    join(&incoming, &outgoing).expect("streams are cloned");
                    streams.extend([incoming, outgoing]);
                }
            }
        });
        Self { address, open }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections, and all further ones as soon as they are made.
    pub fn cut(&self) {
        for stream in self.open.lock().expect("no holder panics").take().into_iter().flatten() {
            // It may have ended already.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Relays again.
    pub fn mend(&self) {
        self.open.lock().expect("no holder panics").get_or_insert_default();
    }
}

/// Copies in both directions until either ends.
fn join(a: &TcpStream, b: &TcpStream) -> io::Result<()> {
    for (from, to) in [(a, b), (b, a)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || {
            // Either may end at any time.
            io::copy(&mut from, &mut to).ok();
            from.shutdown(Shutdown::Both).ok();
            to.shutdown(Shutdown::Both).ok();
        });
    }
    Ok(())
}
