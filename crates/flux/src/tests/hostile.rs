//! Changed scripts: parsing never panics, never takes long, and every error's place is inside the text.

use proptest::prelude::*;

use crate::syntax::Diagnostic;

/// Scripts with all of the syntax.
const SCRIPTS: &[&str] = &[
    "from(bucket: \"b\")\n  |> range(start: -1h, stop: now())\n  |> filter(fn: (r) => r._measurement == \"cpu\" and r[\"host\"] =~ /a\\/b.*/)\n  |> aggregateWindow(every: 1m, fn: mean, createEmpty: false)\n  |> yield(name: \"mean\")\n",
    "import \"array\"\nimport d \"date\"\noption now = () => 2020-01-01T00:00:00.5+01:00\noption location = {zone: \"UTC\", offset: 0h}\nx = array.from(rows: [{_time: 2020-01-01, v: 1.5, \"a b\": \"s ${1 + 2} t ${\"n\"}\"}])\nx |> map(fn: (r) => ({r with w: if exists r.v then -r.v ^ 2.0 else 1e3, d: 1h30m}))\n",
    "@edition(\"2022.1\")\npackage p\nf = (tables=<-, n=3, m) => {\n  // comment é\n  a = [\"k\": 1, \"l\": 2]\n  return tables |> limit(n: n % 2 * m - 1)\n}\nbuiltin g : (<-t: stream[A], ?n: int, m: [string: {B with x: float}]) => [A] where A: Record + Equatable\ntestcase t extends \"u\" { y = not (1 <= 2 or \"a\" !~ /b/) }\n",
    "x = [:]\ny = [1, .5, 2y3mo4w5d6h7m8s9ms1us2ns]\nz = y[0].a[\"b\"](c: 1, d)\nlabel = .name\n",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "${",
    "\\",
    "/",
    "//",
    "\\/",
    "|>",
    "=>",
    "<-",
    "=",
    "==",
    "=~",
    ":",
    ",",
    ".",
    "..",
    "@",
    "@a(",
    "\n",
    "\r",
    "\t",
    "é",
    "\u{2028}",
    "\u{0}",
    "99999999999999999999",
    "1e999",
    "2020-99-99",
    "1h",
    "9999999999y",
    "with",
    "import",
    "option",
    "return ",
    "builtin ",
    "if ",
    " then ",
    " else ",
    "not ",
    "exists ",
    "-",
    "/[/",
    "/a{9}{9}/",
    "\"\\xff\"",
    "stream[",
    "where",
];

fn check_places(text: &str, errors: &[Diagnostic]) -> Result<(), TestCaseError> {
    let lines: Vec<_> = text.split('\n').collect();
    for error in errors {
        for place in [error.span.start, error.span.end] {
            let line = usize::try_from(place.line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
            let inside = line.is_some_and(|line| (1..=line.len() + 1).contains(&(place.column as usize)));
            prop_assert!(inside, "{text:?}: {error}");
        }
        prop_assert!(error.span.start <= error.span.end, "{text:?}: {error}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn changed_scripts_have_errors_inside_the_text(
        script in proptest::sample::select(SCRIPTS.to_vec()),
        changes in prop::collection::vec((0..3_u8, 0..2_000_usize, 0..2_000_usize, 1..30_usize, 0..PIECES.len(), 1..300_usize), 1..8),
    ) {
        let mut chars: Vec<char> = script.chars().collect();
        for (kind, at, to, len, piece, times) in changes {
            let at = at % (chars.len() + 1);
            let part = at..(at + len).min(chars.len());
            match kind {
                0 => drop(chars.drain(part)),
                1 => {
                    let copy = chars[part].to_vec();
                    let to = to % (chars.len() + 1);
                    chars.splice(to..to, copy);
                }
                _ => {
                    let inserted = PIECES[piece].repeat(if times % 4 == 0 { times } else { 1 });
                    chars.splice(at..at, inserted.chars());
                }
            }
        }
        let text: String = chars.into_iter().collect();
        let (file, errors) = crate::syntax::parse(&text);
        drop(file.dump());
        check_places(&text, &errors)?;
        if errors.is_empty() && let Err(errors) = crate::semantic::resolve(&file) {
            check_places(&text, &errors)?;
        }
    }
}

#[test]
fn scripts_are_read_in_one_pass() {
    // Each of these once, or the square of it: then this takes minutes.
    for piece in
        ["\\/", "/ ", "/\\", "\"\\", "${", "\"${", "a \"", "(a", "1h", "@a(", "x /", "/\n", "\"\n\"", "a.b\n"]
    {
        let text = piece.repeat((1 << 20) / piece.len());
        let (_, errors) = crate::syntax::parse(&format!("x = {text}"));
        check_places(&format!("x = {text}"), &errors).unwrap();
    }
}

#[test]
fn regular_expressions_are_counted() {
    let script = |count: usize| format!("x = [{}]", vec!["/a/"; count].join(", "));
    assert!(crate::parse(&script(1_000)).is_ok());
    let error = crate::parse(&script(1_001)).unwrap_err().to_string();
    assert!(error.contains("more than 1000 regular expressions"), "{error}");
}
