use super::*;

#[test]
fn ids_read_and_print_as_sixteen_digits() {
    let id: BucketId = "00000000000000ff".parse().expect("valid");
    assert_eq!((id.get(), id.to_string()), (255, "00000000000000ff".into()));
    assert_eq!(format!("{id:?}"), "BucketId(00000000000000ff)");
    assert_eq!("FFFFFFFFFFFFFFFF".parse::<OrgId>().map(OrgId::get), Ok(u64::MAX));
    assert_eq!("0".parse::<OrgId>(), Err(IdError::Length));
    assert_eq!("000000000000000g".parse::<OrgId>(), Err(IdError::Digits));
    assert_eq!("+000000000000001".parse::<OrgId>(), Err(IdError::Digits));
    assert_eq!("0000000000000000".parse::<OrgId>(), Err(IdError::Zero));
    assert_eq!(UserId::new(0), None);
}

#[test]
fn groups_have_numbers() {
    for (group, number, name) in [
        (GroupId::Meta, 0, "meta"),
        (GroupId::Data(PartitionId(0)), 1, "data-0"),
        (GroupId::Data(PartitionId(u16::MAX)), 65_536, "data-65535"),
    ] {
        assert_eq!((group.number(), GroupId::from_number(number)), (number, Some(group)));
        assert_eq!(group.to_string(), name);
    }
    assert_eq!(GroupId::from_number(65_537), None);
}

#[test]
fn a_group_is_read_as_it_prints() {
    for group in [GroupId::Meta, GroupId::Data(PartitionId(0)), GroupId::Data(PartitionId(u16::MAX))] {
        assert_eq!(group.to_string().parse(), Ok(group));
    }
    assert_eq!("7".parse(), Ok(GroupId::Data(PartitionId(7))));
    for wrong in ["", "Meta", "data-", "data-x", "data-+1", "-1", "data-65536", "data-1 "] {
        assert_eq!(wrong.parse::<GroupId>(), Err(GroupNameError), "{wrong}");
    }
}
