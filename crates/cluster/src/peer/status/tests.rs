//! What is said is what is read.

use model::PartitionId;

use super::*;
use crate::comparison::Outcome;

fn status(group: GroupId, leader: Option<u64>) -> GroupStatus {
    GroupStatus {
        group,
        replica: ReplicaId(7),
        leader: leader.map(ReplicaId),
        leading: leader == Some(7),
        term: 3,
        last: Some(12),
        committed: Some(11),
        applied: Some(10),
        purged: None,
        in_flight_bytes: 5,
        files: Some((3, 9)),
        voters: vec![ReplicaId(7), ReplicaId(8)],
        compared: leader.map(|leader| Compared {
            index: 10,
            outcome: if leader == 7 {
                Outcome::Held(Digest { sum: 4, values: 2 })
            } else {
                Outcome::Failed("a file is lost".to_owned())
            },
        }),
        running: true,
    }
}

#[test]
fn a_report_is_read_as_it_was_said() {
    let groups = vec![
        status(GroupId::Meta, None),
        status(GroupId::Data(PartitionId(0)), Some(7)),
        status(GroupId::Data(PartitionId(u16::MAX)), Some(8)),
    ];
    for space in [None, Some(Space { free_bytes: 0, total_bytes: 9 })] {
        let text = |text: &str| text.to_owned();
        let gateway = GatewayInfo {
            id: 5,
            address: text("a:1"),
            zone: text("z"),
            version: text("1"),
            level: catalog::Level::NEWEST,
        };
        let report = NodeReport { groups: groups.clone(), space, gateways: vec![gateway] };
        assert_eq!(read(message(&report)), Some(report));
    }
    let mut wrong = message(&NodeReport { groups, space: None, gateways: Vec::new() });
    wrong.groups[0].group = u32::MAX;
    assert_eq!(read(wrong), None);
}
