use super::*;

#[test]
fn lines_of_the_kernel_are_read() {
    let heading =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    assert_eq!(Socket::read(heading), None);
    let line =
        "   1: 1500580A:1F98 0200580A:D8C4 01 00000000:00000000 00:00000000 00000000     0        0 41";
    let socket = Socket::read(line).unwrap();
    assert_eq!(socket.local, "10.88.0.21:8088".parse().unwrap());
    assert_eq!(socket.remote, "10.88.0.2:55492".parse().unwrap());
    assert!(socket.is_open() && !socket.is_over());
}
