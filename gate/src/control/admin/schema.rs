//! Schemas of the words and texts that the API takes and gives, for its
//! description. The types are never made: they stand for what the checks of
//! [`super::body`], [`super::times`] and core let through.

use std::borrow::Cow;

use portcullis_core::ledger::Role;
use portcullis_core::limits;
use portcullis_core::user::{Access, Kind, Status};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A type that is only a schema.
macro_rules! described {
    ($(#[$doc:meta])* $name:ident => $schema:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

described! {
    /// [`super::body::text`].
    Words => json_schema!({
        "type": "string",
        "minLength": 1,
        "description": "Its length is counted in bytes",
        "maxLength": limits::TEXT_FIELD_BYTES_MAX,
        "pattern": "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$",
    })
}
described! {
    TenantText => json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}$" })
}
described! {
    ReasonKeyText => json_schema!({ "type": "string", "pattern": "^[a-z][A-Za-z0-9]{0,63}$" })
}
described! {
    ApiKeyText => json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-fA-F]{64}$" })
}
described! {
    HoldNameText => json_schema!({ "type": "string", "pattern": "^[a-z0-9._-]{1,64}$" })
}
described! {
    BatchText => json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })
}
described! {
    FilterText => json_schema!({ "type": "string", "pattern": super::filter::PATTERN })
}
described! {
    /// A user's id or alias; what is none is refused in its own line.
    UserText => json_schema!({ "type": "string" })
}
described! {
    /// RFC 3339, as it is given out.
    Time => json_schema!({ "type": "string", "format": "date-time" })
}
described! {
    /// [`super::times::moment`].
    Moment => json_schema!({
        "type": "string",
        "description": "A time (RFC 3339), or a duration from now such as 24h or 90d; other spellings of RFC 3339 are taken, too",
        "examples": ["24h", "90d", "2030-01-02T03:04:05Z"],
        "pattern": "^([1-9][0-9]{0,3}(m|h|d)|20[3-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)$",
    })
}
described! {
    /// [`limits::TOKEN_GRACE_MAX`] at most.
    GraceText => json_schema!({
        "type": "string",
        "description": "A duration of 24h at most; other spellings are taken, too",
        "examples": ["10m", "24h"],
        "pattern": "^([1-9][0-9]{0,2}(s|m)|([1-9]|1[0-9]|2[0-4])h)$",
    })
}
described! {
    /// For what can't be asked for yet.
    False => json_schema!({ "const": false })
}
described! {
    EmailText => json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]{1,64}@[A-Za-z0-9.-]{1,100}$",
    })
}
described! {
    PhoneText => json_schema!({ "type": "string", "pattern": "^[+][0-9]{1,20}$" })
}
described! {
    NameText => json_schema!({
        "type": "string",
        "description": "Brought to the spelling of the tenant's rule",
        "pattern": "^[A-Za-z0-9._@-]{1,64}$",
    })
}
described! {
    LocaleText => json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9]{2,8}(-[A-Za-z0-9]{1,8}){0,2}$" })
}
described! {
    StatusWord => one_of(&[
        Status::Active.as_str(),
        Status::Suspended.as_str(),
        Status::Deleted.as_str(),
    ])
}
described! {
    KindWord => one_of(&[Kind::Temporary.as_str(), Kind::Permanent.as_str()])
}
described! {
    AccessWord => one_of(&[Access::None.as_str(), Access::ReadOnly.as_str()])
}
described! {
    RoleWord => one_of(&Role::ALL.map(Role::as_str))
}

fn one_of(words: &[&'static str]) -> Schema {
    json_schema!({ "type": "string", "enum": words })
}
