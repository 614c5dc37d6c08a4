use super::*;

fn part(id: &str, parent: Option<&str>, began: &str) -> Part {
    Part {
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
        name: format!("part {id}"),
        began: began.to_owned(),
        took: Duration::from_micros(1500),
        ..Part::default()
    }
}

#[test]
fn parts_are_drawn_below_what_they_are_part_of_in_the_order_of_time() {
    let mut first = part("a", None, "1");
    first.node = "2".to_owned();
    first.about = vec![("rows".to_owned(), "7".to_owned()), ("shards".to_owned(), "0,3".to_owned())];
    let mut last = part("c", Some("a"), "4");
    last.error = Some("gone".to_owned());
    // One whose parent nobody knows, one that is its own, and two out of order.
    let parts =
        [part("own", Some("own"), "6"), last, part("b", Some("a"), "3"), part("d", Some("x"), "5"), first];
    let lines = Tree::lines(vec![Tree::new("select").with(Tree::of_parts(&parts))]);
    let expected = "
.
└── select
    ├── part a
    │   ├── labels
    │   │   ├── node: 2
    │   │   └── shards: 0,3
    │   ├── rows: 7
    │   ├── time: 1.5ms
    │   ├── part b
    │   │   └── time: 1.5ms
    │   └── part c
    │       ├── labels
    │       │   └── error: gone
    │       └── time: 1.5ms
    ├── part d
    │   └── time: 1.5ms
    └── part own
        └── time: 1.5ms";
    assert_eq!(lines.join("\n"), expected.trim_start());
}

#[test]
fn what_is_part_of_each_other_is_not_drawn_for_ever() {
    assert!(Tree::of_parts(&[part("a", Some("b"), "1"), part("b", Some("a"), "2")]).is_empty());
}
