//! Passwords: argon2id for ours, bcrypt understood for those brought from InfluxDB.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

/// Shortest password, in bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Longest password, in bytes: beyond it bcrypt, which InfluxDB uses, would ignore the rest.
pub const PASSWORD_BYTES_MAX: usize = 72;

/// Costliest imported hashes that are still verified: more would let one sign-in stall the node.
const BCRYPT_COST_MAX: u32 = 16;
const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
const ARGON2_PASSES_MAX: u32 = 16;

/// Why a password cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("passwords must be between {PASSWORD_BYTES_MIN} and {PASSWORD_BYTES_MAX} characters long")]
    Length,
}

/// Whether a password may be set.
///
/// # Errors
/// [`PasswordError::Length`]; the message is InfluxDB's.
pub fn check_password(password: &str) -> Result<(), PasswordError> {
    if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        Ok(())
    } else {
        Err(PasswordError::Length)
    }
}

/// The hash of a password, argon2id in PHC string format. Takes tens of milliseconds of CPU and 19 MiB: not for
/// threads that serve others.
///
/// # Errors
/// As [`check_password`].
pub fn hash_password(password: &str, random: &mut dyn FnMut() -> u64) -> Result<String, PasswordError> {
    check_password(password)?;
    let mut salt = [0u8; 16];
    for chunk in salt.chunks_exact_mut(8) {
        chunk.copy_from_slice(&random().to_le_bytes());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hash: PasswordHash = argon2
        .hash_password_with_salt(password.as_bytes(), &salt)
        .expect("the length of the password is checked, and the salt and the parameters are fixed");
    Ok(hash.to_string())
}

/// Whether a password has a hash, argon2 in PHC string format or bcrypt (`$2a$`, `$2b$`, `$2y$`). A hash that is
/// neither, or dearer than the limits, has no password. As costly as [`hash_password`].
pub fn verify_password(password: &str, hash: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    if hash.starts_with("$2") {
        let cost = hash.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
        return cost.is_ok_and(|c| c <= BCRYPT_COST_MAX) && bcrypt::verify(password, hash).unwrap_or(false);
    }
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    let Ok(params) = Params::try_from(&parsed) else { return false };
    params.m_cost() <= ARGON2_MEMORY_KIB_MAX
        && params.t_cost() <= ARGON2_PASSES_MAX
        && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}
