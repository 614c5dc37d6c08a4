//! Machines and containers as files.

use super::*;

const GIB: u64 = 1 << 30;

fn chosen(configured: Option<usize>, files: &[(&str, &str)]) -> Chosen {
    memory_to_divide(configured, |path| {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    })
}

fn bytes(files: &[(&str, &str)]) -> u64 {
    let chosen = chosen(None, files);
    assert_eq!(chosen.warning, None);
    chosen.bytes as u64
}

const MACHINE: (&str, &str) =
    ("/proc/meminfo", "MemFree: 5 kB\nMemTotal:       16777216 kB\nBuffers: 1 kB\n");

#[test]
fn half_of_the_machine_without_a_control_group() {
    assert_eq!(bytes(&[MACHINE]), 8 * GIB);
    assert_eq!(
        bytes(&[MACHINE, ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")]),
        8 * GIB
    );
}

#[test]
fn half_of_the_tightest_control_group() {
    let group = ("/proc/self/cgroup", "0::/system.slice/tidemark.service\n");
    let own = ("/sys/fs/cgroup/system.slice/tidemark.service/memory.max", "max\n");
    let above = ("/sys/fs/cgroup/system.slice/memory.max", "4294967296\n");
    assert_eq!(bytes(&[MACHINE, group, own, above]), 2 * GIB);
    let own = ("/sys/fs/cgroup/system.slice/tidemark.service/memory.max", "2147483648\n");
    assert_eq!(bytes(&[MACHINE, group, own, above]), GIB);
    // A container sees its own group as the root, under a path that it does not see.
    let root = ("/sys/fs/cgroup/memory.max", "6442450944\n");
    assert_eq!(bytes(&[MACHINE, ("/proc/self/cgroup", "0::/docker/0123\n"), root]), 3 * GIB);
}

#[test]
fn the_older_control_groups_too() {
    let groups = ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n1:name=systemd:/x\n");
    let limit = ("/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "3221225472\n");
    let unlimited = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(bytes(&[MACHINE, groups, limit, unlimited]), 3 * GIB / 2);
    assert_eq!(bytes(&[MACHINE, groups, unlimited]), 8 * GIB);
}

#[test]
fn a_small_container_keeps_room_beside_what_is_divided() {
    let of = |mib: u64| bytes(&[("/proc/meminfo", &format!("MemTotal: {} kB\n", mib << 10))]) >> 20;
    assert_eq!([512, 640, 768, 1024].map(of), [128, 256, 384, 512]);
}

#[test]
fn less_than_the_least_and_more_than_there_is_are_warned_of() {
    let small = ("/proc/meminfo", "MemTotal: 393216 kB\n");
    let tight = chosen(None, &[small]);
    assert_eq!(tight.bytes, MEMORY_BYTES_MIN);
    assert!(tight.warning.unwrap().contains("402653184 bytes of memory"));
    let unknown = chosen(None, &[]);
    assert_eq!(unknown.bytes, MEMORY_BYTES_MIN);
    assert!(unknown.warning.is_some());
    let bold = chosen(Some(1 << 30), &[small]);
    assert_eq!(bold.bytes, 1 << 30);
    assert!(bold.warning.is_some());
    assert_eq!(chosen(Some(1 << 30), &[MACHINE]), Chosen { bytes: 1 << 30, warning: None });
}

#[test]
fn what_the_process_holds_is_read_from_its_status() {
    let status = "VmHWM:\t 100 kB\nVmRSS:\t   12 kB\n";
    assert_eq!(held(|_| Some(status.to_owned())), Some(12 << 10));
    assert_eq!(held(|_| None), None);
}
