//! API tokens: random, shown once, kept only as a hash.
//!
//! A token is 512 random bits, so its plain SHA-256 is as good as a salted slow hash and can be an index. A token
//! that an operator brings along is hashed the same way and is as strong as it was chosen.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use model::{OrgId, UserId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The value of `-` among URL-safe base64's digits of six bits.
const BASE64_HYPHEN: u8 = 62;

/// A new token: 64 random bytes in URL-safe base64 with padding, 88 characters, as InfluxDB's; but none begins with a
/// `-`, which command lines take for an option.
pub fn generate_token(random: &mut dyn FnMut() -> u64) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; 64]);
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&random().to_le_bytes());
    }
    let [first, ..] = &mut *bytes;
    if *first >> 2 == BASE64_HYPHEN {
        *first ^= 0x80;
    }
    Zeroizing::new(URL_SAFE.encode(*bytes))
}

/// SHA-256 of a token, by which authorizations are found.
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// What stands in the place of a token's hash where an authorization holds what InfluxQL has granted a user in an
/// organization. No request can bring a token of this hash along: what is hashed is no UTF-8.
pub fn grants_hash(user: UserId, org: OrgId) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"\xff\xfeInfluxQL grants");
    hasher.update(user.get().to_be_bytes());
    hasher.update(org.get().to_be_bytes());
    hasher.finalize().into()
}

/// Whether two secrets are the same, in a time that depends only on their lengths.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
