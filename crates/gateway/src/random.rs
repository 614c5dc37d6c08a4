//! Ids, tokens and session keys: from the system's randomness, chosen here because applying a command must not.

use catalog::auth::{generate_token, new_id, os_random};

/// A new id.
pub(crate) fn id<T>(make: impl Fn(u64) -> Option<T>) -> T {
    new_id(&mut os_random, make)
}

/// A new API token.
pub(crate) fn token() -> String {
    generate_token(&mut os_random).to_string()
}

/// A new key of a session.
pub(crate) fn session_key() -> String {
    token()
}

/// A new request id, as 1.x's UUIDs.
pub(crate) fn request_id() -> String {
    let number = u128::from(os_random()) << 64 | u128::from(os_random());
    let hex = format!("{number:032x}");
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
