use super::check;

fn refused(text: &str) -> Option<String> {
    check(text).err().map(|error| error.to_string())
}

fn chain(term: &str, with: &str, count: usize) -> String {
    vec![term; count].join(with)
}

#[test]
fn what_is_long_is_deep_where_it_is() {
    for (text, limit) in [
        (format!("SELECT {} FROM t", chain("u", "+", 502)), "max-sql-depth"),
        (format!("SELECT u FROM t WHERE {}", chain("u = 1", " OR ", 502)), "max-sql-depth"),
        (format!("SELECT u{} FROM t", "::double".repeat(501)), "max-sql-depth"),
        (format!("SELECT {}true", "NOT ".repeat(501)), "max-sql-depth"),
        (format!("SELECT u{}", "[1]".repeat(501)), "max-sql-depth"),
        (format!("SELECT ({} + ({}))", chain("1", "+", 300), chain("1", "-", 300)), "max-sql-depth"),
        (
            format!("SELECT CASE WHEN {} THEN 1 END + {}", chain("a", "=", 300), chain("1", "*", 300)),
            "max-sql-depth",
        ),
        (format!("SELECT {} 1 {}", "CASE u WHEN 1 THEN ".repeat(501), "END ".repeat(501)), "max-sql-depth"),
        ("(".repeat(1 << 20), "max-sql-depth"),
        (format!("SELECT 1 FROM {}", chain("t", ", ", 130)), "max-sql-tables"),
        (format!("SELECT 1 FROM {}", chain("t", " CROSS JOIN ", 130)), "max-sql-tables"),
        (chain("SELECT 1", " UNION ALL ", 257), "max-sql-selects"),
        (format!("SELECT {} FROM t", chain("u", ", ", 4098)), "max-sql-columns"),
        (format!("SELECT * FROM t WHERE u IN (SELECT {} FROM t)", chain("u", ",", 4098)), "max-sql-columns"),
        (format!("SELECT {} FROM t", chain("count(*) OVER (ORDER BY u)", ", ", 65)), "max-sql-windows"),
        (format!("SELECT u FROM t WHERE u IN ({})", chain("1", ", ", 40_000)), "max-sql-tokens"),
    ] {
        let error = refused(&text).unwrap_or_else(|| panic!("{}", &text[..100]));
        assert!(error.contains(limit), "{}: {error}", &text[..100]);
    }
}

#[test]
fn what_is_long_and_flat_is_let_through() {
    for text in [
        format!("SELECT {}", chain("u - 1", ", ", 4000)),
        format!("SELECT u FROM t WHERE u IN ({})", chain("-1", ", ", 20_000)),
        format!("VALUES {}", chain("(1, -1)", ", ", 8000)),
        format!("SELECT CASE {} END", "WHEN u = 1 THEN 2 - 1 ".repeat(5000)),
        format!("SELECT u FROM t WHERE {}", chain("u = 1 AND n > -2", " OR ", 200)),
        format!(
            "SELECT {} FROM t, s WHERE a = 1 GROUP BY {}",
            chain("f(u)", ", ", 999),
            chain("u", ", ", 999)
        ),
        "SELECT \"case\", '((((' FROM \"end\" WHERE u = ')' -- )))".to_owned(),
        "SELECT END) ] } FROM".to_owned(),
        "'open".to_owned(),
    ] {
        assert_eq!(refused(&text), None, "{}", &text[..text.len().min(100)]);
    }
}
