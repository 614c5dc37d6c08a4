//! What is said of malformed scripts, with the places, byte for byte. `UPDATE_EXPECT=1` writes the file anew.

use expect_test::expect_file;

/// Scripts that are none. ⏎ stands for a new line.
const SCRIPTS: &[&str] = &[
    "from(",
    "from(bucket: \"b\"",
    "from(bucket \"b\")",
    "from(bucket: )",
    "from(bucket: \"b\") |>",
    "from(bucket: \"b\") |> range",
    "from(bucket: \"b\") |> range(start: -1h))",
    "from(bucket: \"b\")⏎  |> range(start: -1h)⏎  |> filter(fn: (r) => r._m == )",
    "from(bucket: \"b\")⏎  |> filter(fn: (r) = r._m)",
    "from(bucket: \"b\")⏎  |> filter(fn: (r => r._m)",
    "from(bucket: \"b\")⏎  |> filter(fn: (r) => { return r._m )",
    "from(bucket: \"b\")⏎  |> filter(fn: (r) => { r._m })",
    "|> range(start: -1h)",
    "x = ",
    "x == ",
    "= 1",
    "x = 1 +",
    "x = 1 + * 2",
    "x = (1",
    "x = 1)",
    "x = [1, 2",
    "x = [1 2]",
    "x = [\"a\": 1, 2]",
    "x = [\"a\": ]",
    "x = {a: 1, b}⏎y = {a: 1, : 2}",
    "x = {a: 1",
    "x = {a = 1}",
    "x = {1: 2}",
    "x = {r with }⏎y = {with a: 1}",
    "x = \"abc",
    "x = \"a ${b",
    "x = \"a ${} c\"",
    "x = \"a\\q\"",
    "x = \"a\\x4\"",
    "x = \"\\xff\"",
    "x = /a",
    "x = /a(/",
    "x = /[z-a]/",
    "x = 99999999999999999999",
    "x = 99999999999999999999h",
    "x = 2020-13-01",
    "x = 2020-01-01T25:00:00Z",
    "if true then 1",
    "x = if true 1 else 2",
    "x = if then 1 else 2",
    "x = not",
    "x = exists",
    "x = a and",
    "x = a or or b",
    "x = a.",
    "x = a[",
    "x = a[1",
    "x = a..b",
    "f = (a, b=) => a",
    "f = (a b) => a",
    "f = (a, 1) => a",
    "f = (a) =>",
    "f = () => {",
    "f = () => { return }",
    "f(a: 1, a)",
    "f(1, 2)",
    "f(a: 1 b: 2)",
    "import",
    "import a",
    "import 5",
    "import \"a",
    "package",
    "package \"a\"",
    "option",
    "option x",
    "option x.",
    "option x = ",
    "option 5 = 1",
    "return",
    "builtin",
    "builtin f",
    "builtin f : ",
    "builtin f : (a) => int",
    "builtin f : [int",
    "testcase",
    "testcase t",
    "testcase t {",
    "@",
    "@edition(\"2022.1\"",
    "#",
    "x = 1 # 2",
    "é = ©",
    "x = 1⏎⏎  y = §⏎z = )",
    "x = y",
    "x = 1⏎x |> nothing()",
    "import \"no/such\"",
    "from(bucket: \"b\") |> no_such(a: 1)",
];

#[test]
fn errors_have_the_words_and_places_they_had() {
    let (mut out, mut harmless) = (String::new(), Vec::new());
    for script in SCRIPTS {
        let text = script.replace('⏎', "\n");
        let errors = match crate::syntax::parse(&text) {
            (file, errors) if errors.is_empty() => crate::semantic::resolve(&file).err().unwrap_or_default(),
            (_, errors) => errors,
        };
        if errors.is_empty() {
            harmless.push(*script);
        }
        out.push_str(&format!("{script}\n"));
        for error in errors {
            out.push_str(&format!("    {}\n", error.to_string().replace('\n', "⏎")));
        }
    }
    assert!(harmless.is_empty(), "no errors: {harmless:#?}");
    expect_file!["errors.txt"].assert_eq(&out);
}
