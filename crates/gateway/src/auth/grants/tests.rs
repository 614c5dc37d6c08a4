//! What rights cover.

use super::*;

fn org(id: u64) -> OrgId {
    OrgId::new(id).unwrap()
}

fn grants(permissions: &[(Action, ResourceType, Option<u64>, Option<u64>)]) -> Grants {
    let permission = |(action, resource, id, in_org): &(Action, ResourceType, Option<u64>, Option<u64>)| {
        Permission { action: *action, resource: *resource, id: *id, org: in_org.map(org) }
    };
    Grants(permissions.iter().map(permission).collect())
}

use Action::{Read, Write};
use ResourceType::{Buckets, Orgs, Users};

#[test]
fn rights_end_at_the_organization_and_at_the_id() {
    let some = grants(&[(Read, Buckets, None, Some(1)), (Write, Buckets, Some(7), Some(1))]);
    assert!(some.allow(Read, Buckets, Some(9), Some(org(1))));
    assert!(!some.allow(Read, Buckets, Some(9), Some(org(2))));
    assert!(some.allow(Write, Buckets, Some(7), Some(org(1))));
    assert!(!some.allow(Write, Buckets, Some(8), Some(org(1))));
    assert!(!some.allow(Write, Buckets, None, Some(org(1))), "one is not all");
    let refused = some.require(Write, Buckets, Some(8), Some(org(1))).unwrap_err();
    assert_eq!(refused.message, "write:orgs/0000000000000001/buckets/0000000000000008 is unauthorized");
}

#[test]
fn owners_rule_inside_their_organization() {
    let owner = Grants::owner(org(1));
    assert!(owner.allow(Write, Buckets, None, Some(org(1))));
    assert!(owner.allow(Write, Orgs, Some(1), Some(org(1))));
    assert!(owner.see_org(org(1)));
    assert!(!owner.see_org(org(2)));
    assert!(!owner.allow(Read, Buckets, None, Some(org(2))));
    assert!(!owner.allow(Write, Orgs, None, None), "making organizations is the operator's");
}

#[test]
fn covering_is_never_wider() {
    let mine = grants(&[(Read, Buckets, None, Some(1)), (Read, Users, Some(3), None)]);
    let wanted = |list: &[(Action, ResourceType, Option<u64>, Option<u64>)]| mine.cover(&grants(list).0);
    assert!(wanted(&[(Read, Buckets, Some(5), Some(1)), (Read, Users, Some(3), None)]));
    assert!(!wanted(&[(Read, Buckets, None, None)]), "all organizations is more than one");
    assert!(!wanted(&[(Read, Users, None, None)]));
    assert!(!wanted(&[(Read, Buckets, None, Some(1)), (Write, Buckets, None, Some(1))]));
}
