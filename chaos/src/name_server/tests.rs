use super::*;

const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);

fn book(answer: Answer) -> Book {
    let addresses = vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
    let addresses = BTreeMap::from([("nodes.chaos".to_owned(), addresses)]);
    Book { addresses, answer, nobody: NOBODY, asked: BTreeMap::new() }
}

/// A question for a name of two labels.
fn question(first: &str, kind: u8) -> Vec<u8> {
    let mut question = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [first, "chaos"] {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.bytes());
    }
    question.extend([0, 0, kind, 0, 1]);
    question
}

/// The code of the answer, and the addresses in it.
fn ask(answer: Answer, first: &str, kind: u8) -> Option<(u8, Vec<[u8; 4]>)> {
    let question = question(first, kind);
    let reply = book(answer).reply(&question)?;
    assert_eq!((&reply[..2], &reply[HEADER..question.len()]), (&question[..2], &question[HEADER..]));
    let (records, rest) = reply[question.len()..].as_chunks::<16>();
    assert!(rest.is_empty() && records.len() == usize::from(reply[7]), "{reply:?}");
    Some((reply[3] & 0x0f, records.iter().map(|record| record[12..].try_into().unwrap()).collect()))
}

#[test]
fn a_name_stands_for_what_the_server_was_told() {
    let both = vec![[10, 0, 0, 1], [10, 0, 0, 2]];
    assert_eq!(ask(Answer::True, "nodes", 1), Some((0, both.clone())));
    assert_eq!(ask(Answer::True, "NODES", 1), Some((0, both)));
    // Addresses of version 6 it has none.
    assert_eq!(ask(Answer::True, "nodes", 28), Some((0, Vec::new())));
    assert_eq!(ask(Answer::True, "other", 1), Some((3, Vec::new())));
}

#[test]
fn it_can_be_told_to_be_of_no_use() {
    assert_eq!(ask(Answer::Unknown, "nodes", 1), Some((3, Vec::new())));
    assert_eq!(ask(Answer::Wrong, "nodes", 1), Some((0, vec![NOBODY.octets()])));
    assert_eq!(ask(Answer::Silence, "nodes", 1), None);
}

#[test]
fn what_is_no_question_gets_no_answer() {
    let question = question("nodes", 1);
    for length in 0..question.len() {
        assert_eq!(book(Answer::True).reply(&question[..length]), None, "{length}");
    }
}
