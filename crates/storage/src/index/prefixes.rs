//! What a text must begin with to match a regular expression, so that of a sorted dictionary only that part is looked
//! at in which matches can be.

use regex_syntax::hir::Look;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// The beginnings of all texts that match, ascending, none the beginning of another; `None` when a text may begin with
/// anything.
pub(super) fn prefixes(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let found = Extractor::new().kind(ExtractKind::Prefix).extract(&hir);
    let mut found: Vec<Vec<u8>> =
        found.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    found.sort_unstable();
    found.dedup_by(|longer, shorter| longer.starts_with(shorter));
    found.iter().all(|prefix| !prefix.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        prefixes(pattern).map(|all| all.into_iter().map(|p| String::from_utf8(p).unwrap()).collect())
    }

    fn some(prefixes: &[&str]) -> Option<Vec<String>> {
        Some(prefixes.iter().map(|p| (*p).to_owned()).collect())
    }

    #[test]
    fn anchored_patterns_have_beginnings_and_others_none() {
        assert_eq!(texts("^server-12"), some(&["server-12"]));
        assert_eq!(texts("^server-12.*[0-9]$"), some(&["server-12"]));
        assert_eq!(texts("^(web|db)-.+$"), some(&["db-", "web-"]));
        assert_eq!(texts("^(?:a|ab|b)c?"), some(&["a", "b"]));
        assert_eq!(texts("^a|^b"), some(&["a", "b"]));
        assert_eq!(texts("^ä[xy]"), some(&["äx", "äy"]));
        for open in ["", "^", "server", "^.*x", "^a|b", "^(a|)", "a^b", "^a*", "(?m)^a", "^a{0,3}b?"] {
            assert_eq!(texts(open), None, "{open}");
        }
        assert_eq!(texts("(?i)^ab"), some(&["AB", "Ab", "aB", "ab"]));
        assert_eq!(texts("^[^a-z]"), None, "too many to list");
    }
}
