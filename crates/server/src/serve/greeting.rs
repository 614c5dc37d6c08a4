//! What the server says to who has started it.

use std::net::{Ipv4Addr, SocketAddr};

use super::Print;

/// Says where the node listens and what to do next. It serves whether anybody listens to that or not.
pub(super) fn greet(address: SocketAddr, is_set_up: bool, print: Print<'_>) {
    let reachable = if address.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    };
    let url = format!("http://{reachable}");
    let host = if address.port() == 8086 { String::new() } else { format!(" --host {url}") };
    let mut lines = vec![format!("listening on {url}")];
    if !is_set_up {
        lines.push(String::new());
        lines.push("The cluster is new. In another terminal:".to_owned());
        lines.push(format!("  tidemark setup{host} --org acme --bucket metrics"));
    }
    lines.push(String::new());
    lines.push("Write and query:".to_owned());
    lines.push(format!("  tidemark write{host} -b metrics 'weather,city=Oslo temp=21.5'"));
    lines.push(format!("  tidemark query{host} 'from(bucket: \"metrics\") |> range(start: -1h)'"));
    lines.push(format!(
        "  curl \"{url}/api/v2/write?org=acme&bucket=metrics\" -H \"Authorization: Token $TOKEN\" \
         --data-binary 'weather,city=Rome temp=30'"
    ));
    if let Err(error) = lines.iter().try_for_each(|line| print(line)) {
        tracing::warn!(error, url, "cannot print where the node listens");
    }
}
