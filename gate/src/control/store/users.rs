//! Finding users for the admin API, page by page.

use portcullis_core::ids::{ReasonKey, TenantId, UserKey};
use portcullis_core::time::Timestamp;
use portcullis_core::user::{Kind, Status, User};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Rows, params_from_iter};

use super::columns::Number;
use super::fault::Fault;
use super::{Names, SqliteStore, names, people};
use crate::control::ledger::ReadError;
use crate::live::forgotten::Pseudonym;

/// What users must be like; every part that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub status: Option<Status>,
    /// Kind of the hold that speaks for the suspension.
    pub kind: Option<Kind>,
    /// Reason of the hold that speaks for the suspension.
    pub reason: Option<ReasonKey>,
}

/// A search for users.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// `None`: of all tenants.
    pub tenant: Option<TenantId>,
    /// How an id or an alias begins, in canonical form.
    pub prefix: Option<String>,
    pub filter: UserFilter,
    /// Holds begin and end, so a search is for one moment.
    pub now: Timestamp,
    pub limit: usize,
    /// [`UserPage::next`] of the page before.
    pub after: Option<String>,
}

/// A page of users; full unless it is the last. More where `next` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPage {
    pub users: Vec<(UserKey, User)>,
    pub next: Option<String>,
}

impl SqliteStore {
    /// What is known of `user`. Blocks on the disk.
    pub fn user(&self, user: &UserKey) -> Result<Option<User>, ReadError> {
        self.readers
            .look(|reader| people::find(reader, &self.vault, user))
    }

    /// The user that `name`, an id or an alias in canonical form, means. Blocks
    /// on the disk.
    pub fn resolve(&self, tenant: &TenantId, name: &str) -> Result<Option<UserKey>, ReadError> {
        self.readers
            .look(|reader| names::resolve(reader, tenant.as_str(), name))
    }

    /// Every name of the user. Blocks on the disk.
    pub fn names_of(&self, user: &UserKey) -> Result<Names, ReadError> {
        self.readers.look(|reader| names::of(reader, user))
    }

    /// The users that `query` describes: by key, or by tenant and the name that was
    /// found where a prefix is given. Blocks on the disk.
    pub fn users(&self, query: &UserQuery) -> Result<UserPage, ReadError> {
        self.readers.look(|reader| page(reader, query))
    }

    /// Hands every user to `take`. Blocks on the disk.
    pub fn load_users(&self, mut take: impl FnMut(UserKey, User)) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let mut all = reader.prepare("SELECT key, body FROM users WHERE revision > 0")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
                take(people::whole_key(&key)?, people::user(&key, &body)?);
            }
            Ok(())
        })
    }

    /// Hands what is left of every name of deleted users to `take`, and what the user
    /// is called now. Blocks on the disk.
    pub fn load_forgotten(
        &self,
        mut take: impl FnMut(Pseudonym, UserKey),
    ) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT f.name, u.key FROM forgotten f JOIN users u ON u.number = f.user";
            let mut all = reader.prepare(sql)?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let key: String = row.get(1)?;
                take(Pseudonym(row.get(0)?), people::whole_key(&key)?);
            }
            Ok(())
        })
    }

    /// Hands every alias to `take`: tenant and alias, and the user meant. Ids are
    /// not among them. Blocks on the disk.
    pub fn load_aliases(
        &self,
        mut take: impl FnMut(TenantId, String, UserKey),
    ) -> Result<(), ReadError> {
        self.readers.look(|reader| {
            let sql = "SELECT tenant, name, key FROM names
                       UNION ALL
                       SELECT tenant, name, key FROM former_names f
                       WHERE NOT EXISTS (SELECT 1 FROM names n
                                         WHERE n.tenant = f.tenant AND n.name = f.name)
                         AND NOT EXISTS (SELECT 1 FROM users u
                                         WHERE u.key = f.tenant || '/' || f.name
                                           AND u.revision > 0)";
            let mut all = reader.prepare(sql)?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                let (tenant, alias, key): (String, String, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let id = TenantId::parse(&tenant)
                    .map_err(|error| Fault::garbled(format!("alias {alias:?}"), error))?;
                take(id, alias, people::whole_key(&key)?);
            }
            Ok(())
        })
    }
}

/// A statement in the making.
struct Search {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Search {
    fn require(&mut self, condition: &'static str, values: &[&str]) {
        self.conditions.push(condition);
        self.values
            .extend(values.iter().map(|value| Value::Text((*value).to_owned())));
    }
}

/// Whether a user has a hold in force, as SQL; the two numbers are the moment.
const HELD: &str = "EXISTS (SELECT 1 FROM holds f WHERE f.key = u.key
                    AND f.starts_at <= ? AND (f.ends_at IS NULL OR ? < f.ends_at))";
const NOT_HELD: &str = "u.deleted = 0 AND NOT EXISTS (SELECT 1 FROM holds f WHERE f.key = u.key
                        AND f.starts_at <= ? AND (f.ends_at IS NULL OR ? < f.ends_at))";

/// What has been found, and how far the search got.
struct Found {
    page: UserPage,
    /// Where the last user of the page stands.
    last: Option<String>,
}

fn page(reader: &Connection, query: &UserQuery) -> Result<UserPage, Fault> {
    let page = UserPage {
        users: Vec::new(),
        next: None,
    };
    let mut found = Found { page, last: None };
    if query.prefix.is_some() && query.tenant.is_none() {
        look_everywhere(reader, query, &mut found)?;
    } else {
        look(reader, query, &mut found)?;
    }
    Ok(found.page)
}

/// Names are in order within a tenant, so this goes from tenant to tenant.
fn look_everywhere(reader: &Connection, query: &UserQuery, found: &mut Found) -> Result<(), Fault> {
    let mut after = query.after.clone();
    let mut tenant = match after.as_deref().and_then(|after| after.split_once('/')) {
        Some((tenant, _)) => Some(tenant.to_owned()),
        None => next_tenant(reader, "")?,
    };
    while let Some(name) = tenant.filter(|_| found.page.next.is_none()) {
        let garbled = |error| Fault::garbled(format!("the tenant {name:?}"), error);
        let here = UserQuery {
            tenant: Some(TenantId::parse(&name).map_err(garbled)?),
            after: after.take(),
            ..query.clone()
        };
        look(reader, &here, found)?;
        tenant = next_tenant(reader, &name)?;
    }
    Ok(())
}

fn next_tenant(reader: &Connection, after: &str) -> Result<Option<String>, Fault> {
    // `0` comes after the slash: behind all keys of the tenant.
    let sql = "SELECT key FROM users WHERE key > ? || '0' ORDER BY key LIMIT 1";
    let key: Option<String> = reader
        .prepare_cached(sql)?
        .query_row([after], |row| row.get(0))
        .optional()?;
    let tenant = |key: String| key.split('/').next().unwrap_or_default().to_owned();
    Ok(key.map(tenant))
}

/// Until the page is full and there is one more. By a prefix, ids and aliases come in
/// turn, each in its order.
fn look(reader: &Connection, query: &UserQuery, found: &mut Found) -> Result<(), Fault> {
    let (sql, values) = statement(query, way(query));
    let mut some = reader.prepare_cached(&sql)?;
    let mut some = some.query(params_from_iter(values))?;
    if query.prefix.is_none() {
        while let Some(hit) = hit(&mut some)? {
            if !found.take(query, hit) {
                return Ok(());
            }
        }
        return Ok(());
    }
    let (sql, values) = statement(query, Way::Aliases);
    let mut others = reader.prepare_cached(&sql)?;
    let mut others = others.query(params_from_iter(values))?;
    let (mut one, mut other) = (hit(&mut some)?, hit(&mut others)?);
    loop {
        let other_first = match (&one, &other) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) => other.place < one.place,
            (one, _) => one.is_none(),
        };
        let next = match other_first {
            true => std::mem::replace(&mut other, hit(&mut others)?),
            false => std::mem::replace(&mut one, hit(&mut some)?),
        };
        if next.is_some_and(|next| !found.take(query, next)) {
            return Ok(());
        }
    }
}

/// A user, and where in the order of the page it was met.
struct Hit {
    key: UserKey,
    user: User,
    place: String,
}

fn hit(rows: &mut Rows<'_>) -> Result<Option<Hit>, Fault> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (key, body): (String, String) = (row.get(0)?, row.get(1)?);
    Ok(Some(Hit {
        user: people::user(&key, &body)?,
        key: people::whole_key(&key)?,
        place: row.get(2)?,
    }))
}

impl Found {
    /// Whether there is room for more.
    fn take(&mut self, query: &UserQuery, hit: Hit) -> bool {
        if !fits(query, &hit.key, &hit.user, &hit.place) {
            return true;
        }
        if self.page.users.len() == query.limit {
            self.page.next = self.last.take();
            return false;
        }
        self.page.users.push((hit.key, hit.user));
        self.last = Some(hit.place);
        true
    }
}

/// The ways in, each of which reads in the order of the page, so that no page sorts or
/// counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Keys,
    Holds,
    /// By a prefix of the id, and of any other name.
    Ids,
    Aliases,
}

fn way(query: &UserQuery) -> Way {
    let filter = &query.filter;
    if query.prefix.is_some() {
        Way::Ids
    } else if filter.kind.is_some()
        || filter.reason.is_some()
        || filter.status == Some(Status::Suspended)
    {
        Way::Holds
    } else {
        Way::Keys
    }
}

/// Narrows down by columns; [`fits`] has the last word.
fn statement(query: &UserQuery, way: Way) -> (String, Vec<Value>) {
    let mut search = Search {
        // Others are only spoken of in entries: nothing is known of them.
        conditions: vec!["u.revision > 0"],
        values: Vec::new(),
    };
    let filter = &query.filter;
    let (from, place, order) = match way {
        Way::Keys => ("users u", "u.key", "u.key"),
        Way::Holds => (
            "holds h CROSS JOIN users u ON u.key = h.key",
            "h.key",
            "h.key",
        ),
        Way::Ids => ("users u", "u.key", "u.key"),
        Way::Aliases => (
            "names n CROSS JOIN users u ON u.key = n.key",
            "n.tenant || '/' || n.name",
            "n.name",
        ),
    };
    match way {
        Way::Keys => keys(&mut search, query, ["u.key > ?", "u.key < ?"]),
        Way::Holds => {
            keys(&mut search, query, ["h.key > ?", "h.key < ?"]);
            if let Some(kind) = filter.kind {
                search.require("h.kind = ?", &[kind.as_str()]);
            }
            if let Some(reason) = &filter.reason {
                search.require("h.reason = ?", &[reason.as_str()]);
            }
        }
        Way::Ids => ids(&mut search, query),
        Way::Aliases => aliases(&mut search, query),
    }
    let now = Number(query.now.0).value();
    match filter.status {
        None => {}
        Some(Status::Deleted) => search.require("u.deleted = 1", &[]),
        Some(Status::Suspended) => {
            search.require(HELD, &[]);
            search.values.extend([now.clone(), now]);
        }
        Some(Status::Active) => {
            search.require(NOT_HELD, &[]);
            search.values.extend([now.clone(), now]);
        }
    }
    let conditions = search.conditions.join(" AND ");
    let distinct = match way {
        Way::Holds => "GROUP BY h.key",
        Way::Keys | Way::Ids | Way::Aliases => "",
    };
    let sql = format!(
        "SELECT u.key, u.body, {place} FROM {from} WHERE {conditions} {distinct} ORDER BY {order}"
    );
    (sql, search.values)
}

/// By key: a tenant is the range of keys from `tenant/` to before `tenant0`, the
/// character after the slash. One lower bound and not two: SQLite would begin at
/// either of them.
fn keys(search: &mut Search, query: &UserQuery, [after, before]: [&'static str; 2]) {
    let first = query.tenant.as_ref().map(|tenant| format!("{tenant}/"));
    let begin = query.after.clone().max(first).unwrap_or_default();
    search.require(after, &[&begin]);
    if let Some(tenant) = &query.tenant {
        search.require(before, &[&format!("{tenant}0")]);
    }
}

/// The last character there is: behind all that begins with the same.
const LAST: char = '\u{10FFFF}';

/// By a prefix of the id, in one tenant.
fn ids(search: &mut Search, query: &UserQuery) {
    let tenant = query.tenant.as_ref().map_or("", TenantId::as_str);
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let first = format!("{tenant}/{prefix}");
    search.require("u.key < ?", &[&format!("{first}{LAST}")]);
    match query
        .after
        .as_deref()
        .filter(|after| *after >= first.as_str())
    {
        Some(after) => search.require("u.key > ?", &[after]),
        None => search.require("u.key >= ?", &[&first]),
    }
}

/// By a prefix of another name, in one tenant.
fn aliases(search: &mut Search, query: &UserQuery) {
    let tenant = query.tenant.as_ref().map_or("", TenantId::as_str);
    let prefix = query.prefix.as_deref().unwrap_or_default();
    search.require("n.tenant = ?", &[tenant]);
    search.require("n.name < ?", &[&format!("{prefix}{LAST}")]);
    let after = query.after.as_deref();
    let after = after.and_then(|after| after.split_once('/'));
    match after.filter(|(_, name)| *name >= prefix) {
        Some((_, name)) => search.require("n.name > ?", &[name]),
        None => search.require("n.name >= ?", &[prefix]),
    }
}

impl UserFilter {
    /// Whether the user is like that.
    pub fn fits(&self, user: &User, now: Timestamp) -> bool {
        let status = user.status(now);
        // Deletion removes the holds, so who is deleted has none that speaks.
        let hold = user
            .leading_hold(now)
            .filter(|_| status == Status::Suspended);
        let reason = self.reason.as_ref();
        self.status.is_none_or(|wanted| wanted == status)
            && self
                .kind
                .is_none_or(|wanted| hold.is_some_and(|hold| hold.kind == wanted))
            && reason
                .is_none_or(|wanted| hold.is_some_and(|hold| hold.reason.as_ref() == Some(wanted)))
    }
}

fn fits(query: &UserQuery, key: &UserKey, user: &User, place: &str) -> bool {
    query.filter.fits(user, query.now)
        && query
            .prefix
            .as_deref()
            .is_none_or(|prefix| is_first_name(prefix, key, user, place))
}

/// Whether `place` (tenant/name) is where the search meets the user first: with
/// several names that fit, it is listed once, also across pages.
fn is_first_name(prefix: &str, key: &UserKey, user: &User, place: &str) -> bool {
    let found = place.split_once('/').map_or("", |(_, name)| name);
    let names = user.profile.aliases().chain([key.user()]);
    names
        .filter(|name| name.starts_with(prefix))
        .all(|name| found <= name)
}

#[cfg(test)]
impl SqliteStore {
    /// How SQLite would go about a search.
    pub(super) fn explain(&self, query: &UserQuery) -> String {
        let other = query.prefix.is_some().then_some(Way::Aliases);
        let ways = [way(query)].into_iter().chain(other);
        let look = self.readers.look(|reader| {
            let mut all = Vec::new();
            for way in ways {
                let (sql, values) = statement(query, way);
                let mut plan = reader.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let lines =
                    plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3))?;
                all.extend(lines.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(all.join("\n"))
        });
        look.unwrap_or_else(|error| format!("TEMP B-TREE, or worse: {error}"))
    }
}
