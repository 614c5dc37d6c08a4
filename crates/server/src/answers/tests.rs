//! When an answer is kept, and how long. That it is always what would be computed is shown with engines and writes, from
//! outside.

use std::sync::Arc;

use bytes::Bytes;
use catalog::{Catalog, MemoryStore};
use gateway::ports::Asked;
use memory::{Memory, Shares};
use model::{BucketId, LogPosition, OrgId, ReplicaId, TimeRange, Timestamp};

use super::{Answers, PARTS_MAX, Part, Reach, State};

struct Fixture {
    catalog: Catalog,
    memory: Arc<Memory>,
    answers: Arc<Answers>,
}

impl Fixture {
    fn new() -> Self {
        let memory = Memory::new(64 << 20, Shares::STANDARD, 0);
        let catalog = Catalog::open(Box::new(MemoryStore::default())).unwrap();
        Self { catalog, answers: Answers::new(&memory), memory }
    }

    fn state(&self) -> State<'_> {
        State { catalog: &self.catalog, engines: &[], now: Timestamp(0) }
    }

    /// Asks as a query does: what is kept is given, else the answer is computed and offered.
    fn ask(&self, question: &Arc<Asked>, reach: &Reach, computed: &Bytes) -> Option<Bytes> {
        let known = self.answers.known(question);
        if let Some(answer) = known.and_then(|known| known.answer(&self.state())) {
            return Some(answer);
        }
        let before = self.answers.before(question, &self.state());
        self.answers.keep(Arc::clone(question), before, reach, computed.clone());
        None
    }
}

fn asked(query: &str) -> Arc<Asked> {
    Arc::new(Asked {
        org: OrgId::new(1).unwrap(),
        query: query.to_owned(),
        params: None,
        database: None,
        retention_policy: None,
        readable: None,
        form: String::new(),
    })
}

fn part(end: i64) -> Part {
    let range = TimeRange::new(Timestamp(0), Timestamp(end));
    Part { bucket: BucketId::new(1).unwrap(), range, whole_shards: false }
}

#[test]
fn what_is_asked_twice_is_kept_until_the_catalog_changes() {
    let fixture = Fixture::new();
    let (question, reach, answer) = (asked("a"), Reach::default(), Bytes::from("x"));
    assert_eq!(fixture.ask(&question, &reach, &answer), None, "nobody knows what it reads");
    assert_eq!(fixture.ask(&question, &reach, &answer), None, "known, and kept with the stamps of before");
    assert_eq!(fixture.ask(&question, &reach, &answer), Some(answer.clone()));
    assert_eq!(fixture.ask(&asked("b"), &reach, &answer), None);
    assert!(fixture.memory.answers.used() > 0);

    fixture.catalog.apply_blank(LogPosition { index: 1, term: 1, leader: ReplicaId(1) }).unwrap();
    assert_eq!(fixture.ask(&question, &reach, &answer), None);
    assert_eq!(fixture.ask(&question, &reach, &answer), Some(answer));
}

#[test]
fn what_is_large_or_read_of_many_places_or_elsewhere_is_not_kept() {
    let fixture = Fixture::new();
    let large = Bytes::from(vec![0; fixture.answers.answer_bytes_max + 1]);
    let reach = Reach::default();
    for _ in 0..4 {
        assert_eq!(fixture.ask(&asked("large"), &reach, &large), None);
    }
    let elsewhere = Reach::default();
    elsewhere.note_elsewhere();
    for _ in 0..4 {
        assert_eq!(fixture.ask(&asked("elsewhere"), &elsewhere, &Bytes::from("x")), None);
    }
    for end in 0..=PARTS_MAX {
        reach.note(part(i64::try_from(end).unwrap()));
    }
    for _ in 0..4 {
        assert_eq!(fixture.ask(&asked("far"), &reach, &Bytes::from("x")), None);
    }
}

#[test]
fn where_something_else_was_read_the_stamps_of_before_do_not_count() {
    let fixture = Fixture::new();
    let (question, answer) = (asked("a"), Bytes::from("x"));
    let (first, second) = (Reach::default(), Reach::default());
    second.note(part(1));
    assert_eq!(fixture.ask(&question, &first, &answer), None);
    assert_eq!(fixture.ask(&question, &second, &answer), None);
    // A bucket that is not there: nothing is known of its points.
    assert_eq!(fixture.ask(&question, &second, &answer), None);
    assert_eq!(fixture.ask(&question, &second, &answer), None);
}
