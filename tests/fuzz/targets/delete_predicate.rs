//! The predicate of a delete: any text is an error that names a place inside it, or a predicate that can be logged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::predicate::codec::{decode, encode};

// The file alone: the crate around it would bring all that serves HTTP.
#[path = "../../../crates/gateway/src/v2/delete"]
mod delete {
    mod predicate;

    pub fn parse(text: &str) -> Result<model::Predicate, String> {
        predicate::parse(text).map_err(|error| error.to_string())
    }
}

fuzz_target!(|text: &str| {
    match delete::parse(text) {
        Ok(predicate) => {
            let encoded = encode(&predicate).expect("what is accepted can be logged");
            assert_eq!(decode(&encoded).expect("what was encoded"), predicate);
        }
        Err(message) => {
            let place = message.rsplit_once("position ").and_then(|(_, place)| place.parse::<usize>().ok());
            assert!(place.is_none_or(|place| place <= text.chars().count()), "{text:?}: {message}");
        }
    }
});
