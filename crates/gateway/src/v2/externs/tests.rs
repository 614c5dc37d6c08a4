//! Syntax trees to text, and where the text goes.

use serde_json::json;

use super::*;

fn value(init: &Value) -> Result<String, ApiError> {
    let id = json!({ "type": "Identifier", "name": "x" });
    let assignment = json!({ "type": "VariableAssignment", "id": id, "init": init });
    prelude(&json!({ "body": [{ "type": "OptionStatement", "assignment": assignment }] }))
}

#[test]
fn literals_become_text() {
    let seconds = json!([{ "magnitude": 1, "unit": "h" }, { "magnitude": 30, "unit": "m" }]);
    for (init, expected) in [
        (json!({ "type": "IntegerLiteral", "value": "-3" }), "-3"),
        (json!({ "type": "FloatLiteral", "value": 2.0 }), "2.0"),
        (json!({ "type": "FloatLiteral", "value": 1e-9 }), "0.000000001"),
        (json!({ "type": "BooleanLiteral", "value": true }), "true"),
        (json!({ "type": "StringLiteral", "value": "a\\\"\n${b}" }), r#""a\\\"\n\x24{b}""#),
        (json!({ "type": "DateTimeLiteral", "value": "2024-01-02T03:04:05+01:00" }), "2024-01-02T02:04:05Z"),
        (json!({ "type": "DurationLiteral", "values": seconds }), "1h30m"),
        (
            json!({ "type": "UnaryExpression", "operator": "-",
                    "argument": { "type": "DurationLiteral", "values": seconds } }),
            "-1h30m",
        ),
        (json!({ "type": "CallExpression", "callee": { "type": "Identifier", "name": "now" } }), "now()"),
        (
            json!({ "type": "ArrayExpression", "elements": [
                { "type": "IntegerLiteral", "value": "1" }, { "type": "Identifier", "name": "y" }] }),
            "[1, y]",
        ),
        (
            json!({ "type": "ObjectExpression", "properties": [{ "key": { "type": "StringLiteral", "value": "a b" },
                    "value": { "type": "BooleanLiteral", "value": false } }] }),
            "{\"a b\": false}",
        ),
    ] {
        assert_eq!(value(&init).unwrap(), format!("option x = {expected} "));
    }
}

#[test]
fn what_could_smuggle_code_is_refused() {
    for init in [
        json!({ "type": "FunctionExpression" }),
        json!({ "type": "Identifier", "name": "a) |> drop(" }),
        json!({ "type": "IntegerLiteral", "value": "1 + 2" }),
        json!({ "type": "DurationLiteral", "values": [{ "magnitude": 1, "unit": "h + x" }] }),
        json!({ "type": "DateTimeLiteral", "value": "now" }),
        json!({ "type": "FloatLiteral", "value": "x" }),
        json!({ "type": "CallExpression", "callee": { "type": "Identifier", "name": "f" }, "arguments": [{}] }),
        json!(null),
    ] {
        assert!(value(&init).is_err(), "{init}");
    }
    assert!(prelude(&json!({ "imports": [{}] })).is_err());
    let mut deep = json!({ "type": "BooleanLiteral", "value": true });
    for _ in 0..40 {
        deep = json!({ "type": "ParenExpression", "expression": deep });
    }
    assert!(value(&deep).is_err());
}

#[test]
fn the_prelude_goes_behind_the_imports() {
    for (script, expected) in [
        ("from()", "P from()"),
        ("", "P "),
        (
            "package main\nimport \"a\"\nimport b \"c/d\"\n\nfrom()",
            "package main\nimport \"a\"\nimport b \"c/d\"\n\nP from()",
        ),
        ("// import \"no\"\nimport \"a\" from()", "// import \"no\"\nimport \"a\" P from()"),
        ("import \"a\"", "import \"a\"\nP "),
        ("imported = 1", "P imported = 1"),
        ("import \"broken", "P import \"broken"),
        ("// only a comment", "// only a comment\nP "),
    ] {
        assert_eq!(insert("P ", script), expected, "{script:?}");
    }
}
