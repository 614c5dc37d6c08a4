//! Encodings: what is written is read, and nothing else is.

use std::collections::BTreeSet;

use super::*;
use crate::apply::apply;
use crate::command::{Command, Response};
use crate::samples::*;
use crate::state::State;

fn many_commands() -> Vec<Command> {
    let mut commands = Commands::new(42);
    (0..3000).map(|_| commands.next()).collect()
}

#[test]
fn every_command_comes_back_as_it_was() {
    let mut kinds = BTreeSet::new();
    for command in many_commands() {
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes).unwrap(), command);
        let name = format!("{command:?}");
        kinds.insert(name.split([' ', '{']).next().unwrap().to_owned());
    }
    assert_eq!(kinds.len(), 32, "the generator makes every kind: {kinds:?}");
}

#[test]
fn replaying_encoded_commands_gives_the_same_state_and_responses() {
    let (mut live, mut replayed) = (State::default(), State::default());
    for command in many_commands() {
        let response = apply(&mut live, &command);
        let decoded = Command::decode(&command.encode()).unwrap();
        assert_eq!(Response::decode(&response.encode()).unwrap(), response);
        assert_eq!(apply(&mut replayed, &decoded), response);
    }
    assert_eq!(live, replayed);
}

#[test]
fn damaged_commands_are_an_error_or_a_command_and_never_a_panic() {
    for command in many_commands().into_iter().take(300) {
        let bytes = command.encode();
        for cut in 0..bytes.len() {
            // A cut may leave a shorter valid message; what matters is that it is decided.
            if let Ok(other) = Command::decode(&bytes[..cut]) {
                assert_ne!(other, command);
            }
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                drop(Command::decode(&damaged));
                drop(Response::decode(&damaged));
            }
        }
    }
}

#[test]
fn foreign_bytes_are_named() {
    assert_eq!(Command::decode(&[]), Err(DecodeError::Empty));
    assert_eq!(Command::decode(&[9]), Err(DecodeError::Format(9)));
    assert_eq!(Command::decode(&[FORMAT]), Err(DecodeError::Missing("command")));
    assert!(matches!(Command::decode(&[FORMAT, 0xff]), Err(DecodeError::Malformed { what: "command", .. })));
    // DeleteOrg of the zero id: tag 5, fixed64.
    let zero_id = [&[FORMAT, 5 << 3 | 1][..], &[0; 8]].concat();
    assert_eq!(Command::decode(&zero_id), Err(DecodeError::Impossible("organization id")));
}

/// The bytes in logs and stores of released versions must stay readable: these may not change.
#[test]
fn the_bytes_of_a_command_are_fixed() {
    let command = Command::DeleteBucket { id: bucket_id(0x0102_0304_0506_0708) };
    assert_eq!(command.encode(), [2, 8 << 3 | 1, 8, 7, 6, 5, 4, 3, 2, 1]);
    let fields = vec![field("cpu", "usage", model::FieldType::Float)];
    let command = Command::RegisterFields { bucket: bucket_id(1), fields };
    let mut expected = vec![2, 0x8a, 0x01, 25, 9, 1, 0, 0, 0, 0, 0, 0, 0, 18, 14, 10, 3];
    expected.extend_from_slice(b"cpu");
    expected.extend_from_slice(&[18, 5]);
    expected.extend_from_slice(b"usage");
    expected.extend_from_slice(&[24, 1]);
    assert_eq!(command.encode(), expected);
}

fn some_state() -> State {
    let mut state = State::default();
    for command in [vec![bootstrap(), set_up()], many_commands()].concat() {
        apply(&mut state, &command);
    }
    state
}

#[test]
fn every_record_comes_back_and_only_under_its_own_key() {
    let state = some_state();
    let mut rebuilt = State::default();
    for change in state.changes() {
        let Record::Put(key, value) = encode_change(&change) else { panic!("{change:?} is put") };
        assert_eq!(decode_record(&key, &value), Ok(change.clone()));
        let mut other = key.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(decode_record(&other, &value).is_err() || change != decode_record(&other, &value).unwrap());
        rebuilt.make(change);
    }
    assert_eq!(rebuilt, state);
}

#[test]
fn a_snapshot_comes_back_and_a_damaged_one_does_not() {
    let state = some_state();
    let bytes = encode_snapshot(&state);
    assert_eq!(decode_snapshot(&bytes).unwrap(), state);
    assert_eq!(encode_snapshot(&State::default()).len(), 33);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(decode_snapshot(&damaged), Err(DecodeError::Checksum));
        assert!(decode_snapshot(&bytes[..at]).is_err());
    }
}

#[test]
fn positions_come_back() {
    for index in [0, 1, 127, u64::MAX] {
        let position = model::LogPosition { index, term: 7, leader: model::ReplicaId(u64::MAX) };
        assert_eq!(decode_position(&encode_position(position)), Ok(position));
    }
}
