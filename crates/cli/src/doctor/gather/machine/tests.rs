//! Texts of the kernel.

use super::{host_and_port, listeners, variables};

#[test]
fn listeners_are_read_in_both_families() {
    let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F96 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n   \
        1: 0100007F:1F96 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n";
    assert_eq!(listeners(text), [("127.0.0.1:8086".parse().unwrap(), 4711)]);
    let text = "head\n   0: 00000000000000000000000001000000:1F98 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 \
        4713 1\n";
    assert_eq!(listeners(text), [("[::1]:8088".parse().unwrap(), 4713)]);
    for text in
        ["", "head\n", "head\n0: x", "head\n 0: 0100007F 0 0A", "head\n 0: é100007F:1F96 0 0A 0 0 0 0 0 1"]
    {
        assert!(listeners(text).is_empty(), "{text:?}");
    }
}

#[test]
fn urls_have_hosts_and_ports() {
    let of = |url| host_and_port(url).map(|(host, port)| format!("{host} {port}"));
    assert_eq!(of("http://127.0.0.1:8086").as_deref(), Some("127.0.0.1 8086"));
    assert_eq!(of("https://a.example/x").as_deref(), Some("a.example 443"));
    assert_eq!(of("http://[::1]:8086").as_deref(), Some("::1 8086"));
    assert_eq!(of("http://"), None);
}

#[test]
fn empty_variables_count_as_not_set() {
    let variables = variables("A=1\0B=\0C=x=y\0nothing\0");
    assert_eq!(
        variables.into_iter().collect::<Vec<_>>(),
        [("A".into(), "1".into()), ("C".into(), "x=y".into())]
    );
}
