//! Trees and errors of the parser, as text.

use expect_test::{Expect, expect};

use super::parse;

fn check(script: &str, expected: &Expect) {
    let (file, errors) = parse(script);
    let mut text = file.dump();
    for error in errors {
        text.push_str(&format!("{error}\n"));
    }
    expected.assert_eq(&text);
}

#[test]
fn a_pipeline() {
    check(
        "from(bucket: \"b\")\n  |> range(start: -1h)\n  |> filter(fn: (r) => r._m == \"c\" and r[\"x\"] =~ /a\\/b/)",
        &expect![[r#"
            file 1:1-3:57
            pipe 1:1-3:57
              call 1:1-1:18
                from 1:1-1:5
                bucket: 1:6-1:17
                  "b" 1:14-1:17
              call 2:6-2:23
                range 2:6-2:11
                start: 2:12-2:22
                  minus 2:19-2:22
                    duration 1h 2:20-2:22
              call 3:6-3:57
                filter 3:6-3:12
                fn: 3:13-3:56
                  function 3:17-3:56
                    parameter r
                    and 3:24-3:56
                      binary 3:24-3:35
                        member _m 3:24-3:28
                          r 3:24-3:25
                        ==
                          "c" 3:32-3:35
                      binary 3:40-3:56
                        member x 3:40-3:46
                          r 3:40-3:41
                        =~
                          regex a/b 3:50-3:56
        "#]],
    );
}

#[test]
fn statements() {
    check(
        "package p\nimport \"a/b\"\nimport c \"d\"\noption now = () => 2020-01-01\noption a.b = 1\nbuiltin f : (<-t: stream[A], ?n: int, m: [string: {B with x: float}]) => [A] where A: Record + Equatable, B: Record",
        &expect![[r#"
        file 1:1-6:116
        package p 1:9-1:10
        import "a/b" 2:1-2:13
        import c "d" 3:1-3:13
        option now = 4:1-4:30
          function 4:14-4:30
            time 2020-01-01T00:00:00Z 4:20-4:30
        option 5:1-5:15
          member b 5:8-5:11
            a 5:8-5:9
          int 1 5:14-5:15
        builtin f 6:1-6:116 TypeExpr { monotype: Function([("<-", "t", Generic("stream", Name("A"))), ("?", "n", Name("int")), ("", "m", Dict([Name("string"), Record(Some("B"), [("x", Name("float"))])]))], Array(Name("A"))), constraints: [("A", ["Record", "Equatable"]), ("B", ["Record"])] }
    "#]],
    );
    check(
        "@edition(\"2022.1\")\nf = (a, b=1, t=<-) => {\n  x = a + b\n  return x\n}\ntestcase t extends \"u\" { y = 1 }",
        &expect![[r#"
        file 1:1-6:33
        f = 2:1-5:2
          function 2:5-5:2
            parameter a
            parameter b=
              int 1 2:11-2:12
            parameter t=<-
            block 2:23-5:2
              x = 3:3-3:12
                binary 3:7-3:12
                  a 3:7-3:8
                  +
                    b 3:11-3:12
              return 4:3-4:11
                x 4:10-4:11
        testcase t Some("u") 6:1-6:33
          y = 6:26-6:31
            int 1 6:30-6:31
    "#]],
    );
}

#[test]
fn precedence() {
    check(
        "a = 1 + 2 * 3 ^ -4 - 5 == 6 and not exists b or c < d",
        &expect![[r#"
        file 1:1-1:54
        a = 1:1-1:54
          or 1:5-1:54
            and 1:5-1:45
              binary 1:5-1:28
                binary 1:5-1:23
                  int 1 1:5-1:6
                  +
                    binary 1:9-1:19
                      int 2 1:9-1:10
                      *
                        binary 1:13-1:19
                          int 3 1:13-1:14
                          ^
                            minus 1:17-1:19
                              int 4 1:18-1:19
                  -
                    int 5 1:22-1:23
                ==
                  int 6 1:27-1:28
              not 1:33-1:45
                exists 1:37-1:45
                  b 1:44-1:45
            binary 1:49-1:54
              c 1:49-1:50
              <
                d 1:53-1:54
    "#]],
    );
    check(
        "x |> f() + 1",
        &expect![[r#"
        file 1:1-1:13
        binary 1:1-1:13
          pipe 1:1-1:9
            x 1:1-1:2
            call 1:6-1:9
              f 1:6-1:7
          +
            int 1 1:12-1:13
    "#]],
    );
}

#[test]
fn literals() {
    check(
        "[1, 2.5, .5, 1y2mo3w4d5h6m7s8ms9us10ns, 2020-01-02, 2020-01-02T03:04:05.6+01:00, \"a\\n\\x41\\\"\", /a\\/b/, .lbl]",
        &expect![[r#"
        file 1:1-1:108
        array 1:1-1:108
          int 1 1:2-1:3
          float 2.5 1:5-1:8
          float 0.5 1:10-1:12
          duration 1y2mo3w4d5h6m7s8ms9us10ns 1:14-1:39
          time 2020-01-02T00:00:00Z 1:41-1:51
          time 2020-01-02T02:04:05.6Z 1:53-1:80
          "a\nA\"" 1:82-1:93
          regex a/b 1:95-1:101
          label lbl 1:103-1:107
    "#]],
    );
    check(
        "[\"k\": 1, \"l\": 2]",
        &expect![[r#"
        file 1:1-1:17
        dict 1:1-1:17
          "k" 1:2-1:5
          int 1 1:7-1:8
          "l" 1:10-1:13
          int 2 1:15-1:16
    "#]],
    );
    check(
        "[:]",
        &expect![[r#"
        file 1:1-1:4
        dict 1:1-1:4
    "#]],
    );
    check(
        "{r with a: 1, \"b c\": 2, d}",
        &expect![[r#"
        file 1:1-1:27
        record r with 1:1-1:27
          a: 1:9-1:13
            int 1 1:12-1:13
          b c: 1:15-1:23
            int 2 1:22-1:23
          d: 1:25-1:26
    "#]],
    );
    check(
        "\"x ${f(a: \"y ${z}\")} \\${}\"",
        &expect![[r#"
        file 1:1-1:27
        interpolation 1:1-1:27
          "x "
          call 1:6-1:20
            f 1:6-1:7
            a: 1:8-1:19
              interpolation 1:11-1:19
                "y "
                z 1:16-1:17
          " ${}"
    "#]],
    );
    check(
        "if a then b else if c then d else e",
        &expect![[r#"
        file 1:1-1:36
        if 1:1-1:36
          a 1:4-1:5
          b 1:11-1:12
          if 1:18-1:36
            c 1:21-1:22
            d 1:28-1:29
            e 1:35-1:36
    "#]],
    );
}

#[test]
fn errors_have_places() {
    check(
        "from() |> range() |> map(fn: (r) => { return r._value )",
        &expect![[r#"
        file 1:1-1:56
        pipe 1:1-1:56
          call 1:1-1:7
            from 1:1-1:5
          call 1:11-1:18
            range 1:11-1:16
          call 1:22-1:56
            map 1:22-1:25
            fn: 1:26-1:54
              function 1:30-1:54
                parameter r
                block 1:37-1:54
                  return 1:39-1:54
                    member _value 1:46-1:54
                      r 1:46-1:47
        error @1:37-1:56: expected RBRACE, got RPAREN
    "#]],
    );
    check(
        "(a b)",
        &expect![[r#"
        file 1:1-1:6
        paren 1:1-1:6
          a 1:2-1:3
        error @1:2-1:5: expected an operator between two expressions
    "#]],
    );
    check(
        "(*b)",
        &expect![[r#"
        file 1:1-1:5
        paren 1:1-1:5
          binary 1:2-1:4
            bad "invalid token for primary expression: MUL" 1:2-1:3
            *
              b 1:3-1:4
        error @1:2-1:3: invalid expression: invalid token for primary expression: MUL
    "#]],
    );
    check(
        "@ ident",
        &expect![[r#"
        file 1:1-1:8
        bad "@" 1:1-1:2
        ident 1:3-1:8
        error @1:1-1:2: invalid statement: @
    "#]],
    );
    check(
        "f(a: 1",
        &expect![[r#"
        file 1:1-1:7
        call 1:1-1:7
          f 1:1-1:2
          a: 1:3-1:7
            int 1 1:6-1:7
        error @1:1-1:7: expected RPAREN, got EOF
    "#]],
    );
    check(
        "f(: 1, b: )",
        &expect![[r#"
        file 1:1-1:12
        call 1:1-1:12
          f 1:1-1:2
          b: 1:8-1:10
        error @1:3-1:4: missing property key
        error @1:8-1:10: missing property value
    "#]],
    );
    check(
        "a |> b",
        &expect![[r#"
        file 1:1-1:7
        pipe 1:1-1:7
          a 1:1-1:2
          b 1:6-1:7
        error @1:6-1:7: pipe destination must be a function call
    "#]],
    );
    check(
        "\"abc",
        &expect![[r#"
        file 1:1-1:5
        interpolation 1:1-1:5
          "abc"
        error @1:1-1:5: got unexpected token in string expression: EOF
    "#]],
    );
    check(
        "x = \"a ${b",
        &expect![[r#"
        file 1:1-1:11
        x = 1:1-1:11
          interpolation 1:5-1:11
            "a "
            b 1:10-1:11
        error @1:5-1:11: expected RBRACE, got EOF
    "#]],
    );
    check(
        "9223372036854775808",
        &expect![[r#"
        file 1:1-1:20
        bad "9223372036854775808" 1:1-1:20
        error @1:1-1:20: invalid integer literal "9223372036854775808": value out of range
    "#]],
    );
    check(
        "/a(/",
        &expect![[r#"
        file 1:1-1:5
        regex a( 1:1-1:5
        error @1:1-1:5: invalid regular expression: error parsing regexp: missing closing ): `a(`
    "#]],
    );
    check(
        "f(1)",
        &expect![[r#"
        file 1:1-1:5
        call 1:1-1:5
          f 1:1-1:2
        error @1:3-1:4: unexpected token for property key: INT (1)
    "#]],
    );
    check(
        "import",
        &expect![[r#"
        file 1:1-1:7
        import "" 1:1-1:7
        error @1:1-1:7: expected STRING, got EOF
    "#]],
    );
    check(
        "{a: 1 b: 2}",
        &expect![[r#"
        file 1:1-1:12
        record 1:1-1:12
          a: 1:2-1:6
            int 1 1:5-1:6
          b: 1:7-1:11
            int 2 1:10-1:11
        error @1:7-1:8: expected comma in property list, got IDENT
    "#]],
    );
}
