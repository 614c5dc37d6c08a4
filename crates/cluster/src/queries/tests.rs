//! Numbers that say where, and what nodes say of queries.

use super::*;

fn node(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

#[test]
fn numbers_say_where_a_query_runs_and_fit_into_a_float() {
    let last = query_id(Some(node(NODES - 1)), u64::MAX);
    assert_eq!(last, (1 << 53) - 1);
    for (id, count) in [(1, 1), (2, 1), (4096, 7), (NODES - 1, u64::MAX)] {
        let number = query_id(Some(node(id)), count);
        assert!(is_at(node(id), number) && !is_at(node(id + 1), number), "{id} {count}");
        assert_eq!(number & ((1 << COUNTED_BITS) - 1), count & ((1 << COUNTED_BITS) - 1));
    }
    assert_eq!(query_id(None, 5), 5);
    assert!(!is_at(node(1), query_id(None, 5)));
}

struct Two;

impl Queries for Two {
    fn running(&self, org: Option<OrgId>) -> Vec<RunningQuery> {
        let one = |id| RunningQuery {
            id,
            org: OrgId::new(id).unwrap(),
            text: format!("SELECT {id}"),
            database: "d".to_owned(),
            took: Duration::from_nanos(id),
            is_killed: id == 2,
        };
        [one(1), one(2)].into_iter().filter(|query| org.is_none_or(|org| query.org == org)).collect()
    }

    fn kill(&self, org: Option<OrgId>, id: u64) -> bool {
        self.running(org).iter().any(|query| query.id == id)
    }
}

#[test]
fn what_is_said_is_what_is_read() {
    let ask = |org, kill| answer(&Two, &peer::QueriesRequest { org, kill });
    let read_all = |org| ask(org, None).queries.into_iter().filter_map(read).collect::<Vec<_>>();
    assert_eq!(read_all(0), Two.running(None));
    assert_eq!(read_all(2), Two.running(OrgId::new(2)));
    assert!(ask(0, Some(1)).killed && ask(1, Some(1)).killed);
    assert!(!ask(2, Some(1)).killed && !ask(0, Some(3)).killed);
}
