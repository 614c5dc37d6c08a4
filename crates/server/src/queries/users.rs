//! Users and grants of InfluxQL.
//!
//! ```text
//!  CREATE USER                      a user, and its authorization for grants: no token, no permissions yet
//!  ... WITH ALL PRIVILEGES          an owner of the organization
//!  GRANT READ ON db TO user         that authorization may read the buckets of the database
//! ```
//! A bucket that CREATE RETENTION POLICY adds to a database is granted to whom the database was. As in InfluxDB, a grant on
//! a database takes the place of the one before.

use catalog::auth::{
    check_password, generate_token, grants_hash, hash_password, hash_token, operator, os_random,
    verify_password,
};
use catalog::{
    Action, Authorization, Command, Level, Permission, ResourceType, Response, State, Status, User,
};
use gateway::ports::InfluxqlCaller;
use influxql::ast::{Grant, Privilege};
use model::{AuthorizationId, BucketId, OrgId, UserId};
use query::influxql::{DatabaseGrant, KnownUser};

use super::QueryAdapter;
use super::databases::random_id;

/// Of the authorization that holds grants.
const DESCRIPTION: &str = "What InfluxQL has granted";

/// The users of an organization, for somebody who looks after it.
pub(super) struct Users<'a> {
    pub(super) adapter: &'a QueryAdapter,
    pub(super) org: OrgId,
    pub(super) caller: &'a InfluxqlCaller,
}

impl Users<'_> {
    pub(super) fn create(&self, name: &str, password: &str, is_admin: bool) -> Result<(), String> {
        if name.is_empty() {
            return Err("username required".to_owned());
        }
        let (existing, is_set_up) = {
            let state = self.adapter.cluster.catalog().read();
            let existing = state.user_by_name(name).map(|user| (user.clone(), self.may_name(&state, user)));
            (existing, state.is_set_up())
        };
        if let Some((user, may_name)) = existing {
            let is_owner = user.owner_of.contains(&self.org);
            let hash = user.password_hash.as_deref().unwrap_or_default();
            if !may_name || is_owner != is_admin || !verify_password(password, hash) {
                return Err("user already exists".to_owned());
            }
            return self.grants(user.id).map(drop);
        }
        check_password(password).map_err(|unfit| unfit.to_string())?;
        if !is_set_up {
            return match is_admin {
                true => self.create_first(name, password),
                false => Err("create admin user first".to_owned()),
            };
        }
        let user = self.new_user(name, password, is_admin)?;
        let id = user.id;
        self.propose(Command::CreateUser { user })?;
        self.grants(id).map(drop)
    }

    /// The first user of all looks after the whole instance, as the one that the set-up makes.
    fn create_first(&self, name: &str, password: &str) -> Result<(), String> {
        let org = self.adapter.cluster.catalog().read().org(self.org).cloned();
        let org = org.ok_or("organization not found")?;
        let user = self.new_user(name, password, true)?;
        // Nobody is told this token: the user makes others once signed in.
        let hash = hash_token(&generate_token(&mut os_random));
        let mut authorization = self.new_authorization(user.id, hash, format!("{name}'s Token"))?;
        authorization.permissions = operator();
        self.propose(Command::Setup { user, org, buckets: Vec::new(), authorization })
    }

    fn new_user(&self, name: &str, password: &str, is_admin: bool) -> Result<User, String> {
        let hash = hash_password(password, &mut os_random).map_err(|unfit| unfit.to_string())?;
        Ok(User {
            id: random_id(UserId::new)?,
            name: name.to_owned(),
            password_hash: Some(hash),
            status: Status::Active,
            owner_of: if is_admin { vec![self.org] } else { Vec::new() },
            created_at: self.adapter.clock.now(),
        })
    }

    fn new_authorization(
        &self,
        user: UserId,
        token_hash: [u8; 32],
        description: String,
    ) -> Result<Authorization, String> {
        let now = self.adapter.clock.now();
        Ok(Authorization {
            id: random_id(AuthorizationId::new)?,
            token_hash,
            org: self.org,
            user,
            description,
            status: Status::Active,
            permissions: Vec::new(),
            created_at: now,
            updated_at: now,
        })
    }

    /// The authorization that holds a user's grants, which also makes the user one of the organization.
    fn grants(&self, user: UserId) -> Result<AuthorizationId, String> {
        let hash = grants_hash(user, self.org);
        let find = || {
            let state = self.adapter.cluster.catalog().read();
            state.authorization_by_hash(&hash).map(|authorization| authorization.id)
        };
        if let Some(id) = find() {
            return Ok(id);
        }
        let authorization = self.new_authorization(user, hash, DESCRIPTION.to_owned())?;
        // Somebody else may have been faster.
        self.adapter.propose(Command::CreateAuthorization { authorization })?;
        find().ok_or_else(|| "user not found".to_owned())
    }

    pub(super) fn drop(&self, name: &str) -> Result<(), String> {
        let id = self.to_change(name)?;
        let is_last_owner = {
            let state = self.adapter.cluster.catalog().read();
            let mut owners = state.users().filter(|user| user.owner_of.contains(&self.org));
            owners.next().is_some_and(|owner| owner.id == id) && owners.next().is_none()
        };
        if is_last_owner {
            return Err("the last owner of an organization must stay".to_owned());
        }
        self.propose(Command::DeleteUser { id })
    }

    pub(super) fn set_password(&self, name: &str, password: &str) -> Result<(), String> {
        let user = self.to_change(name)?;
        let hash = hash_password(password, &mut os_random).map_err(|unfit| unfit.to_string())?;
        self.propose(Command::SetPassword { user, hash })
    }

    pub(super) fn grant(&self, grant: &Grant) -> Result<(), String> {
        let user = self.known(&grant.user)?;
        let Some(database) = &grant.database else {
            self.adapter.may_use("GRANT ALL PRIVILEGES and REVOKE ALL PRIVILEGES")?;
            self.grants(user)?;
            return self.propose(Command::ChangeOwner { user, org: self.org, owns: !grant.revoke });
        };
        let buckets = {
            let state = self.adapter.cluster.catalog().read();
            state.databases(self.org).remove(database.as_str())
        };
        let buckets = buckets.ok_or_else(|| format!("database not found: {database}"))?;
        self.adapter.may_use("GRANT and REVOKE")?;
        let named = match grant.privilege {
            Privilege::Read => &[Action::Read][..],
            Privilege::Write => &[Action::Write],
            Privilege::All => &Action::ALL,
        };
        let rights = |is_meant: &dyn Fn(&Action) -> bool| {
            let actions = Action::ALL.into_iter().filter(is_meant);
            actions.flat_map(|a| buckets.iter().map(move |b| on_bucket(self.org, a, *b))).collect()
        };
        let (add, remove): (Vec<Permission>, Vec<Permission>) = match grant.revoke {
            true => (Vec::new(), rights(&|action| named.contains(action))),
            false => (rights(&|action| named.contains(action)), rights(&|action| !named.contains(action))),
        };
        let at = self.adapter.clock.now();
        self.propose(Command::ChangePermissions { id: self.grants(user)?, add, remove, at })?;
        if grant.revoke { self.what_is_left(user, named, &buckets) } else { Ok(()) }
    }

    /// Says when a right that was revoked is left, because a token of the user gives it.
    fn what_is_left(&self, user: UserId, actions: &[Action], buckets: &[BucketId]) -> Result<(), String> {
        let state = self.adapter.cluster.catalog().read();
        let allows = |a: &Authorization| {
            actions.iter().any(|action| buckets.iter().any(|bucket| may(a, self.org, *action, *bucket)))
        };
        let mut tokens =
            state.authorizations().filter(|a| a.user == user && a.status == Status::Active && allows(a));
        match tokens.next() {
            None => Ok(()),
            Some(token) => Err(format!(
                "the grant is revoked, but the user's token {} allows the same: delete that, too",
                token.id
            )),
        }
    }

    pub(super) fn list(&self) -> Vec<KnownUser> {
        let state = self.adapter.cluster.catalog().read();
        let with_token: Vec<UserId> =
            state.authorizations().filter(|a| a.org == self.org).map(|a| a.user).collect();
        let is_admin = |user: &User| user.owner_of.contains(&self.org);
        let own = state.users().filter(|user| is_admin(user) || with_token.contains(&user.id));
        // As they were made.
        let mut own: Vec<&User> = own.collect();
        own.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        own.into_iter().map(|user| KnownUser { name: user.name.clone(), is_admin: is_admin(user) }).collect()
    }

    pub(super) fn grants_of(&self, name: &str) -> Result<Vec<DatabaseGrant>, String> {
        let user = self.known(name)?;
        let state = self.adapter.cluster.catalog().read();
        let Some(granted) = state.authorization_by_hash(&grants_hash(user, self.org)) else {
            return Ok(Vec::new());
        };
        let grant = |(database, buckets): (&str, Vec<BucketId>)| {
            let has = |action| buckets.iter().any(|bucket| may(granted, self.org, action, *bucket));
            let (may_read, may_write) = (has(Action::Read), has(Action::Write));
            (may_read || may_write).then(|| DatabaseGrant {
                database: database.to_owned(),
                may_read,
                may_write,
            })
        };
        Ok(state.databases(self.org).into_iter().filter_map(grant).collect())
    }

    /// A user of the organization; an operator may name any. Whoever looks after another organization must not draw a user
    /// into his.
    fn known(&self, name: &str) -> Result<UserId, String> {
        let state = self.adapter.cluster.catalog().read();
        let found = state.user_by_name(name).filter(|user| self.may_name(&state, user));
        found.map(|user| user.id).ok_or_else(|| "user not found".to_owned())
    }

    fn may_name(&self, state: &State, user: &User) -> bool {
        let is_own = user.owner_of.contains(&self.org)
            || state.authorizations().any(|a| a.user == user.id && a.org == self.org);
        is_own || self.caller.is_operator
    }

    /// A user that may be dropped, or given another password: nobody takes over, by that, rights that he could not give.
    fn to_change(&self, name: &str) -> Result<UserId, String> {
        let id = self.known(name)?;
        let state = self.adapter.cluster.catalog().read();
        if self.caller.is_operator || is_within(&state, id, self.org) {
            return Ok(id);
        }
        Err(format!("insufficient permissions to change {name}, who has rights outside of this organization"))
    }

    fn propose(&self, command: Command) -> Result<(), String> {
        self.adapter.propose_strictly(command)
    }
}

impl QueryAdapter {
    /// Proposes a command; every refusal is an error.
    pub(super) fn propose_strictly(&self, command: Command) -> Result<(), String> {
        match host::wait(&self.runtime, self.cluster.propose_catalog(command)) {
            Ok(Response::Refused(refusal)) => Err(refusal.message),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Refuses what the cluster cannot keep yet, because some node may not understand it.
    pub(super) fn may_use(&self, what: &str) -> Result<(), String> {
        let (level, needed) = (self.cluster.catalog().read().level(), Level::STATEMENTS);
        if level >= needed {
            return Ok(());
        }
        Err(format!(
            "not possible yet: {what} need feature level {needed}, and the cluster is at {level}; `tidemark cluster finalize` \
             raises it once all nodes have the new version"
        ))
    }

    /// Gives those who were granted a database a bucket that it has got.
    pub(super) fn grant_new_policy(&self, org: OrgId, database: &str, new: BucketId) -> Result<(), String> {
        let commands: Vec<Command> = {
            let state = self.cluster.catalog().read();
            let buckets = state.databases(org).remove(database).unwrap_or_default();
            let granted = state.authorizations().filter(|a| a.org == org && holds_grants(a));
            let add = |a: &Authorization| {
                let has = |action| buckets.iter().any(|bucket| may(a, org, action, *bucket));
                let actions = Action::ALL.into_iter().filter(|action| has(*action));
                actions.map(|action| on_bucket(org, action, new)).collect::<Vec<_>>()
            };
            let at = self.clock.now();
            let change = |a: &Authorization| Command::ChangePermissions {
                id: a.id,
                add: add(a),
                remove: Vec::new(),
                at,
            };
            granted.filter(|a| !add(a).is_empty()).map(change).collect()
        };
        commands.into_iter().try_for_each(|command| self.propose(command))
    }

    /// Takes a bucket that is gone out of what was granted.
    pub(super) fn forget_grants(&self, bucket: BucketId) -> Result<(), String> {
        let commands: Vec<Command> = {
            let state = self.cluster.catalog().read();
            let at = self.clock.now();
            let remove = |a: &Authorization| {
                let gone = a
                    .permissions
                    .iter()
                    .filter(|p| p.resource == ResourceType::Buckets && p.id == Some(bucket.get()));
                Command::ChangePermissions { id: a.id, add: Vec::new(), remove: gone.cloned().collect(), at }
            };
            let granted = state.authorizations().filter(|a| holds_grants(a));
            granted
                .filter(|a| Action::ALL.iter().any(|action| may(a, a.org, *action, bucket)))
                .map(remove)
                .collect()
        };
        commands.into_iter().try_for_each(|command| self.propose(command))
    }
}

/// Whether an authorization is one that GRANT made.
fn holds_grants(authorization: &Authorization) -> bool {
    authorization.token_hash == grants_hash(authorization.user, authorization.org)
}

const fn on_bucket(org: OrgId, action: Action, bucket: BucketId) -> Permission {
    Permission { action, resource: ResourceType::Buckets, id: Some(bucket.get()), org: Some(org) }
}

fn may(authorization: &Authorization, org: OrgId, action: Action, bucket: BucketId) -> bool {
    let permissions = &authorization.permissions;
    catalog::auth::allows(permissions, action, ResourceType::Buckets, Some(org), Some(bucket.get()))
}

/// Whether all that a user may do lies inside an organization.
fn is_within(state: &State, user: UserId, org: OrgId) -> bool {
    let inside = |p: &Permission| match p.resource {
        ResourceType::Orgs => p.id == Some(org.get()),
        ResourceType::Users if p.id == Some(user.get()) => true,
        _ => p.org == Some(org),
    };
    let owned_elsewhere = state.user(user).is_some_and(|u| u.owner_of.iter().any(|other| *other != org));
    let mut tokens = state.authorizations().filter(|a| a.user == user);
    !owned_elsewhere && tokens.all(|a| a.org == org && a.permissions.iter().all(inside))
}
