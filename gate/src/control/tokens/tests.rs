//! Promises of the tokens, on a real store.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use portcullis_core::user::Source;

fn ask(role: Role, tenant: Option<&str>) -> TokenAsk {
    let tenant = tenant.map(|id| TenantId::parse(id).unwrap());
    TokenAsk {
        role,
        tenant,
        user: None,
        name: "ops".into(),
        expires_at: Some(Timestamp(1_000)),
    }
}

fn key(tenant: &str, user: &str) -> UserKey {
    let tenant = TenantId::parse(tenant).unwrap();
    UserKey::new(&tenant, &UserId::parse(user).unwrap())
}

/// Tokens on a store of their own, and the caller who holds the store.
struct Stage {
    folder: tempfile::TempDir,
    tokens: Tokens,
    by: Caller,
}

impl Stage {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            tokens: load(&folder),
            folder,
            by: Caller::command_line(),
        }
    }

    /// Closes the store and opens it again.
    fn restart(self) -> Self {
        drop(self.tokens);
        Self {
            tokens: load(&self.folder),
            ..self
        }
    }

    async fn make(&self, role: Role, tenant: Option<&str>) -> NewToken {
        let asked = ask(role, tenant);
        let made = self
            .tokens
            .create(asked, &self.by, Timestamp(1), None)
            .await;
        made.unwrap()
    }

    async fn rotate(&self, id: &str, grace: u64, at: u64) -> Result<NewToken, TokenError> {
        let ask = RotateAsk {
            expires_at: None,
            grace: Duration::from_millis(grace),
        };
        self.tokens
            .rotate(id, ask, &self.by, Timestamp(at), None)
            .await
    }

    fn opens(&self, secret: &str, at: u64) -> bool {
        self.tokens.authenticate(secret, Timestamp(at)).is_ok()
    }
}

fn load(folder: &tempfile::TempDir) -> Tokens {
    Tokens::load(Arc::new(SqliteStore::open(folder.path()).unwrap())).unwrap()
}

#[tokio::test]
async fn a_token_works_until_it_expires_or_is_revoked_and_across_a_restart() {
    let stage = Stage::start();
    let made = stage.make(Role::Support, Some("acme")).await;
    let stage = stage.restart();
    let caller = stage.tokens.authenticate(&made.secret, Timestamp(999));
    let caller = caller.unwrap();
    assert_eq!((caller.role, caller.actor.as_str()), (Role::Support, "ops"));
    assert_eq!(caller.source, Source::Api);
    assert_eq!(caller.token.as_ref(), Some(&made.row.id));
    assert!(!stage.opens(&made.secret, 1_000), "expired");
    assert!(!stage.opens("portcullis_guess", 2));
    let id = &made.row.id;
    assert!(
        stage.tokens.in_force(id, Timestamp(2)) && !stage.tokens.in_force("tok_x", Timestamp(2))
    );
    let revoke = |at| stage.tokens.revoke(id, &stage.by, Timestamp(at));
    assert!(revoke(3).await.unwrap());
    assert!(!stage.opens(&made.secret, 4), "revoked");
    assert!(!stage.tokens.in_force(id, Timestamp(4)));
    assert!(!revoke(5).await.unwrap(), "it was already");
    assert!(!stage.restart().opens(&made.secret, 6));
}

#[test]
fn roles_tenants_and_users_must_fit() {
    let make = |role, tenant, user| {
        let asked = TokenAsk {
            user,
            ..ask(role, tenant)
        };
        secret::make(asked, Timestamp(1)).is_ok()
    };
    let fits = |role, tenant| make(role, tenant, None);
    assert!(fits(Role::GlobalAdmin, None) && fits(Role::Auditor, None));
    assert!(fits(Role::TenantAdmin, Some("acme")) && fits(Role::Support, Some("acme")));
    assert!(!fits(Role::GlobalAdmin, Some("acme")));
    assert!(!fits(Role::TenantAdmin, None) && !fits(Role::Support, None));
    let ann = || Some(key("acme", "ann"));
    assert!(make(Role::Support, Some("acme"), ann()) && make(Role::GlobalAdmin, None, ann()));
    assert!(!make(Role::Support, Some("globex"), ann()));
}

#[tokio::test]
async fn a_rotated_token_is_the_same_token_with_another_secret() {
    let stage = Stage::start();
    let made = stage.make(Role::Support, Some("acme")).await;
    let id = made.row.id.clone();
    let second = stage.rotate(&id, 0, 10).await.unwrap();
    assert_ne!(second.secret, made.secret);
    assert!(
        !stage.opens(&made.secret, 10),
        "the old one is dead at once"
    );
    assert!(stage.opens(&second.secret, 10));
    let same = TokenRow {
        hash: made.row.hash,
        ..second.row.clone()
    };
    assert_eq!(same, made.row, "and nothing else about it changes");
    let stage = stage.restart();
    assert!(!stage.opens(&made.secret, 10) && stage.opens(&second.secret, 10));
    assert!(matches!(
        stage.rotate(&id, 0, 1_000).await,
        Err(TokenError::Ended)
    ));
    stage
        .tokens
        .revoke(&id, &stage.by, Timestamp(20))
        .await
        .unwrap();
    assert!(matches!(
        stage.rotate(&id, 0, 21).await,
        Err(TokenError::Ended)
    ));
    assert!(matches!(
        stage.rotate("tok_x", 0, 21).await,
        Err(TokenError::NoSuchToken(_))
    ));
}

#[tokio::test]
async fn an_old_secret_works_for_the_grace_and_only_the_last_one_does() {
    let stage = Stage::start();
    let first = stage.make(Role::Support, Some("acme")).await;
    let id = first.row.id.clone();
    let second = stage.rotate(&id, 100, 10).await.unwrap();
    let stage = stage.restart();
    assert!(stage.opens(&first.secret, 109) && stage.opens(&second.secret, 109));
    assert!(!stage.opens(&first.secret, 110), "the grace is over");
    let third = stage.rotate(&id, 100, 50).await.unwrap();
    assert!(!stage.opens(&first.secret, 60), "two rotations ago");
    assert!(stage.opens(&second.secret, 60) && stage.opens(&third.secret, 60));
    stage
        .tokens
        .revoke(&id, &stage.by, Timestamp(70))
        .await
        .unwrap();
    for made in [&first, &second, &third] {
        assert!(!stage.opens(&made.secret, 71), "revoked is revoked");
    }
}

#[tokio::test]
async fn when_a_token_was_last_used_is_known_at_once_and_kept_when_it_is_noted() {
    let stage = Stage::start();
    let made = stage.make(Role::Support, Some("acme")).await;
    let last = |stage: &Stage| stage.tokens.find(&made.row.id).unwrap().last_used_at;
    assert_eq!(last(&stage), None);
    assert!(stage.opens(&made.secret, 30) && stage.opens(&made.secret, 20));
    assert_eq!(last(&stage), Some(Timestamp(30)), "the latest");
    stage.tokens.note_use().await.unwrap();
    stage.tokens.note_use().await.unwrap();
    let stage = stage.restart();
    assert_eq!(last(&stage), Some(Timestamp(30)));
    assert!(stage.opens(&made.secret, 40));
    let rotated = stage.rotate(&made.row.id, 0, 41).await.unwrap();
    assert_eq!(last(&stage), Some(Timestamp(40)), "a rotation keeps it");
    assert!(!stage.opens(&made.secret, 50), "a failure is no use");
    stage.tokens.note_use().await.unwrap();
    let stage = stage.restart();
    assert_eq!(last(&stage), Some(Timestamp(40)));
    drop(rotated);
}

#[tokio::test]
async fn a_tenant_keeps_its_last_tenant_admin_unless_who_is_above_says_otherwise() {
    let stage = Stage::start();
    let only = stage.make(Role::TenantAdmin, Some("acme")).await;
    stage.make(Role::TenantAdmin, Some("globex")).await;
    stage.make(Role::Support, Some("acme")).await;
    let boss = stage
        .tokens
        .authenticate(&only.secret, Timestamp(2))
        .unwrap();
    let id = only.row.id.as_str();
    let last = |outcome: Result<bool, TokenError>| {
        assert!(matches!(outcome, Err(TokenError::LastAdministrator)));
    };
    last(stage.tokens.revoke(id, &boss, Timestamp(3)).await);
    let sooner = RotateAsk {
        expires_at: Some(Timestamp(500)),
        ..RotateAsk::default()
    };
    let rotated = stage
        .tokens
        .rotate(id, sooner, &boss, Timestamp(3), None)
        .await;
    assert!(matches!(rotated, Err(TokenError::LastAdministrator)));
    let plainly = stage
        .tokens
        .rotate(id, RotateAsk::default(), &boss, Timestamp(3), None);
    plainly.await.unwrap();
    let other = stage.make(Role::TenantAdmin, Some("acme")).await;
    assert!(stage.tokens.revoke(id, &boss, Timestamp(4)).await.unwrap());
    last(
        stage
            .tokens
            .revoke(&other.row.id, &boss, Timestamp(5))
            .await,
    );
    let above = stage.tokens.revoke(&other.row.id, &stage.by, Timestamp(6));
    assert!(above.await.unwrap());
}

#[tokio::test]
async fn the_user_of_the_last_administrators_token_is_the_last_administrator() {
    let stage = Stage::start();
    let own = |role, tenant, user| {
        let asked = TokenAsk {
            user,
            ..ask(role, tenant)
        };
        stage.tokens.create(asked, &stage.by, Timestamp(1), None)
    };
    let (ann, bob) = (key("acme", "ann"), key("acme", "bob"));
    let is_last = |user: &UserKey, at| stage.tokens.is_last_administrator(user, Timestamp(at));
    own(Role::Support, Some("acme"), Some(ann.clone()))
        .await
        .unwrap();
    assert!(!is_last(&ann, 2), "support administers nothing");
    for _ in 0..2 {
        own(Role::TenantAdmin, Some("acme"), Some(ann.clone()))
            .await
            .unwrap();
    }
    assert!(is_last(&ann, 2), "however many tokens ann has");
    assert!(
        !is_last(&bob, 2) && !is_last(&ann, 1_000),
        "expired by then"
    );
    own(Role::TenantAdmin, Some("globex"), None).await.unwrap();
    assert!(is_last(&ann, 2), "another tenant's is no help");
    let other = own(Role::TenantAdmin, Some("acme"), None).await.unwrap();
    assert!(!is_last(&ann, 2), "somebody else holds this one");
    let revoke = stage.tokens.revoke(&other.row.id, &stage.by, Timestamp(3));
    revoke.await.unwrap();
    own(Role::TenantAdmin, Some("acme"), Some(bob.clone()))
        .await
        .unwrap();
    assert!(!is_last(&ann, 4) && !is_last(&bob, 4));
    own(Role::GlobalAdmin, None, Some(bob.clone()))
        .await
        .unwrap();
    assert!(is_last(&bob, 4), "the last for all tenants counts as well");
}

#[tokio::test]
async fn the_tokens_of_a_forgotten_user_open_nothing_and_name_nobody() {
    let stage = Stage::start();
    let asked = TokenAsk {
        user: Some(key("acme", "ann")),
        ..ask(Role::Support, Some("acme"))
    };
    let made = stage
        .tokens
        .create(asked, &stage.by, Timestamp(1), None)
        .await
        .unwrap();
    let theirs = stage.tokens.owned_by(&key("acme", "ann"));
    stage.tokens.forget_owner(&theirs, Timestamp(5));
    assert!(!stage.opens(&made.secret, 6));
    let row = stage.tokens.find(&made.row.id).unwrap();
    assert_eq!(
        (row.user, row.name.as_str(), row.revoked_at),
        (None, "", Some(Timestamp(5)))
    );
}

#[tokio::test]
async fn a_retry_makes_no_second_secret_though_the_gate_was_started_anew() {
    let stage = Stage::start();
    let retry = || Some(IdempotencyKey::new("tok_boss/create-token", "k1", b"{}").unwrap());
    let asked = || ask(Role::Support, Some("acme"));
    let made = stage
        .tokens
        .create(asked(), &stage.by, Timestamp(1), retry());
    let made = made.await.unwrap();
    let stage = stage.restart();
    let again = stage
        .tokens
        .create(asked(), &stage.by, Timestamp(2), retry());
    match again.await {
        Err(TokenError::Append(AppendError::SecretShown(id))) => assert_eq!(id, made.row.id),
        other => panic!("{:?}", other.map(|made| made.row)),
    }
    assert_eq!(stage.tokens.list().len(), 1);

    let retry = || Some(IdempotencyKey::new("tok_boss/rotate-token", "k2", b"{}").unwrap());
    let rotate = |at| {
        let ask = RotateAsk::default();
        stage
            .tokens
            .rotate(&made.row.id, ask, &stage.by, Timestamp(at), retry())
    };
    let rotated = rotate(3).await.unwrap();
    assert!(matches!(
        rotate(4).await,
        Err(TokenError::Append(AppendError::SecretShown(_)))
    ));
    assert!(
        stage.opens(&rotated.secret, 5),
        "and the first one's stands"
    );
}
