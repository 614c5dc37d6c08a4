//! The image as Kubernetes would run it, where a docker daemon of this machine can be reached; elsewhere this says so and
//! shows nothing.

use std::process::Command;

use testkit::binary::{tidemark_binary, workspace_root};

#[test]
fn three_containers_without_rights_are_a_cluster() {
    let daemon = Command::new("docker").arg("info").output();
    if !daemon.is_ok_and(|said| said.status.success()) {
        println!("skipped: no docker daemon can be reached");
        return;
    }
    let tag = format!("TAG=test-{}", std::process::id());
    let prebuilt = format!("PREBUILT={}", tidemark_binary().display());
    let make = |what: &str| {
        let mut make = Command::new("make");
        make.current_dir(workspace_root()).args([what, &tag, &prebuilt]);
        let output = make.output().expect("make runs");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {text}");
        text.into_owned()
    };
    make("docker-build");
    let said = make("docker-test");
    make("docker-remove");
    assert!(said.contains("10 passed"), "{said}");
}
