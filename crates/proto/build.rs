//! Generates the messages of `proto/` with a compiler that is itself a Rust library, so that no `protoc` is needed.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let compile = |file: &str| protox::compile([root.join(file)], [root]);
    let generate = || tonic_prost_build::configure().bytes(".").build_transport(false);
    generate().compile_fds(compile("tidemark/log/v1/log.proto")?)?;
    let peer = generate().extern_path(".tidemark.log.v1", "crate::log");
    peer.compile_fds(compile("tidemark/peer/v1/peer.proto")?)?;
    Ok(())
}
