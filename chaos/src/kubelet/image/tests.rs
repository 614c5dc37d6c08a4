use super::*;

#[test]
fn the_last_stage_counts() {
    let text = "FROM rust AS build\nENV A=1\nENTRYPOINT [\"/build\"]\nFROM scratch\nENV TIDEMARK_DATA_DIR=/d \\\n    B=\"2\"\n\
                USER 1000:1000\nENTRYPOINT [\"/usr/local/bin/tidemark\"]\nCMD [\"serve\", \"--x\"]\n";
    let image = Image::read(text);
    assert_eq!(image.entry_point, ["/usr/local/bin/tidemark"]);
    assert_eq!(image.command, ["serve", "--x"]);
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(image.environment, [one("TIDEMARK_DATA_DIR", "/d"), one("B", "2")]);
    assert_eq!(image.user, 1000);
}

#[test]
fn ours_by_name_wherever_it_is_kept() {
    for ours in ["tidemark", "tidemark:v1", "registry.example.com:5000/team/tidemark:v1@sha256:ab"] {
        assert!(is_ours(ours), "{ours}");
    }
    assert!(!is_ours("grafana/grafana:11") && !is_ours("tidemark-backup"));
}
