//! Finds the servers of this machine among its processes, and reads what the kernel and their settings say.
//!
//! A process is found by the port that it listens at: what `/proc/net/tcp` names as its socket is among its descriptors. So
//! a port that is forwarded from elsewhere is never taken for a server of this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};

use server::config::{Config, Role};

use crate::doctor::facts::MachineFacts;
use crate::serve;

/// Host, without brackets, and port of a URL.
pub(crate) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: ureq::http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    Some((host, port))
}

/// The process that serves at a URL, where it is one of this machine.
pub(crate) fn server_at(url: &str) -> Result<u32, String> {
    let elsewhere =
        || format!("no process of this machine serves {url}: run `tidemark doctor` where it runs");
    let (host, port) = host_and_port(url).ok_or_else(|| format!("{url} names no host"))?;
    let addresses = local_addresses(&host, port);
    if addresses.is_empty() {
        return Err(elsewhere());
    }
    let listening: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| listeners(&text))
        .filter(|(at, _)| {
            at.port() == port && (at.ip().is_unspecified() || addresses.contains(&at.ip().to_canonical()))
        })
        .map(|(_, inode)| inode)
        .collect();
    let mut hidden = None;
    for pid in servers() {
        match sockets(pid) {
            Ok(sockets) if sockets.iter().any(|socket| listening.contains(socket)) => return Ok(pid),
            Ok(_others) => {}
            Err(error) => hidden = Some(error),
        }
    }
    match hidden {
        Some(error) if !listening.is_empty() => Err(format!(
            "a server of another user may be what serves {url}, but {error}: run as its user, or as root"
        )),
        _ => Err(elsewhere()),
    }
}

/// The addresses of a host that are this machine's own.
fn local_addresses(host: &str, port: u16) -> Vec<IpAddr> {
    let addresses: Vec<IpAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_name) if host == "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Err(_name) => (host, port)
            .to_socket_addrs()
            .map(|found| found.map(|address| address.ip()).collect())
            .unwrap_or_default(),
    };
    // Only an address of this machine can be bound.
    addresses
        .into_iter()
        .filter(|address| UdpSocket::bind((*address, 0)).is_ok())
        .map(|address| address.to_canonical())
        .collect()
}

/// Address and socket of whoever listens, of `/proc/net/tcp` or `tcp6`.
fn listeners(text: &str) -> Vec<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTEN {
            return None;
        }
        let (address, port) = fields.get(1)?.split_once(':')?;
        // Each group of eight digits is a number as the processor has it: least byte first.
        let mut bytes = Vec::new();
        for group in address.as_bytes().chunks(8) {
            let number = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
            bytes.extend(number.to_le_bytes());
        }
        let address = match bytes.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
            _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        };
        let port = u16::from_str_radix(port, 16).ok()?;
        Some((SocketAddr::new(address, port), fields.get(9)?.parse().ok()?))
    };
    text.lines().skip(1).filter_map(of).collect()
}

/// Processes that were started as `… serve …`.
fn servers() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.filter(|pid| settings_given(*pid).is_ok()).collect();
    pids.sort_unstable();
    pids
}

/// The settings among the arguments of a server.
fn settings_given(pid: u32) -> Result<Vec<(&'static str, String)>, String> {
    let arguments = read(pid, "cmdline")?;
    let arguments: Vec<&str> = arguments.trim_end_matches('\0').split('\0').collect();
    match arguments.get(1..) {
        Some(["serve", given @ ..]) => serve::Settings::read(given)
            .ok_or_else(|| format!("process {pid} has arguments that this version does not know")),
        _ => Err(format!("process {pid} is no server: it was not started by `tidemark serve`")),
    }
}

/// The sockets that a process has open.
fn sockets(pid: u32) -> Result<Vec<u64>, String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .map_err(|error| format!("its descriptors cannot be seen ({error})"))?;
    let links = entries.filter_map(Result::ok).filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inode = |link: PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    Ok(links.filter_map(inode).collect())
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    read_path(&format!("/proc/{pid}/{file}"))
}

fn read_path(path: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What there is to know about a server and the machine that it is on. It sees its files and its variables as it does.
pub(crate) fn process(pid: u32, url: Option<String>) -> Result<MachineFacts, String> {
    let given = settings_given(pid)?;
    let environment = read(pid, "environ").map(|text| variables(&text));
    let dir = std::fs::read_link(format!("/proc/{pid}/cwd"))
        .map_err(|error| format!("cannot see where process {pid} is: {error}"));
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let flags = given.iter().map(|(key, _)| (*key).to_owned()).collect();
    let settings = environment.as_ref().map_err(Clone::clone).and_then(|variables| {
        let dir = dir.as_ref().map_err(Clone::clone)?;
        let flags = given.iter().map(|(key, text)| ((*key).to_owned(), text.clone())).collect();
        let resolved = Config::resolve(
            flags,
            |name| variables.get(name).cloned(),
            |path| std::fs::read_to_string(within(&root, &dir.join(path))),
        );
        resolved.map(|resolved| resolved.config).map_err(|error| format!("its settings: {error}"))
    });
    let data_dir = settings.as_ref().ok().zip(dir.as_ref().ok()).and_then(|(settings, dir)| {
        let path = (settings.role == Role::Node).then(|| dir.join(&settings.data_dir))?;
        // Where it is in a container, links are its own.
        let is_here = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
            == std::fs::read_link("/proc/self/ns/mnt").ok();
        Some(if is_here { std::fs::canonicalize(&path).unwrap_or(path) } else { path })
    });
    Ok(MachineFacts {
        about: match &url {
            Some(url) => format!("process {pid}, which serves {url}"),
            None => format!("process {pid}"),
        },
        url,
        settings,
        environment: environment.map(|variables| variables.into_keys().collect()),
        flags,
        swaps: read_path("/proc/swaps"),
        status: Some(read(pid, "status")),
        mounts: read(pid, "mountinfo"),
        data_dir,
    })
}

/// A path as a process sees it.
fn within(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// This machine, for a server with the variables that this command has.
pub(crate) fn this_machine() -> MachineFacts {
    let settings =
        Config::resolve_from_process(Vec::new()).map(|resolved| resolved.config).map_err(|e| e.to_string());
    let data_dir = settings
        .as_ref()
        .ok()
        .filter(|settings| settings.role == Role::Node)
        .and_then(|settings| std::path::absolute(&settings.data_dir).ok());
    let environment = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    MachineFacts {
        about: "this machine, by the settings of this environment".to_owned(),
        url: None,
        settings,
        environment: Ok(environment),
        flags: Vec::new(),
        swaps: read_path("/proc/swaps"),
        status: None,
        mounts: read_path("/proc/self/mountinfo"),
        // It may not be there yet: then it will be where its parent is.
        data_dir: data_dir.map(|dir| {
            let there = dir.ancestors().find_map(|parent| std::fs::canonicalize(parent).ok());
            there.unwrap_or(dir)
        }),
    }
}

/// Variables that are not empty.
fn variables(environ: &str) -> BTreeMap<String, String> {
    let pairs = environ.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
