//! Whose token a call carries.

use clap::Parser as _;

use super::Connection;

#[derive(clap::Parser)]
struct Call {
    #[command(flatten)]
    connection: Connection,
}

fn own_token(arguments: &[&str]) -> Option<String> {
    let call = Call::parse_from(std::iter::once(&"call").chain(arguments));
    call.connection.own_token().unwrap()
}

#[test]
fn a_token_of_this_call_is_by_flag_or_file() {
    assert_eq!(own_token(&["--token", "abc"]).as_deref(), Some("abc"));
    let path = std::env::temp_dir().join(format!("tidemark-token-{}", std::process::id()));
    std::fs::write(&path, "from-file\n").unwrap();
    let found = own_token(&["--token-file", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found.as_deref(), Some("from-file"));
}
