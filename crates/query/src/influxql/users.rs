//! SHOW USERS and SHOW GRANTS.

use model::{FieldType, FieldValue, Frame};

use super::execute::{Series, SeriesSink, text_frame};
use super::show::column;
use crate::error::Error;

/// A user, as SHOW USERS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUser {
    /// Its name.
    pub name: String,
    /// Whether it looks after the whole organization.
    pub is_admin: bool,
}

/// What a user may do in a database, as SHOW GRANTS lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseGrant {
    /// The database.
    pub database: String,
    /// Whether it may read.
    pub may_read: bool,
    /// Whether it may write.
    pub may_write: bool,
}

pub(super) fn show(users: &[KnownUser], sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let names: Vec<_> = users.iter().map(|user| FieldValue::String(user.name.clone())).collect();
    let admins: Vec<_> = users.iter().map(|user| FieldValue::Boolean(user.is_admin)).collect();
    let columns =
        vec![column("user", FieldType::String, &names), column("admin", FieldType::Boolean, &admins)];
    sink(Series::new("", Frame { columns, rows: users.len() }))
}

pub(super) fn show_grants(grants: &[DatabaseGrant], sink: &mut SeriesSink<'_>) -> Result<(), Error> {
    let row = |grant: &DatabaseGrant| {
        let privilege = match (grant.may_read, grant.may_write) {
            (true, true) => "ALL PRIVILEGES",
            (true, false) => "READ",
            (false, true) => "WRITE",
            (false, false) => "NO PRIVILEGES",
        };
        vec![grant.database.clone(), privilege.to_owned()]
    };
    let rows: Vec<_> = grants.iter().map(row).collect();
    sink(Series::new("", text_frame(&["database", "privilege"], &rows)))
}
