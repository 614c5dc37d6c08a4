//! SHOW in its forms.

use super::{Parser, Result, unexpected};
use crate::ast::{CardinalityOf, GlobalList, KeyTest, NameOrAll, Show, ShowKind, Statement};
use crate::token::{Keyword, Token};

impl Parser<'_> {
    /// `SHOW` is taken.
    pub(super) fn show(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        let all = [
            "CONTINUOUS",
            "DATABASES",
            "DIAGNOSTICS",
            "FIELD",
            "GRANTS",
            "MEASUREMENT",
            "MEASUREMENTS",
            "QUERIES",
            "RETENTION",
            "SERIES",
            "SHARD",
            "SHARDS",
            "STATS",
            "SUBSCRIPTIONS",
            "TAG",
            "USERS",
        ];
        let Token::Keyword(keyword) = lexeme.token else { return Err(unexpected(&lexeme, &all)) };
        match keyword {
            Keyword::Continuous => {
                self.expect_keyword(Keyword::Queries)?;
                Ok(Statement::ShowGlobal(GlobalList::ContinuousQueries))
            }
            Keyword::Databases => Ok(Statement::ShowGlobal(GlobalList::Databases)),
            Keyword::Diagnostics => self.internals(true),
            Keyword::Field => self.show_field(),
            Keyword::Grants => {
                self.expect_keyword(Keyword::For)?;
                Ok(Statement::ShowGrants { user: self.ident()? })
            }
            Keyword::Measurement => self.show_measurement(),
            Keyword::Measurements => self.show_measurements(),
            Keyword::Queries => Ok(Statement::ShowGlobal(GlobalList::Queries)),
            Keyword::Retention => {
                self.expect_keyword(Keyword::Policies)?;
                let mut show = empty(ShowKind::RetentionPolicies);
                self.on_database(&mut show)?;
                Ok(boxed(show))
            }
            Keyword::Series => self.show_series(),
            Keyword::Shard => {
                self.expect_keyword(Keyword::Groups)?;
                Ok(Statement::ShowGlobal(GlobalList::ShardGroups))
            }
            Keyword::Shards => Ok(Statement::ShowGlobal(GlobalList::Shards)),
            Keyword::Stats => self.internals(false),
            Keyword::Subscriptions => Ok(Statement::ShowGlobal(GlobalList::Subscriptions)),
            Keyword::Tag => self.show_tag(),
            Keyword::Users => Ok(Statement::ShowGlobal(GlobalList::Users)),
            _ => Err(unexpected(&lexeme, &all)),
        }
    }

    fn internals(&mut self, diagnostics: bool) -> Result<Statement> {
        let module = if self.take_keyword(Keyword::For) { Some(self.string()?) } else { None };
        Ok(Statement::ShowInternals { diagnostics, module })
    }

    fn show_field(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Keyword(Keyword::Key) => self.key_cardinality(CardinalityOf::FieldKey),
            Token::Keyword(Keyword::Keys) => {
                let mut show = empty(ShowKind::FieldKeys);
                self.on_database(&mut show)?;
                self.from(&mut show)?;
                show.order = self.order_by()?;
                self.limits(&mut show)?;
                Ok(boxed(show))
            }
            _ => Err(unexpected(&lexeme, &["KEY", "KEYS"])),
        }
    }

    fn show_tag(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Keyword(Keyword::Key) => self.key_cardinality(CardinalityOf::TagKey),
            Token::Keyword(Keyword::Keys) => self.show_tag_keys(),
            Token::Keyword(Keyword::Values) => self.show_tag_values(),
            _ => Err(unexpected(&lexeme, &["KEY", "KEYS", "VALUES"])),
        }
    }

    fn show_measurement(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        let exact = match lexeme.token {
            Token::Keyword(Keyword::Exact) => {
                self.expect_keyword(Keyword::Cardinality)?;
                true
            }
            Token::Keyword(Keyword::Cardinality) => false,
            _ => return Err(unexpected(&lexeme, &["EXACT", "CARDINALITY"])),
        };
        self.cardinality(CardinalityOf::Measurement, exact)
    }

    fn key_cardinality(&mut self, of: CardinalityOf) -> Result<Statement> {
        let exact = self.take_keyword(Keyword::Exact);
        let lexeme = self.next();
        if lexeme.token != Token::Keyword(Keyword::Cardinality) {
            let expected: &[_] = if exact { &["CARDINALITY"] } else { &["EXACT", "CARDINALITY"] };
            return Err(unexpected(&lexeme, expected));
        }
        self.cardinality(of, exact)
    }

    /// The clauses of a cardinality statement.
    fn cardinality(&mut self, of: CardinalityOf, exact: bool) -> Result<Statement> {
        let mut show = empty(ShowKind::Cardinality { of, exact, with: None });
        self.on_database(&mut show)?;
        self.from(&mut show)?;
        if of == CardinalityOf::TagValues {
            let with = Some(self.with_key()?);
            show.kind = ShowKind::Cardinality { of, exact, with };
        }
        show.condition = self.condition()?;
        show.dimensions = self.dimensions()?;
        self.limits(&mut show)?;
        Ok(boxed(show))
    }

    fn show_measurements(&mut self) -> Result<Statement> {
        let mut show = empty(ShowKind::Measurements { with: None });
        if self.take_keyword(Keyword::On) {
            show.database = Some(self.name_or_all()?);
            if self.take(Token::Dot) {
                show.retention_policy = Some(self.name_or_all()?);
            }
        }
        if self.take_keyword(Keyword::With) {
            self.expect_keyword(Keyword::Measurement)?;
            let op = self.next();
            if !matches!(op.token, Token::Eq | Token::EqRegex) {
                return Err(unexpected(&op, &["=", "=~"]));
            }
            show.kind = ShowKind::Measurements { with: Some(self.source(false)?) };
        }
        show.condition = self.condition()?;
        show.order = self.order_by()?;
        self.limits(&mut show)?;
        Ok(boxed(show))
    }

    fn name_or_all(&mut self) -> Result<NameOrAll> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Ident => Ok(NameOrAll::Name(lexeme.text)),
            Token::Mul => Ok(NameOrAll::All),
            _ => Err(unexpected(&lexeme, &["identifier or *"])),
        }
    }

    fn show_series(&mut self) -> Result<Statement> {
        let exact = self.take_keyword(Keyword::Exact);
        if self.take_keyword(Keyword::Cardinality) {
            return self.cardinality(CardinalityOf::Series, exact);
        }
        let mut show = empty(ShowKind::Series);
        self.on_database(&mut show)?;
        self.from(&mut show)?;
        show.condition = self.condition()?;
        show.order = self.order_by()?;
        self.limits(&mut show)?;
        Ok(boxed(show))
    }

    fn show_tag_keys(&mut self) -> Result<Statement> {
        let mut show = empty(ShowKind::TagKeys { with: None });
        self.on_database(&mut show)?;
        self.from(&mut show)?;
        if self.take_keyword(Keyword::With) {
            self.unscan();
            show.kind = ShowKind::TagKeys { with: Some(self.with_key()?) };
        }
        show.condition = self.condition()?;
        show.order = self.order_by()?;
        self.limits(&mut show)?;
        show.slimit = self.optional_count(Keyword::Slimit)?;
        show.soffset = self.optional_count(Keyword::Soffset)?;
        Ok(boxed(show))
    }

    fn show_tag_values(&mut self) -> Result<Statement> {
        match self.next().token {
            Token::Keyword(Keyword::Exact) => {
                self.expect_keyword(Keyword::Cardinality)?;
                return self.cardinality(CardinalityOf::TagValues, true);
            }
            Token::Keyword(Keyword::Cardinality) => return self.cardinality(CardinalityOf::TagValues, false),
            _ => self.unscan(),
        }
        let mut show = empty(ShowKind::FieldKeys);
        self.on_database(&mut show)?;
        self.from(&mut show)?;
        show.kind = ShowKind::TagValues { with: self.with_key()? };
        show.condition = self.condition()?;
        show.order = self.order_by()?;
        self.limits(&mut show)?;
        Ok(boxed(show))
    }

    fn with_key(&mut self) -> Result<KeyTest> {
        self.expect_keyword(Keyword::With)?;
        self.expect_keyword(Keyword::Key)?;
        let op = self.next();
        match op.token {
            Token::Keyword(Keyword::In) => {
                self.expect(Token::LeftParen)?;
                let keys = self.list(Self::ident)?;
                self.expect(Token::RightParen)?;
                Ok(KeyTest::In(keys))
            }
            Token::Eq => self.ident().map(KeyTest::Eq),
            Token::NotEq => self.ident().map(KeyTest::NotEq),
            Token::EqRegex | Token::NotEqRegex => match self.regex()? {
                None => Err(unexpected(&self.next(), &["regex"])),
                Some(pattern) if op.token == Token::EqRegex => Ok(KeyTest::Matches(pattern)),
                Some(pattern) => Ok(KeyTest::NotMatches(pattern)),
            },
            _ => Err(unexpected(&op, &["IN", "=", "=~"])),
        }
    }

    fn on_database(&mut self, show: &mut Show) -> Result<()> {
        if self.take_keyword(Keyword::On) {
            show.database = Some(NameOrAll::Name(self.ident()?));
        }
        Ok(())
    }

    fn from(&mut self, show: &mut Show) -> Result<()> {
        if self.take_keyword(Keyword::From) {
            show.sources = self.sources(false)?;
        }
        Ok(())
    }

    fn limits(&mut self, show: &mut Show) -> Result<()> {
        show.limit = self.optional_count(Keyword::Limit)?;
        show.offset = self.optional_count(Keyword::Offset)?;
        Ok(())
    }
}

fn empty(kind: ShowKind) -> Show {
    Show {
        kind,
        database: None,
        retention_policy: None,
        sources: Vec::new(),
        condition: None,
        dimensions: Vec::new(),
        order: None,
        limit: 0,
        offset: 0,
        slimit: 0,
        soffset: 0,
    }
}

fn boxed(show: Show) -> Statement {
    Statement::Show(Box::new(show))
}
