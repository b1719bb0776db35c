//! One tenant: hosts, upstream, policy, and how its users are told apart.

use http::Method;
use http::uri::PathAndQuery;
use portcullis_core::host::HostName;
use portcullis_core::identify::{Sources, TokenPlace};
use portcullis_core::ids::TenantId;
use portcullis_core::login::{BodyFormat, LoginRoute};
use portcullis_core::names::NameRule;
use toml::de::DeValue;

use super::fault::Noted;
use super::section::Section;
use super::{
    BuiltinPolicy, LogoutConfig, OnFailure, PolicyConfig, PolicySource, SessionCookieConfig,
    TenantConfig, UnknownSessions,
};
use super::{credentials, holds, introspection, login, peers, scalar};

const UNKNOWN: [(&str, UnknownSessions); 2] = [
    ("allow", UnknownSessions::Allow),
    ("login", UnknownSessions::Login),
];

pub(super) fn read_tenant(section: &Section<'_>) -> Result<TenantConfig, Noted> {
    let id = section.required("id", "id = \"acme\"", tenant_id);
    let hosts = read_hosts(section);
    let example = "upstream = \"http://127.0.0.1:9000\"";
    let upstream = section.required("upstream", example, scalar::upstream);
    let names = section.optional("names", read_name_rule);
    let names = names.map(Option::unwrap_or_default);
    let holds = holds::read_holds(section);
    let login_page = section.optional("login_page", scalar::path_and_query);
    let policy = read_policy(section);
    let cookies = credentials::read_session_cookies(section);
    let unknown = section.optional("unknown_sessions", |value| scalar::word(value, &UNKNOWN));
    let taught_by = section.optional("taught_by", scalar::header);
    let session_tokens = credentials::read_session_tokens(section);
    let jwts = credentials::read_jwts(section);
    let introspections = introspection::read_introspections(section);
    // Under a rule that is wrong, the keys' users are still worth checking.
    let api_keys = credentials::read_api_keys(section, names.unwrap_or_default());
    let trusted_headers = peers::read_trusted_headers(section);
    let basic = peers::read_basic(section, id.as_ref().map_or("", TenantId::as_str));
    let logins = login::read_logins(section, cookies.as_ref().is_ok_and(Vec::is_empty));
    let logout = read_logout(section);
    section.refuse_unknown();

    let (cookies, jwts, api_keys, logins) = (cookies?, jwts?, api_keys?, logins?);
    let (introspections, trusted_headers) = (introspections?, trusted_headers?);
    let (basic, taught_by, session_tokens) = (basic?, taught_by?, session_tokens?);
    let (cookies, session_cookies): (Vec<String>, Vec<_>) = cookies.into_iter().unzip();
    let has_others = !(jwts.is_empty()
        && introspections.is_empty()
        && api_keys.is_empty()
        && session_tokens.is_empty()
        && trusted_headers.is_empty());
    let has_others = has_others || basic.is_some();
    check_ways_to_identify(section, &cookies, has_others, taught_by.is_some(), &logins)?;
    check_sealed(section, &session_cookies, taught_by.is_some())?;
    check_given_tokens(section, &logins, session_tokens.len(), jwts.len())?;
    let sessions = cookies.len() + session_tokens.len();
    let unknown_sessions = check_unknown(section, unknown, sessions)?;
    let mut tokens = Vec::new();
    let jwts = placed(&mut tokens, jwts, |jwt, place| jwt.place = place);
    let introspections = placed(&mut tokens, introspections, |one, place| one.place = place);
    let session_tokens = placed(&mut tokens, session_tokens, |one, place| one.place = place);
    let trusted = trusted_headers.iter().map(|entry| entry.header.clone());
    let key_headers = api_keys.iter().map(|source| source.header.clone());
    let sources = Sources {
        session_cookies: cookies,
        sealed_cookies: session_cookies.iter().map(|cookie| cookie.sealed).collect(),
        tokens,
        trusted_headers: trusted.collect(),
        api_key_headers: key_headers.collect(),
    };
    Ok(TenantConfig {
        id: id?,
        hosts: hosts?,
        upstream: upstream?,
        names: names?,
        holds: holds?,
        login_page: login_page?.unwrap_or_else(|| default_login_page(&logins)),
        policy: policy?,
        sources,
        session_cookies,
        session_tokens,
        unknown_sessions,
        taught_by,
        jwts,
        introspections,
        api_keys,
        trusted_headers,
        basic,
        logins: logins.into_iter().map(|(route, _)| route).collect(),
        logout: logout?,
    })
}

fn tenant_id(value: &DeValue<'_>) -> Result<TenantId, String> {
    let text = scalar::text(value)?;
    TenantId::parse(text).map_err(|error| format!("{text:?} is no tenant id: {error}"))
}

/// A word on nobody's session is none, and a sealed value says by itself whose it is.
fn check_sealed(
    section: &Section<'_>,
    cookies: &[SessionCookieConfig],
    taught: bool,
) -> Result<(), Noted> {
    if taught && cookies.is_empty() {
        return Err(section.note(
            "taught_by",
            "says whose a session cookie is, and none is known; add [[tenants.session_cookies]]",
        ));
    }
    if taught && cookies.iter().any(|cookie| cookie.sealed) {
        return Err(section.note(
            "taught_by",
            "can't be used beside a sealed session cookie; remove one of the two",
        ));
    }
    Ok(())
}

/// A rule for sessions that there are none of would look as if it did something.
fn check_unknown(
    section: &Section<'_>,
    rule: Result<Option<UnknownSessions>, Noted>,
    sessions: usize,
) -> Result<UnknownSessions, Noted> {
    let rule = rule?;
    if rule.is_some() && sessions == 0 {
        return Err(section.note(
            "unknown_sessions",
            "is about session cookies and tokens of logins, and the tenant has neither; add [[tenants.session_cookies]] or [[tenants.session_tokens]], or remove it",
        ));
    }
    Ok(rule.unwrap_or_default())
}

/// A login gives tokens out and a place takes them, or neither.
fn check_given_tokens(
    section: &Section<'_>,
    logins: &[(LoginRoute, PathAndQuery)],
    places: usize,
    jwts: usize,
) -> Result<(), Noted> {
    let given = logins
        .iter()
        .any(|(route, _)| route.session_token.is_some());
    if places > 0 && !given {
        return Err(section.note(
            "session_tokens",
            "whose token it is can be learnt only from the login that gives it out; add session_token = \"/access_token\" to [[tenants.logins]]",
        ));
    }
    if given && places + jwts == 0 {
        return Err(section.note(
            "logins",
            "one of them has a session_token, and nothing says where requests carry it; add [[tenants.session_tokens]] with from = \"bearer\"",
        ));
    }
    Ok(())
}

/// Gives each entry the index of its place; several entries may share one.
fn placed<T>(
    places: &mut Vec<TokenPlace>,
    entries: Vec<(TokenPlace, T)>,
    put: impl Fn(&mut T, usize),
) -> Vec<T> {
    let place_of = |(place, mut entry): (TokenPlace, T)| {
        let known = places.iter().position(|other| *other == place);
        let index = known.unwrap_or_else(|| {
            places.push(place);
            places.len() - 1
        });
        put(&mut entry, index);
        entry
    };
    entries.into_iter().map(place_of).collect()
}

fn read_hosts(section: &Section<'_>) -> Result<Vec<HostName>, Noted> {
    let hosts = section.list("hosts", |value| {
        let text = scalar::text(value)?;
        let bad = || format!("{text:?} is not a host name; write it without scheme and port, such as \"app.example.com\"");
        let host = HostName::parse(text).map_err(|_| bad())?;
        // A port would be dropped in silence, and look as if it mattered.
        let has_port = !text.starts_with('[') && text.contains(':');
        if has_port || text.contains("]:") { Err(bad()) } else { Ok(host) }
    })?;
    if hosts.is_empty() {
        return Err(section.note("hosts", "is missing; add hosts = [\"app.example.com\"]"));
    }
    Ok(hosts)
}

/// The page with the form, where there is one. An app that takes JSON has its
/// login behind some page, and sends people there from `/` by itself.
fn default_login_page(logins: &[(LoginRoute, PathAndQuery)]) -> PathAndQuery {
    let form = logins
        .iter()
        .find(|(route, _)| route.formats.contains(&BodyFormat::Form));
    form.map_or(PathAndQuery::from_static("/"), |(_, path)| path.clone())
}

/// A tenant whose users cannot be told apart would let everyone through, and
/// look as if it worked.
fn check_ways_to_identify(
    section: &Section<'_>,
    cookies: &[String],
    has_others: bool,
    taught: bool,
    logins: &[(LoginRoute, PathAndQuery)],
) -> Result<(), Noted> {
    if cookies.is_empty() && !has_others && !taught && logins.is_empty() {
        return Err(section.note_whole(
            "has no way to tell users apart, so none could be kept out; add [[tenants.session_cookies]] with [[tenants.logins]], [[tenants.jwts]], [[tenants.introspection]], [[tenants.session_tokens]], [[tenants.api_keys]], [[tenants.trusted_headers]] or [tenants.basic]",
        ));
    }
    if !cookies.is_empty() && logins.is_empty() && !taught {
        return Err(section.note(
            "session_cookies",
            "whose session it is can be learnt only from a login, or from the app's own word; add [[tenants.logins]] or taught_by",
        ));
    }
    Ok(())
}

fn read_policy(tenant: &Section<'_>) -> Result<PolicyConfig, Noted> {
    const BUILTINS: [(&str, BuiltinPolicy); 3] = [
        ("standard", BuiltinPolicy::Standard),
        ("acme", BuiltinPolicy::Acme),
        ("globex", BuiltinPolicy::Globex),
    ];
    const ON_FAILURE: [(&str, OnFailure); 3] = [
        ("builtin", OnFailure::BuiltinAnswer),
        ("previous", OnFailure::PreviousPolicy),
        ("unavailable", OnFailure::Unavailable),
    ];
    let section = tenant.section("policy")?;
    let folder = section.optional("folder", |value| {
        let folder = section.resolve(scalar::text(value)?);
        if folder.join("policy.toml").is_file() {
            return Ok(folder);
        }
        let what = if folder.is_dir() {
            "has no policy.toml"
        } else {
            "is no folder"
        };
        Err(format!(
            "{} {what}; correct the path (it starts at the folder of this file)",
            folder.display()
        ))
    });
    let builtin = section.optional("builtin", |value| scalar::word(value, &BUILTINS));
    let on_failure = section.optional("on_failure", |value| scalar::word(value, &ON_FAILURE));
    let watch = section.optional("watch", scalar::flag);
    section.refuse_unknown();
    let (folder, watch) = (folder?, watch?.unwrap_or(false));
    if watch && folder.is_none() {
        return Err(section.note("watch", "stands without folder; name one, or leave it out"));
    }
    let source = match (folder, builtin?) {
        (Some(folder), None) => PolicySource::Folder(folder),
        (None, Some(builtin)) => PolicySource::Builtin(builtin),
        (None, None) => PolicySource::Builtin(BuiltinPolicy::Standard),
        (Some(_), Some(_)) => {
            return Err(section.note("builtin", "stands beside folder; keep one of them"));
        }
    };
    Ok(PolicyConfig {
        source,
        watch,
        on_failure: on_failure?.unwrap_or_default(),
    })
}

impl BuiltinPolicy {
    /// The name that it is loaded by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Acme => "acme",
            Self::Globex => "globex",
        }
    }
}

fn read_logout(tenant: &Section<'_>) -> Result<Option<LogoutConfig>, Noted> {
    let section = tenant.section("logout")?;
    let method = section.optional("method", read_method);
    let path = section.optional("path", scalar::path_and_query);
    section.refuse_unknown();
    let (method, path) = (method?.unwrap_or(Method::POST), path?);
    match path {
        Some(path) => Ok(Some(LogoutConfig { method, path })),
        None if section.is_present() => {
            Err(section.note("path", "is missing; add path = \"/logout\""))
        }
        None => Ok(None),
    }
}

fn read_method(value: &DeValue<'_>) -> Result<Method, String> {
    const METHODS: [(&str, &Method); 4] = [
        ("POST", &Method::POST),
        ("GET", &Method::GET),
        ("DELETE", &Method::DELETE),
        ("PUT", &Method::PUT),
    ];
    scalar::word(value, &METHODS).cloned()
}

fn read_name_rule(value: &DeValue<'_>) -> Result<NameRule, String> {
    scalar::word(value, &NameRule::ALL.map(|rule| (rule.as_str(), rule)))
}
