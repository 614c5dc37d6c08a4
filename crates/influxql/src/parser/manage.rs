//! CREATE, ALTER, DROP, DELETE, GRANT, REVOKE, SET PASSWORD, KILL.

use super::select::Into;
use super::{Parser, Result, at, clause, unexpected};
use crate::ast::{
    ContinuousQuery, CreateDatabase, DropKind, Expr, Grant, PolicyOptions, Privilege, RetentionPolicy,
    Select, Selection, Source, Statement, SubscriptionName,
};
use crate::duration;
use crate::error::Position;
use crate::token::{Keyword, Token};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        let all = ["CONTINUOUS", "DATABASE", "USER", "RETENTION", "SUBSCRIPTION"];
        match lexeme.token {
            Token::Keyword(Keyword::Continuous) => {
                self.expect_keyword(Keyword::Query)?;
                self.create_continuous_query()
            }
            Token::Keyword(Keyword::Database) => self.create_database(),
            Token::Keyword(Keyword::User) => self.create_user(),
            Token::Keyword(Keyword::Retention) => {
                self.expect_keyword(Keyword::Policy)?;
                self.create_retention_policy()
            }
            Token::Keyword(Keyword::Subscription) => self.create_subscription(),
            _ => Err(unexpected(&lexeme, &all)),
        }
    }

    pub(super) fn drop_statement(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        let all =
            ["CONTINUOUS", "DATABASE", "MEASUREMENT", "RETENTION", "SERIES", "SHARD", "SUBSCRIPTION", "USER"];
        let Token::Keyword(keyword) = lexeme.token else { return Err(unexpected(&lexeme, &all)) };
        match keyword {
            Keyword::Continuous => {
                self.expect_keyword(Keyword::Query)?;
                self.drop_named(DropKind::ContinuousQuery, true)
            }
            Keyword::Database => self.drop_named(DropKind::Database, false),
            Keyword::Measurement => self.drop_named(DropKind::Measurement, false),
            Keyword::Retention => {
                self.expect_keyword(Keyword::Policy)?;
                self.drop_named(DropKind::RetentionPolicy, true)
            }
            Keyword::Series => self.selection(true).map(Statement::DropSeries),
            Keyword::Shard => self.number_u64().map(Statement::DropShard),
            Keyword::Subscription => self.subscription_name().map(Statement::DropSubscription),
            Keyword::User => self.drop_named(DropKind::User, false),
            _ => Err(unexpected(&lexeme, &all)),
        }
    }

    fn drop_named(&mut self, kind: DropKind, on_database: bool) -> Result<Statement> {
        let name = self.ident()?;
        let database = if on_database {
            self.expect_keyword(Keyword::On)?;
            Some(self.ident()?)
        } else {
            None
        };
        Ok(Statement::Drop { kind, name, database })
    }

    pub(super) fn delete(&mut self) -> Result<Statement> {
        self.selection(false).map(Statement::Delete)
    }

    fn selection(&mut self, refuse_policy: bool) -> Result<Selection> {
        let first = self.next();
        let mut sources = Vec::new();
        if first.token == Token::Keyword(Keyword::From) {
            sources = self.sources(false)?;
            for source in &sources {
                let Source::Measurement(measurement) = source else { continue };
                if refuse_policy && measurement.retention_policy.is_some() {
                    return Err(at(Position::default(), "retention policy not supported"));
                }
                if measurement.database.is_some() {
                    return Err(at(Position::default(), "database not supported"));
                }
            }
        } else {
            self.unscan();
        }
        let condition = self.condition()?;
        if condition.is_none() && sources.is_empty() {
            return Err(unexpected(&first, &["FROM", "WHERE"]));
        }
        Ok(Selection { sources, condition })
    }

    fn create_database(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        let mut policy = None;
        if self.take_keyword(Keyword::With) {
            let lexeme = self.next();
            let options = [Keyword::Duration, Keyword::Name, Keyword::Replication, Keyword::Shard];
            if !options.into_iter().any(|k| lexeme.token == Token::Keyword(k)) {
                return Err(unexpected(&lexeme, &["DURATION", "NAME", "REPLICATION", "SHARD"]));
            }
            self.unscan();
            policy = Some(self.policy_options()?);
        }
        Ok(Statement::CreateDatabase(CreateDatabase { name, policy }))
    }

    fn policy_options(&mut self) -> Result<PolicyOptions> {
        let mut options = PolicyOptions::default();
        if self.take_keyword(Keyword::Duration) {
            options.duration = Some(self.duration()?);
        }
        if self.take_keyword(Keyword::Replication) {
            options.replication = Some(self.positive()?);
        }
        if self.take_keyword(Keyword::Shard) {
            self.expect_keyword(Keyword::Duration)?;
            options.shard_duration = Some(self.duration()?);
        }
        if self.take_keyword(Keyword::Name) {
            options.name = Some(self.ident()?);
        }
        Ok(options)
    }

    fn shard_duration(&mut self) -> Result<i64> {
        self.expect_keyword(Keyword::Duration)?;
        let lexeme = self.next();
        if lexeme.token == Token::Keyword(Keyword::Inf) {
            return Err(at(lexeme.position, "invalid duration INF for shard duration"));
        }
        self.unscan();
        self.duration()
    }

    fn create_retention_policy(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        self.expect_keyword(Keyword::On)?;
        let database = self.ident()?;
        self.expect_keyword(Keyword::Duration)?;
        let duration = Some(self.duration()?);
        self.expect_keyword(Keyword::Replication)?;
        let replication = Some(self.positive()?);
        let shard_duration =
            if self.take_keyword(Keyword::Shard) { Some(self.shard_duration()?) } else { None };
        let default = self.take_keyword(Keyword::Default);
        Ok(Statement::CreateRetentionPolicy(RetentionPolicy {
            name,
            database,
            duration,
            replication,
            shard_duration,
            default,
        }))
    }

    pub(super) fn alter_retention_policy(&mut self) -> Result<Statement> {
        let lexeme = self.next();
        let name = match lexeme.token {
            Token::Keyword(Keyword::Default) => "default".to_owned(),
            Token::Ident => lexeme.text,
            _ => return Err(unexpected(&lexeme, &["identifier"])),
        };
        self.expect_keyword(Keyword::On)?;
        let database = self.ident()?;
        let mut policy = RetentionPolicy {
            name,
            database,
            duration: None,
            replication: None,
            shard_duration: None,
            default: false,
        };
        let mut found = Vec::new();
        loop {
            let lexeme = self.next();
            if found.contains(&lexeme.token) {
                let message = format!("found duplicate {} option", lexeme.token.text());
                return Err(at(lexeme.position, message));
            }
            match lexeme.token {
                Token::Keyword(Keyword::Duration) => policy.duration = Some(self.duration()?),
                Token::Keyword(Keyword::Replication) => policy.replication = Some(self.positive()?),
                Token::Keyword(Keyword::Shard) => policy.shard_duration = Some(self.shard_duration()?),
                Token::Keyword(Keyword::Default) => policy.default = true,
                _ if found.is_empty() => {
                    return Err(unexpected(&lexeme, &["DURATION", "REPLICATION", "SHARD", "DEFAULT"]));
                }
                _ => {
                    self.unscan();
                    return Ok(Statement::AlterRetentionPolicy(policy));
                }
            }
            found.push(lexeme.token);
        }
    }

    fn create_continuous_query(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        self.expect_keyword(Keyword::On)?;
        let database = self.ident()?;
        let (mut every, mut resample_for) = (None, None);
        if self.take_keyword(Keyword::Resample) {
            if self.take_keyword(Keyword::Every) {
                every = Some(self.duration()?).filter(|every| *every > 0);
            }
            if self.take_keyword(Keyword::For) {
                resample_for = Some(self.duration()?).filter(|back| *back > 0);
            }
            if every.is_none() && resample_for.is_none() {
                return Err(unexpected(&self.next(), &["EVERY", "FOR"]));
            }
        }
        self.expect_keyword(Keyword::Begin)?;
        self.expect_keyword(Keyword::Select)?;
        let select = self.select(Into::Required)?;
        if is_aggregate(&select) && !has_interval(&select) {
            // As in InfluxDB, the error names the token before the blank that comes next.
            self.unscan();
            self.unscan();
            return Err(unexpected(&self.scan(), &["GROUP BY time(...)"]));
        }
        let end = self.next();
        if end.token != Token::Keyword(Keyword::End) {
            return Err(unexpected(&end, &["END"]));
        }
        if let Some(back) = resample_for {
            let least = interval(&select).unwrap_or(0).max(every.unwrap_or(0));
            if back < least {
                let (least, back) = (duration::format(least), duration::format(back));
                return Err(clause(&format!(
                    "FOR duration must be >= GROUP BY time duration: must be a minimum of {least}, got {back}"
                )));
            }
        }
        let query = ContinuousQuery { name, database, every, resample_for, select };
        Ok(Statement::CreateContinuousQuery(Box::new(query)))
    }

    fn subscription_name(&mut self) -> Result<SubscriptionName> {
        let name = self.ident()?;
        self.expect_keyword(Keyword::On)?;
        let database = self.ident()?;
        let dot = self.scan();
        if dot.token != Token::Dot {
            return Err(unexpected(&dot, &["."]));
        }
        let retention_policy = self.ident()?;
        Ok(SubscriptionName { name, database, retention_policy })
    }

    fn create_subscription(&mut self) -> Result<Statement> {
        let name = self.subscription_name()?;
        self.expect_keyword(Keyword::Destinations)?;
        let mode = self.next();
        let all = match mode.token {
            Token::Keyword(Keyword::All) => true,
            Token::Keyword(Keyword::Any) => false,
            _ => return Err(unexpected(&mode, &["ALL", "ANY"])),
        };
        Ok(Statement::CreateSubscription { name, all, destinations: self.list(Self::string)? })
    }

    fn create_user(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        self.expect_keyword(Keyword::With)?;
        self.expect_keyword(Keyword::Password)?;
        let password = self.string()?;
        let admin = self.take_keyword(Keyword::With);
        if admin {
            self.expect_keyword(Keyword::All)?;
            self.expect_keyword(Keyword::Privileges)?;
        }
        Ok(Statement::CreateUser { name, password, admin })
    }

    pub(super) fn set_password(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        self.expect(Token::Eq)?;
        Ok(Statement::SetPassword { name, password: self.string()? })
    }

    pub(super) fn kill_query(&mut self) -> Result<Statement> {
        let id = self.number_u64()?;
        let host = if self.take_keyword(Keyword::On) { Some(self.ident()?) } else { None };
        Ok(Statement::KillQuery { id, host })
    }

    pub(super) fn grant(&mut self) -> Result<Statement> {
        self.privileges(false, Keyword::To)
    }

    pub(super) fn revoke(&mut self) -> Result<Statement> {
        self.privileges(true, Keyword::From)
    }

    fn privileges(&mut self, revoke: bool, preposition: Keyword) -> Result<Statement> {
        let privilege = self.privilege()?;
        let lexeme = self.next();
        let database = if lexeme.token == Token::Keyword(Keyword::On) {
            let database = self.ident()?;
            self.expect_keyword(preposition)?;
            Some(database)
        } else if privilege != Privilege::All {
            return Err(unexpected(&lexeme, &["ON"]));
        } else if lexeme.token == Token::Keyword(preposition) {
            None
        } else {
            return Err(unexpected(&lexeme, &["ON", preposition.text()]));
        };
        Ok(Statement::Grant(Grant { revoke, privilege, database, user: self.ident()? }))
    }

    fn privilege(&mut self) -> Result<Privilege> {
        let lexeme = self.next();
        match lexeme.token {
            Token::Keyword(Keyword::Read) => Ok(Privilege::Read),
            Token::Keyword(Keyword::Write) => Ok(Privilege::Write),
            Token::Keyword(Keyword::All) => {
                self.take_keyword(Keyword::Privileges);
                Ok(Privilege::All)
            }
            _ => Err(unexpected(&lexeme, &["READ", "WRITE", "ALL [PRIVILEGES]"])),
        }
    }
}

fn is_aggregate(select: &Select) -> bool {
    let mut found = false;
    for field in &select.fields {
        field.expr.walk(&mut |expr| found |= matches!(expr, Expr::Call(_)));
    }
    found
}

fn has_interval(select: &Select) -> bool {
    interval(select).is_some()
}

/// The length of the windows of GROUP BY time.
fn interval(select: &Select) -> Option<i64> {
    select.dimensions.iter().find_map(|dimension| match dimension {
        Expr::Call(call) if call.name == "time" => match call.args.first() {
            Some(Expr::Duration(every)) if *every > 0 => Some(*every),
            _ => None,
        },
        _ => None,
    })
}
