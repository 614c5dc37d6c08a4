//! From Go's spellings to those of the `regex` crate with the same meaning, refusing what Go refuses.
//!
//! One pass from left to right, as Go's parser goes, so that of several faults the first is told. What is open is a
//! stack of [`Group`]s; nothing recurses.

use std::collections::HashSet;

use regex::Regex;

use super::PatternError;

/// Most repetitions that Go takes, those inside those counted together.
const REPEATS_MAX: u32 = 1000;

const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

const CATEGORIES: [&str; 37] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
    "Any",
];

type Result<T> = std::result::Result<T, PatternError>;

/// What a parenthesis opened, or the whole expression.
#[derive(Default)]
struct Group {
    /// How often its most repeated part is, at most.
    repeats: u32,
    /// The same of what was read last; none when there is nothing to repeat.
    last: Option<u32>,
}

impl Group {
    fn push(&mut self, repeats: u32) {
        self.last = Some(repeats);
        self.repeats = self.repeats.max(repeats);
    }
}

struct Translator<'a> {
    source: &'a str,
    rest: &'a str,
    out: String,
    outer: Vec<Group>,
    group: Group,
    names: HashSet<&'a str>,
}

/// Rewrites an expression.
pub(super) fn translate(source: &str) -> Result<String> {
    let mut translator = Translator {
        source,
        rest: source,
        out: String::with_capacity(source.len() + 8),
        outer: Vec::new(),
        group: Group::default(),
        names: HashSet::new(),
    };
    translator.all()?;
    Ok(translator.out)
}

fn error<T>(reason: &'static str, part: &str) -> Result<T> {
    Err(PatternError::new(reason, part))
}

/// What stands before `rest` in `text`, of which `rest` is the end.
fn before<'a>(text: &'a str, rest: &str) -> &'a str {
    text.get(..text.len() - rest.len()).unwrap_or(text)
}

fn next_char(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|ch| (ch, chars.as_str()))
}

impl<'a> Translator<'a> {
    fn all(&mut self) -> Result<()> {
        let mut last_repeat: Option<&'a str> = None;
        while let Some((ch, after)) = next_char(self.rest) {
            let start = self.rest;
            match ch {
                '*' | '+' | '?' => {
                    self.out.push(ch);
                    self.repeat(start, after, last_repeat, 1)?;
                    last_repeat = Some(start);
                    continue;
                }
                '{' => {
                    if let Some((times, after)) = repetition(start)? {
                        self.out.push_str(before(start, after));
                        self.repeat(start, after, last_repeat, times)?;
                        last_repeat = Some(start);
                        continue;
                    }
                    self.out.push_str("\\{");
                    self.group.push(1);
                    self.rest = after;
                }
                '(' => self.open()?,
                ')' => {
                    let Some(outer) = self.outer.pop() else { return error("unexpected )", self.source) };
                    let inner = std::mem::replace(&mut self.group, outer);
                    self.group.push(inner.repeats.max(1));
                    self.out.push(')');
                    self.rest = after;
                }
                '|' => {
                    self.group.last = None;
                    self.out.push('|');
                    self.rest = after;
                }
                '[' => {
                    self.rest = class(start, &mut self.out)?;
                    self.group.push(1);
                }
                '\\' => self.escape()?,
                _ => {
                    self.out.push(ch);
                    self.group.push(1);
                    self.rest = after;
                }
            }
            last_repeat = None;
        }
        if self.outer.is_empty() { Ok(()) } else { error("missing closing )", self.source) }
    }

    /// A repetition that began at `start`; `times` is how often it repeats, or 1 when it does not matter.
    fn repeat(&mut self, start: &'a str, after: &'a str, last: Option<&'a str>, times: u32) -> Result<()> {
        let lazy = after.strip_prefix('?');
        let end = lazy.unwrap_or(after);
        if lazy.is_some() {
            self.out.push('?');
        }
        if let Some(last) = last {
            return error("invalid nested repetition operator", before(last, end));
        }
        let Some(inside) = self.group.last else {
            return error("missing argument to repetition operator", before(start, end));
        };
        let repeats = inside.saturating_mul(times);
        if times >= 2 && repeats > REPEATS_MAX {
            return error("invalid repeat count", before(start, end));
        }
        self.group.push(repeats);
        self.rest = end;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let start = self.rest;
        let Some(perl) = start.strip_prefix("(?") else {
            self.rest = start.get(1..).unwrap_or("");
            self.push_group("(");
            return Ok(());
        };
        if let Some(named) = perl.strip_prefix("P<") {
            let Some((name, after)) = named.split_once('>') else {
                return error("invalid named capture", start);
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return error("invalid named capture", before(start, after));
            }
            self.rest = after;
            // Names that begin with a digit or stand twice are Go's alone; the number of the group is the same.
            if name.as_bytes().first().is_some_and(u8::is_ascii_digit) || !self.names.insert(name) {
                self.push_group("(");
            } else {
                self.push_group(&format!("(?P<{name}>"));
            }
            return Ok(());
        }
        let after = flags(start, perl)?;
        match before(start, after) {
            "(?)" => {}
            flags if flags.ends_with(')') => self.out.push_str(flags),
            flags => self.push_group(flags),
        }
        self.rest = after;
        Ok(())
    }

    fn push_group(&mut self, opening: &str) {
        self.out.push_str(opening);
        self.outer.push(std::mem::take(&mut self.group));
    }

    fn escape(&mut self) -> Result<()> {
        let start = self.rest;
        let Some((ch, after)) = start.get(1..).and_then(next_char) else {
            return error("trailing backslash at end of expression", "");
        };
        self.rest = after;
        match ch {
            'A' | 'B' | 'z' => self.out.extend(['\\', ch]),
            'b' => self.out.push_str("(?-u:\\b)"),
            'Q' => {
                let (quoted, rest) = after.split_once("\\E").unwrap_or((after, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = rest;
                if quoted.is_empty() {
                    return Ok(());
                }
            }
            _ => {
                if let Some(rest) = set(start, &mut self.out, false)? {
                    self.rest = rest;
                } else {
                    let (ch, rest) = escaped(start)?;
                    self.rest = rest;
                    literal(ch, &mut self.out);
                }
            }
        }
        self.group.push(1);
        Ok(())
    }
}

/// A character that means itself, in a class too.
fn literal(ch: char, out: &mut String) {
    if ch.is_ascii() && !ch.is_ascii_alphanumeric() {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(ch)));
    } else {
        out.push(ch);
    }
}

/// What follows flags, and the colon or parenthesis behind them.
fn flags<'a>(start: &str, perl: &'a str) -> Result<&'a str> {
    let mut rest = perl;
    let (mut denied, mut seen) = (false, false);
    while let Some((ch, after)) = next_char(rest) {
        rest = after;
        match ch {
            'i' | 'm' | 's' | 'U' => seen = true,
            '-' if !denied => (denied, seen) = (true, false),
            ':' | ')' if !denied || seen => return Ok(after),
            _ => break,
        }
    }
    error("invalid or unsupported Perl syntax", before(start, rest))
}

/// A repetition in braces: how often at most, and what follows. None when the brace is no repetition.
fn repetition(start: &str) -> Result<Option<(u32, &str)>> {
    let Some((low, rest)) = start.strip_prefix('{').and_then(number) else { return Ok(None) };
    let (high, rest) = match rest.strip_prefix(',') {
        None => (Some(low), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => match number(rest) {
            Some((high, rest)) => (Some(high), rest),
            None => return Ok(None),
        },
    };
    let Some(rest) = rest.strip_prefix('}') else { return Ok(None) };
    if low > REPEATS_MAX || high.is_some_and(|high| high > REPEATS_MAX || low > high) {
        return error("invalid repeat count", before(start, rest));
    }
    Ok(Some((high.unwrap_or(low), rest)))
}

/// A number as Go has it in repetitions, without leading zeros; one that is too large is [`u32::MAX`].
fn number(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|ch: char| ch.is_ascii_digit());
    let digits = before(text, rest);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !leading_zero).then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

/// A set behind a backslash (`\d`, `\pL`): what follows it. None when the escape is no set.
fn set<'a>(start: &'a str, out: &mut String, in_class: bool) -> Result<Option<&'a str>> {
    let Some((ch, after)) = start.strip_prefix('\\').and_then(next_char) else { return Ok(None) };
    let members = match ch {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => "\\t\\n\\x0c\\r ",
        'p' | 'P' => return property(start, ch, after, out).map(Some),
        _ => return Ok(None),
    };
    match (ch.is_ascii_uppercase(), in_class) {
        (true, _) => out.extend(["[^", members, "]"]),
        (false, true) => out.push_str(members),
        (false, false) => out.extend(["[", members, "]"]),
    }
    Ok(Some(after))
}

/// A category or script of Unicode, in Go's spelling. Go also denies inside the braces.
fn property<'a>(start: &str, letter: char, after: &'a str, out: &mut String) -> Result<&'a str> {
    let (name, rest) = match after.strip_prefix('{') {
        Some(inside) => match inside.split_once('}') {
            Some((name, rest)) => (name, rest),
            None => return error("invalid character class range", start),
        },
        None => match next_char(after) {
            Some((_, rest)) => (before(after, rest), rest),
            None => return error("invalid character class range", start),
        },
    };
    let (name, inverted) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let opening = if (letter == 'P') == inverted { "\\p{" } else { "\\P{" };
    let is_category = CATEGORIES.contains(&name);
    let is_script = || {
        name.split('_').all(|part| part.starts_with(|ch: char| ch.is_ascii_uppercase()))
            && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
            && name.len() > 2
            && Regex::new(&format!("\\p{{Script={name}}}")).is_ok()
    };
    if is_category {
        out.extend([opening, name, "}"]);
    } else if is_script() {
        out.extend([opening, "Script=", name, "}"]);
    } else {
        return error("invalid character class range", before(start, rest));
    }
    Ok(rest)
}

/// A character behind a backslash, and what follows it.
fn escaped(start: &str) -> Result<(char, &str)> {
    let Some((ch, after)) = start.strip_prefix('\\').and_then(next_char) else {
        return error("trailing backslash at end of expression", "");
    };
    let invalid = |rest| error("invalid escape sequence", before(start, rest));
    let is_octal = |ch: char| ('0'..='7').contains(&ch);
    let value = match ch {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '0'..='7' => {
            if ch != '0' && !after.starts_with(is_octal) {
                return invalid(after);
            }
            let more = after.chars().take(2).take_while(|ch| is_octal(*ch)).count();
            let rest = after.get(more..).unwrap_or("");
            let digits = format!("{ch}{}", before(after, rest));
            let value = u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32);
            return value.map_or_else(|| invalid(rest), |value| Ok((value, rest)));
        }
        'x' => return hexadecimal(start, after),
        _ if ch.is_ascii() && !ch.is_ascii_alphanumeric() => ch,
        _ => return invalid(after),
    };
    Ok((value, after))
}

fn hexadecimal<'a>(start: &str, after: &'a str) -> Result<(char, &'a str)> {
    let invalid = |rest| error("invalid escape sequence", before(start, rest));
    let (braced, mut rest) = after.strip_prefix('{').map_or((false, after), |rest| (true, rest));
    let (mut value, mut digits) = (0_u32, 0);
    loop {
        let Some((ch, after)) = next_char(rest) else { return invalid(rest) };
        rest = after;
        match ch.to_digit(16) {
            Some(digit) if value <= u32::from(char::MAX) >> 4 => value = value << 4 | digit,
            None if ch == '}' && braced && digits > 0 => break,
            _ => return invalid(rest),
        }
        digits += 1;
        if digits == 2 && !braced {
            break;
        }
    }
    // A half of a surrogate pair stands in no text.
    Ok((char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER), rest))
}

/// Translates a bracketed class; answers what is left.
fn class<'a>(source: &'a str, out: &mut String) -> Result<&'a str> {
    let missing = || error("missing closing ]", source);
    let mut rest = source.get(1..).unwrap_or("");
    out.push('[');
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut first = true;
    loop {
        if let Some(tail) = rest.strip_prefix(']').filter(|_| !first) {
            out.push(']');
            return Ok(tail);
        }
        first = false;
        if let Some((name, tail)) = rest.strip_prefix("[:").and_then(|inside| inside.split_once(":]")) {
            if !NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return error("invalid character class range", before(rest, tail));
            }
            out.push_str(before(rest, tail));
            rest = tail;
            continue;
        }
        if let Some(tail) = set(rest, out, true)? {
            rest = tail;
            continue;
        }
        let range = rest;
        let Some((low, tail)) = class_char(rest)? else { return missing() };
        rest = tail;
        literal(low, out);
        if let Some(tail) = rest.strip_prefix('-').filter(|tail| !tail.starts_with(']')) {
            if tail.is_empty() {
                continue;
            }
            let Some((high, tail)) = class_char(tail)? else { return missing() };
            if high < low {
                return error("invalid character class range", before(range, tail));
            }
            out.push('-');
            literal(high, out);
            rest = tail;
        }
    }
}

/// A character of a class; none at the end of the text.
fn class_char(rest: &str) -> Result<Option<(char, &str)>> {
    if rest.starts_with('\\') { escaped(rest).map(Some) } else { Ok(next_char(rest)) }
}
