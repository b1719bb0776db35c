//! Which role may do what: one table, and nothing beside it decides.

use portcullis_core::ledger::Role;

/// What a token can be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    ShowUser,
    ListUsers,
    ListSessions,
    Audit,
    Suspend,
    Restore,
    RevokeSessions,
    /// The Circularo call, which suspends or restores; see also [`Call::EditUser`].
    PutUser,
    EditUser,
    DeleteUser,
    /// Hands out all that is held about a user.
    ExportUser,
    /// Suspends or restores many, and takes such a batch back.
    Bulk,
    Events,
    ShowPolicy,
    /// Puts a tenant's policy in force, and takes it back.
    PutPolicy,
    /// Runs a candidate beside the policy in force.
    RehearsePolicy,
    CreateToken,
    ListTokens,
    RevokeToken,
    RotateToken,
}

const NO: bool = false;
const YES: bool = true;

/// A row a call; the columns are as [`column`] numbers them.
pub(super) const TABLE: [(Call, [bool; 4]); 20] = [
    //                      global-admin, tenant-admin, support, auditor
    (Call::ShowUser, /*  */ [YES, YES, YES, YES]),
    (Call::ListUsers, /* */ [YES, YES, YES, YES]),
    (Call::ListSessions, [YES, YES, YES, YES]),
    (Call::Audit, /*     */ [YES, YES, YES, YES]),
    (Call::Suspend, /*   */ [YES, YES, YES, NO]),
    (Call::Restore, /*   */ [YES, YES, YES, NO]),
    (Call::RevokeSessions, [YES, YES, YES, NO]),
    (Call::PutUser, /*   */ [YES, YES, YES, NO]),
    (Call::EditUser, /*  */ [YES, YES, NO, NO]),
    (Call::DeleteUser, /**/ [YES, YES, NO, NO]),
    (Call::ExportUser, /**/ [YES, YES, NO, YES]),
    (Call::Bulk, /*      */ [YES, YES, YES, NO]),
    (Call::Events, /*    */ [YES, YES, YES, YES]),
    (Call::ShowPolicy, /**/ [YES, YES, YES, YES]),
    (Call::PutPolicy, /* */ [YES, YES, NO, NO]),
    (Call::RehearsePolicy, [YES, YES, NO, NO]),
    // A tenant-admin's reach ends at its own tenant: see `tokens`.
    (Call::CreateToken, [YES, YES, NO, NO]),
    (Call::ListTokens, /**/ [YES, YES, NO, NO]),
    (Call::RevokeToken, [YES, YES, NO, NO]),
    (Call::RotateToken, [YES, YES, NO, NO]),
];

const fn column(role: Role) -> usize {
    match role {
        Role::GlobalAdmin => 0,
        Role::TenantAdmin => 1,
        Role::Support => 2,
        Role::Auditor => 3,
    }
}

/// A call without a row is allowed to nobody.
pub(super) fn permits(role: Role, call: Call) -> bool {
    TABLE
        .iter()
        .any(|(row, roles)| *row == call && roles[column(role)])
}

/// The roles that may do it, for those who may not.
pub(super) fn permitted(call: Call) -> Vec<&'static str> {
    let roles = Role::ALL.into_iter();
    roles
        .filter(|role| permits(*role, call))
        .map(Role::as_str)
        .collect()
}
