//! Asks a container as its probes say, and does what it is to do before it ends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use super::container::Entry;
use super::environment::headers;
use super::template::{Action, Container, HttpGet};
use crate::clock::pause;

/// Whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Whom {
    pub(crate) address: Ipv4Addr,
    pub(crate) container: Container,
    pub(crate) entry: Entry,
}

impl Whom {
    /// Whether the answer is good, and what it was. As kubelet has it, no answer in time is a bad one.
    pub(crate) fn ask(&self, action: &Action, limit: Duration) -> (bool, String) {
        if let Some(get) = &action.http_get {
            return self.get(get, limit);
        }
        if let Some(exec) = &action.exec {
            return self.entry.run(&exec.command, limit);
        }
        if let Some(socket) = &action.tcp_socket {
            let Some(port) = self.container.port(&socket.port) else {
                return (false, "no such port".to_owned());
            };
            let at = SocketAddr::V4(SocketAddrV4::new(self.address, port));
            return match TcpStream::connect_timeout(&at, limit) {
                Ok(_) => (true, "connected".to_owned()),
                Err(error) => (false, error.to_string()),
            };
        }
        if let Some(sleep) = &action.sleep {
            pause(Duration::from_secs(sleep.seconds).min(limit));
            return (true, "slept".to_owned());
        }
        (false, "nothing to ask".to_owned())
    }

    fn get(&self, get: &HttpGet, limit: Duration) -> (bool, String) {
        let Some(port) = self.container.port(&get.port) else { return (false, "no such port".to_owned()) };
        let host = if get.host.is_empty() { self.address.to_string() } else { get.host.clone() };
        let scheme = if get.scheme.is_empty() { "http".to_owned() } else { get.scheme.to_lowercase() };
        let path = get.path.trim_start_matches('/');
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(limit))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
            .build()
            .into();
        let mut request = agent.get(format!("{scheme}://{host}:{port}/{path}"));
        for (name, value) in headers(&get.http_headers) {
            request = request.header(name, value);
        }
        match request.call() {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let body = response.body_mut().with_config().limit(1024).read_to_string().unwrap_or_default();
                ((200..400).contains(&status), format!("{status} {}", body.trim()))
            }
            Err(error) => (false, error.to_string()),
        }
    }
}
