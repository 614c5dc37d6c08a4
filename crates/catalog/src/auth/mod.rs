//! Who may do what: tokens, passwords, permissions, and the random ids of new records.
//!
//! Randomness comes in as an argument (`&mut dyn FnMut() -> u64`, in production [`os_random`]), so that whoever
//! drives time can drive it too. Nothing here is used by `apply`.

mod passwords;
mod permissions;
#[cfg(test)]
mod tests;
mod tokens;

pub use passwords::{
    PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN, PasswordError, check_password, hash_password, verify_password,
};
pub use permissions::{all_access, allows, operator, user_permissions};
pub use tokens::{generate_token, grants_hash, hash_token, same_secret};

/// A random number of the operating system.
pub fn os_random() -> u64 {
    getrandom::u64().expect("the operating system has random numbers: without them no secret can be made")
}

/// A random id for a new record; never zero. `wrap` is the id type's `new`.
pub fn new_id<Id>(random: &mut dyn FnMut() -> u64, wrap: impl Fn(u64) -> Option<Id>) -> Id {
    loop {
        if let Some(id) = wrap(random()) {
            return id;
        }
    }
}
