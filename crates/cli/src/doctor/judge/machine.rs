//! Checks of the machine of a node, or of its container.

use std::path::Path;
use std::time::Duration;

use server::config::DiscoveryStrategy;

use crate::doctor::facts::{Facts, MachineFacts};
use crate::doctor::finding::{Finding, Judged, Verdict, bytes, listed};

/// What endpoints and load balancers take to forget a pod.
const DELAY: Duration = Duration::from_secs(5);

pub(crate) fn swap(facts: &Facts) -> Vec<Finding> {
    facts.of_machines(|machine| {
        let swaps = machine.swaps.as_ref().map_err(Clone::clone)?;
        let swapped = match &machine.status {
            Some(status) => swapped(status.as_ref().map_err(Clone::clone)?)?,
            None => 0,
        };
        let devices: Vec<&str> =
            swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        Ok(if swapped > 0 {
            Verdict::fail(format!("{} of the process are swapped out", bytes(swapped as f64)))
        } else if devices.is_empty() {
            Verdict::ok("there is none")
        } else {
            Verdict::warn(format!("the machine swaps to {}", listed(&devices)))
        })
    })
}

/// Bytes of `VmSwap` in `/proc/PID/status`.
fn swapped(status: &str) -> Result<u64, String> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.ok_or("the kernel does not say what is swapped out")?.saturating_mul(1024))
}

pub(crate) fn secrets(machine: &MachineFacts) -> Judged {
    let names = machine.environment.as_ref().map_err(Clone::clone)?;
    let mut found: Vec<String> = names.iter().filter(|name| is_secret(name)).cloned().collect();
    let flags =
        machine.flags.iter().filter(|flag| matches!(flag.as_str(), "init-password" | "init-admin-token"));
    found.extend(flags.map(|flag| format!("--{flag} among its arguments")));
    Ok(if found.is_empty() {
        Verdict::ok("no password and no token")
    } else {
        Verdict::fail(format!("{}: whoever sees the process sees it", listed(&found)))
    })
}

/// Whether a variable holds what `…_FILE` should point to.
pub(crate) fn is_secret(name: &str) -> bool {
    name.ends_with("_INIT_ADMIN_TOKEN") || name.ends_with("_INIT_PASSWORD")
}

/// A mounted file system.
struct Mount {
    at: String,
    kind: String,
    source: String,
}

/// What files live on that other machines have, or that go with the container.
const ELSEWHERE: [&str; 16] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "virtiofs",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "overlay",
    "aufs",
    "tmpfs",
    "ramfs",
    "squashfs",
];

pub(crate) fn file_system(facts: &Facts) -> Vec<Finding> {
    facts.of_machines(|machine| {
        let settings = machine.settings.as_ref().map_err(Clone::clone)?;
        let mounts = machine.mounts.as_ref().map_err(Clone::clone)?;
        let Some(dir) = &machine.data_dir else {
            return Ok(Verdict::ok(match settings.role {
                server::config::Role::Gateway => "a gateway stores nothing",
                server::config::Role::Node => return Err("where its data are is not known".to_owned()),
            }));
        };
        let mount = mount_of(mounts, dir).ok_or_else(|| format!("no mount holds {}", dir.display()))?;
        let Mount { at, kind, source } = mount;
        let text = format!("{} is on {kind} ({at})", dir.display());
        Ok(match kind.as_str() {
            "ext4" | "xfs" => Verdict::ok(text),
            kind if ELSEWHERE.contains(&kind) || kind.starts_with("fuse") => Verdict::fail(text),
            "btrfs" | "zfs" | "bcachefs" => Verdict::warn(text),
            _ if source.starts_with("/dev/") => Verdict::warn(text),
            _ => Verdict::fail(format!("{text}, and not on a block device")),
        })
    })
}

/// The mount that a path is in: the one that is deepest, and of those at one place the last.
fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(|line| {
        // 36 35 98:0 /root /at rw,noatime master:1 - ext4 /dev/sda1 rw
        let (before, after) = line.split_once(" - ")?;
        let at = unescaped(before.split(' ').nth(4)?);
        let mut after = after.split(' ');
        Some(Mount { at, kind: after.next()?.to_owned(), source: unescaped(after.next()?) })
    });
    let holding = mounts.filter(|mount| path.starts_with(&mount.at));
    holding.max_by_key(|mount| Path::new(&mount.at).components().count())
}

/// A path of `/proc`, where blanks are written as octal numbers: `\040`.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(crate) fn shutdown_delay(facts: &Facts) -> Vec<Finding> {
    facts.of_machines(|machine| {
        let settings = machine.settings.as_ref().map_err(Clone::clone)?;
        let delay = settings.shutdown_delay;
        let says_pod = |names: &Vec<String>| names.iter().any(|name| name == "KUBERNETES_SERVICE_HOST");
        let is_pod = settings.discovery_strategy == DiscoveryStrategy::Kubernetes
            || machine.environment.as_ref().is_ok_and(says_pod);
        let text = format!("{} s", delay.as_secs_f64());
        Ok(match delay {
            _ if !is_pod => {
                Verdict::ok(format!("{text}; not in a pod, so a load balancer's health check decides"))
            }
            delay if delay >= DELAY => Verdict::ok(text),
            Duration::ZERO => Verdict::fail("0 s: clients are sent to a pod that is gone"),
            _ => Verdict::warn(format!("{text}: endpoints may take 5 s to forget a pod")),
        })
    })
}
