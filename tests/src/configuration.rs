//! Configuration as an operator meets it.

use std::process::{Command, Output};

use testkit::binary::tidemark_binary;

fn show(dir: &std::path::Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(tidemark_binary());
    command.args(["config", "show", "--origin", "-o", "csv"]).args(args).current_dir(dir);
    command.envs(env.iter().copied()).output().expect("the binary runs")
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("tidemark.toml");
    std::fs::write(&file, "zone = \"from-file\"\ndata-dir = \"from-file\"\nlog-level = \"warn\"\n")
        .expect("a file");
    let output = show(
        dir.path(),
        &["--config", "tidemark.toml", "--zone", "from-flag"],
        &[("TIDEMARK_ZONE", "from-env"), ("TIDEMARK_DATA_DIR", "from-env")],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = |key: &str| {
        text.lines()
            .find(|l| l.starts_with(&format!("{key},")))
            .unwrap_or_else(|| panic!("{key}: {text}"))
            .to_owned()
    };
    assert!(
        line("zone").starts_with("zone,from-flag,") && line("zone").contains("--zone"),
        "{}",
        line("zone")
    );
    assert!(line("data-dir").contains("from-env") && line("data-dir").contains("TIDEMARK_DATA_DIR"));
    assert!(line("log-level").contains("warn") && line("log-level").contains("tidemark.toml:3"));
    assert!(
        line("http-bind-address").contains("127.0.0.1:8086") && line("http-bind-address").contains("default")
    );
}

#[test]
fn an_unknown_key_names_its_file_and_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("wrong.toml"), "# one\n\nhttp-bind-adress = \"127.0.0.1:1\"\n")
        .expect("a file");
    let output = show(dir.path(), &["--config", "wrong.toml"], &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["wrong.toml:3", "http-bind-adress", "http-bind-address"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_influxd_configuration_is_taken_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("config.yml");
    std::fs::write(&file, "http-bind-address: \":9999\"\nlog-level: debug\nbolt-path: /x/influxd.bolt\n")
        .expect("a file");
    let output = show(dir.path(), &[], &[("INFLUXD_CONFIG_PATH", file.to_str().expect("UTF-8"))]);
    let (text, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{talk}");
    assert!(text.contains("9999") && text.contains("debug"), "{text}");
    assert!(talk.contains("bolt-path"), "{talk}");
}
