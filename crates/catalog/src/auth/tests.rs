//! Tokens, passwords, permissions.

use super::*;
use crate::resources::{Action, Permission, ResourceType};
use crate::samples::{Commands, org_id, user, user_id};

fn counting() -> impl FnMut() -> u64 {
    let mut commands = Commands::new(7);
    move || commands.random()
}

#[test]
fn tokens_look_like_influxdbs_and_differ() {
    let mut random = counting();
    let (a, b) = (generate_token(&mut random), generate_token(&mut random));
    assert_ne!(*a, *b);
    assert_eq!(a.len(), 88);
    assert!(a.ends_with("=="));
    assert!(a.trim_end_matches('=').bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
    assert_ne!(generate_token(&mut os_random).as_str(), generate_token(&mut os_random).as_str());
}

#[test]
fn no_token_begins_like_an_option() {
    let firsts: Vec<u8> = (0..=u8::MAX)
        .map(|first| {
            *generate_token(&mut || u64::from(first)).as_bytes().first().expect("a token has characters")
        })
        .collect();
    assert!(!firsts.contains(&b'-'));
    let digits: std::collections::BTreeSet<u8> = firsts.into_iter().collect();
    assert_eq!(digits.len(), 63, "all digits but one");
}

#[test]
fn token_hashes_are_sha_256() {
    let hex: String = hash_token("abc").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(same_secret(b"same", b"same"));
    assert!(!same_secret(b"same", b"sane"));
    assert!(!same_secret(b"same", b"same longer"));
}

#[test]
fn ids_are_never_zero() {
    let mut numbers = [0, 0, 5].into_iter();
    let id = new_id(&mut || numbers.next().unwrap(), model::BucketId::new);
    assert_eq!(id.get(), 5);
}

#[test]
fn passwords_are_hashed_with_salt_and_verified() {
    let mut random = counting();
    let hash = hash_password("correct horse", &mut random).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, hash_password("correct horse", &mut random).unwrap(), "salted");
    assert!(verify_password("correct horse", &hash));
    assert!(!verify_password("correct horsf", &hash));
    assert!(!verify_password("", &hash));
}

#[test]
fn password_lengths_are_influxdbs() {
    let message = "passwords must be between 8 and 72 characters long";
    for length in [0, 7, 73, 1000] {
        let refused = check_password(&"x".repeat(length)).unwrap_err();
        assert_eq!(refused.to_string(), message);
        assert_eq!(hash_password(&"x".repeat(length), &mut os_random), Err(refused));
    }
    for length in [8, 72] {
        assert_eq!(check_password(&"x".repeat(length)), Ok(()));
    }
}

#[test]
fn bcrypt_hashes_of_influxdb_are_understood() {
    let hash = bcrypt::hash_with_salt("howdyhowdy", 4, [7; 16]).unwrap();
    for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
        let text = hash.format_for_version(version);
        assert!(verify_password("howdyhowdy", &text), "{text}");
        assert!(!verify_password("howdyhowdx", &text));
    }
}

#[test]
fn hashes_that_are_none_or_too_dear_have_no_password() {
    let mut dear = hash_password("correct horse", &mut os_random).unwrap();
    dear = dear.replace("m=19456", "m=4194304");
    let bcrypt_dear = bcrypt::hash_with_salt("correct horse", 4, [7; 16]).unwrap().to_string();
    let bcrypt_dear = bcrypt_dear.replacen("$04$", "$31$", 1);
    assert!(bcrypt_dear.starts_with("$2b$31$"));
    for hash in ["", "plain", "$2", "$2b$", "$argon2id$", "$scrypt$x", dear.as_str(), bcrypt_dear.as_str()] {
        assert!(!verify_password("correct horse", hash), "{hash}");
    }
}

#[test]
fn permissions_allow_what_they_name_and_nothing_beyond() {
    let own = Some(org_id(1));
    let other = Some(org_id(2));
    let write = |id, org| Permission { action: Action::Write, resource: ResourceType::Buckets, id, org };
    let table = [
        // (the permission, organization asked, id asked, allowed)
        (write(None, None), own, Some(7), true),
        (write(None, None), None, None, true),
        (write(None, own), own, Some(7), true),
        (write(None, own), own, None, true),
        (write(None, own), other, Some(7), false),
        (write(None, own), None, Some(7), false),
        (write(Some(7), None), own, Some(7), true),
        (write(Some(7), own), own, Some(7), true),
        (write(Some(7), own), other, Some(7), false),
        (write(Some(7), own), own, Some(8), false),
        (write(Some(7), own), own, None, false),
    ];
    for (permission, org, id, allowed) in table {
        let permissions = std::slice::from_ref(&permission);
        let answer = allows(permissions, Action::Write, ResourceType::Buckets, org, id);
        assert_eq!(answer, allowed, "{permission:?} {org:?} {id:?}");
        assert!(!allows(permissions, Action::Read, ResourceType::Buckets, org, id));
        assert!(!allows(permissions, Action::Write, ResourceType::Tasks, org, id));
    }
    assert!(!allows(&[], Action::Read, ResourceType::Buckets, own, None));
}

#[test]
fn an_operator_may_everything_and_all_access_ends_at_the_organization() {
    let (own, other) = (org_id(1), org_id(2));
    let operator = operator();
    let all_access = all_access(own);
    assert_eq!(operator.len(), 2 * ResourceType::ALL.len());
    for action in Action::ALL {
        for resource in ResourceType::ALL {
            assert!(allows(&operator, action, resource, Some(other), Some(9)));
            assert!(!allows(&all_access, action, resource, Some(other), Some(9)), "{resource:?}");
        }
        assert!(allows(&all_access, action, ResourceType::Buckets, Some(own), None));
        assert!(allows(&all_access, action, ResourceType::Orgs, None, Some(own.get())));
        assert!(!allows(&all_access, action, ResourceType::Orgs, None, Some(other.get())));
        assert!(!allows(&all_access, action, ResourceType::Orgs, None, None), "cannot make organizations");
        assert!(!allows(&all_access, action, ResourceType::Instance, Some(own), None));
    }
    let mut ann = user(1, "ann");
    ann.owner_of = vec![own];
    let signed_in = user_permissions(&ann);
    assert!(allows(&signed_in, Action::Write, ResourceType::Buckets, Some(own), Some(3)));
    assert!(allows(&signed_in, Action::Write, ResourceType::Users, None, Some(user_id(1).get())));
    assert!(!allows(&signed_in, Action::Write, ResourceType::Users, None, Some(2)));
}

#[test]
fn the_words_of_resource_types_are_unique_and_come_back() {
    for resource in ResourceType::ALL {
        assert_eq!(ResourceType::from_name(resource.name()), Some(resource));
        assert_eq!(ResourceType::from_code(resource.code()), Some(resource));
    }
    assert_eq!(ResourceType::from_name("any"), None);
    assert_eq!(ResourceType::from_code(0), None);
}
