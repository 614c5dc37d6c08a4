//! No input makes the parser or the checks panic.

use proptest::prelude::*;

use crate::test_source::{LIMITS, Memory, try_run};

/// Pieces of scripts, put together at random.
const PIECES: &[&str] = &[
    "from",
    "(",
    ")",
    "bucket",
    ":",
    "\"b\"",
    "|>",
    "range",
    "{",
    "}",
    "[",
    "]",
    "=>",
    "=",
    "<-",
    ",",
    ".",
    "r",
    "_value",
    "1",
    "2.5",
    "1h",
    "2020-01-01T00:00:00Z",
    "/a/",
    "/",
    "+",
    "-",
    "*",
    "^",
    "and",
    "or",
    "not",
    "exists",
    "if",
    "then",
    "else",
    "option",
    "import",
    "return",
    "builtin",
    "testcase",
    "package",
    "with",
    "\"${",
    "\"",
    "\\",
    "// c\n",
    "\n",
    "@",
    "é",
    "filter(fn: (r) => r._value > 1)",
    "x = 1\n",
    "map",
    "@edition(",
];

proptest! {
    #[test]
    fn pieces_never_panic(picks in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = picks.iter().map(|p| PIECES[*p]).collect::<Vec<_>>().join(" ");
        let _outcome = try_run(&Memory::default(), &text, LIMITS, &mut |_, _, _| {});
    }

    #[test]
    fn any_text_never_panics(text in ".{0,200}") {
        let (_, _) = crate::syntax::parse(&text);
    }
}

#[test]
fn deep_nesting_is_refused_not_recursed() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{a:", "}"), ("-", ""), ("not ", ""), ("f(x:", ")"), ("() => ", "")]
    {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        let error = crate::parse(&text).unwrap_err().to_string();
        assert!(error.contains("nested too deep"), "{open}: {error}");
    }
    let piped = format!("from(bucket: \"b\"){}", " |> limit(n: 1)".repeat(50_000));
    let error = crate::semantic::resolve(&crate::parse(&piped).unwrap()).unwrap_err();
    assert!(error[0].to_string().contains("nested too deep"), "{error:?}");
    let long = format!("x = 1{}", " + 1".repeat(50_000));
    assert!(crate::parse(&long).is_ok());
}
