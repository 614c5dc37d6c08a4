use super::Splitter;

fn points(text: &str) -> Vec<&str> {
    let mut splitter = Splitter::default();
    let mut start = 0;
    let mut points = Vec::new();
    while let Some(end) = splitter.next_end(text.as_bytes()) {
        points.push(&text[start..end]);
        start = end;
    }
    if start < text.len() {
        points.push(&text[start..]);
    }
    points
}

#[test]
fn lines_are_points() {
    assert_eq!(points("a v=1\nb v=2\n"), ["a v=1\n", "b v=2\n"]);
}

#[test]
fn a_newline_in_a_string_is_part_of_it() {
    assert_eq!(points("a v=\"x\ny\\\"\nz\",w=1 5\nb v=2"), ["a v=\"x\ny\\\"\nz\",w=1 5\n", "b v=2"]);
}

#[test]
fn a_quote_in_a_name_is_a_letter() {
    assert_eq!(points("a\"b,t=\" v=1\nb v=2\n"), ["a\"b,t=\" v=1\n", "b v=2\n"]);
}

#[test]
fn an_escaped_blank_does_not_begin_the_fields() {
    assert_eq!(points("a\\ \"b v=1\nb v=2\n"), ["a\\ \"b v=1\n", "b v=2\n"]);
}

#[test]
fn comments_and_blank_lines_are_no_points() {
    assert_eq!(points("# it's \"quoted\n\n  a v=1\nb v=2\n"), ["# it's \"quoted\n\n  a v=1\n", "b v=2\n"]);
}
