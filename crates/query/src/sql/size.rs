//! How deep and how large a statement is, told before it is parsed: what parses and plans follows the tree of a statement, and a thread's
//! stack has an end. `a + b + c` is a tree as deep as it is long, and so are joins, unions, and what is made of what stands
//! before in a WITH.
//!
//! The depth is counted from the tokens, and never less than it is: operators one after the other, with those in
//! parentheses added; a comma begins anew.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::Error;

/// Operations within one another.
const DEPTH_MAX: usize = 500;
/// Tables that are joined, over the whole statement.
const TABLES_MAX: usize = 128;
/// SELECTs, over the whole statement.
const SELECTS_MAX: usize = 256;
/// Columns of all SELECTs.
const COLUMNS_MAX: usize = 4096;
/// Windows of window functions: each sorts all rows.
const WINDOWS_MAX: usize = 64;
/// Words, numbers, signs: planning takes time for each, and is not broken off.
const TOKENS_MAX: usize = 65_536;

/// Refuses a statement that is too deep. What does not read as tokens is left to the parser.
pub(super) fn check(text: &str) -> Result<(), Error> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return Ok(()) };
    let (mut levels, mut tables, mut selects) = (vec![Level::default()], 0, 0);
    let (mut columns, mut windows, mut words) = (0, 0, 0);
    for token in tokens {
        words += usize::from(!matches!(token, Token::Whitespace(_)));
        let level = levels.last_mut().expect("the outermost stays");
        match &token {
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::SemiColon
            | Token::EOF => {}
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace => close(&mut levels),
            Token::Comma if level.lists_tables => {
                tables += 1;
                level.join();
            }
            Token::Comma => {
                columns += usize::from(level.lists_columns);
                level.begin_anew();
            }
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::CASE => levels.push(Level::default()),
                Keyword::END => close(&mut levels),
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE => level.begin_anew(),
                Keyword::SELECT => {
                    selects += 1;
                    level.lists_tables = false;
                    level.lists_columns = true;
                }
                Keyword::FROM => {
                    level.lists_tables = true;
                    level.lists_columns = false;
                }
                Keyword::OVER => windows += 1,
                Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER | Keyword::LIMIT => {
                    level.lists_tables = false;
                }
                Keyword::JOIN => {
                    tables += 1;
                    level.join();
                }
                Keyword::AND | Keyword::OR | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                    level.join();
                }
                Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::DIV
                | Keyword::XOR => level.operations += 1,
                _ => {}
            },
            Token::Word(_) => {}
            // An operator, or nothing that the parser takes.
            _ => level.operations += 1,
        }
        // Each level is one, so that there are not many of them either.
        let depth = levels.iter().map(|level| level.depth() + 1).sum::<usize>() - 1;
        for (found, most, what, name) in [
            (depth, DEPTH_MAX, "operations within one another", "max-sql-depth"),
            (tables, TABLES_MAX, "tables joined", "max-sql-tables"),
            (selects, SELECTS_MAX, "SELECTs", "max-sql-selects"),
            (columns, COLUMNS_MAX, "columns", "max-sql-columns"),
            (windows, WINDOWS_MAX, "windows of functions", "max-sql-windows"),
            (words, TOKENS_MAX, "words and signs", "max-sql-tokens"),
        ] {
            if found > most {
                return Error::invalid(format!("the statement has more than {most} {what} ({name})"));
            }
        }
    }
    Ok(())
}

/// What stands between two parentheses.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Operators since the last that joins terms.
    operations: usize,
    /// The most of a term before.
    deepest_term: usize,
    /// How often terms were joined since the last comma.
    joined: usize,
    /// The deepest part before the last comma.
    deepest_part: usize,
    /// Commas join tables here.
    lists_tables: bool,
    /// Commas part columns here.
    lists_columns: bool,
}

impl Level {
    fn depth(&self) -> usize {
        self.deepest_part.max(self.joined + self.deepest_term.max(self.operations))
    }

    /// A term ends, and another begins, which is joined to all before.
    fn join(&mut self) {
        self.deepest_term = self.deepest_term.max(self.operations);
        self.operations = 0;
        self.joined += 1;
    }

    /// A part ends that has nothing to do with the next.
    fn begin_anew(&mut self) {
        let Self { lists_tables, lists_columns, .. } = *self;
        *self = Self { deepest_part: self.depth(), lists_tables, lists_columns, ..Self::default() };
    }
}

/// What was in parentheses counts where they stand.
fn close(levels: &mut Vec<Level>) {
    if levels.len() > 1
        && let Some(inner) = levels.pop()
        && let Some(outer) = levels.last_mut()
    {
        outer.operations += inner.depth() + 1;
    }
}

#[cfg(test)]
mod tests;
