//! A running gate.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::ids::UserKey;
use portcullis_core::ledger::Role;
use portcullis_core::user::Profile;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::check::load_policy;
use super::{READY_FILE, StartError, descriptors, wall_clock};
use crate::config::Config;
use crate::control::admin::{self, AdminState};
use crate::control::apply::Applier;
use crate::control::command::{Caller, Commander, Terms};
use crate::control::policies::{self, Policies, Shelf};
use crate::control::store::SqliteStore;
use crate::control::tokens::{TokenAsk, Tokens};
use crate::control::{identities, record, schedule, sessions, tokens};
use crate::data::{self, DataWing};
use crate::live::sessions::Bounds;
use crate::live::tenants::{Tenant, Tenants};
use crate::live::{self, Reader};
use crate::policy::compiler::{Compiler, Program};
use crate::policy::{HostLimits, LoadError, PolicyHost};
use crate::secret::Secret;

pub struct Gate {
    pub data_address: SocketAddr,
    pub admin_address: SocketAddr,
    commander: Arc<Commander>,
    tokens: Arc<Tokens>,
    data: DataWing,
    control: Runtime,
    upkeep: [tokio::task::JoinHandle<()>; 2],
    stop: Stops,
}

/// The words to stop, in the order in which they are said.
#[derive(Default)]
struct Stops {
    admin: watch::Sender<bool>,
    upkeep: watch::Sender<bool>,
}

impl Gate {
    /// Starts both wings. The order is the promise: addresses first (cheap to fail),
    /// then the store, then everything that it holds into `live`, and only then is
    /// the first request accepted.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let connections_max = descriptors::client_connections_max();
        let data_listener = bind("data.listen", config.data.listen)?;
        let admin_listener = bind("admin.listen", config.admin.listen)?;
        let admin_address = local(&admin_listener)?;
        let store = Arc::new(SqliteStore::open(&config.store_folder)?);
        let policies = Arc::new(policy_host(&config.store_folder).map_err(StartError::PolicyHost)?);
        let shelf = Arc::new(Shelf::new(&config.store_folder));
        let tenants = load_tenants(&config, &policies, &shelf)?;

        let control = control_runtime().map_err(StartError::Runtime)?;
        control.block_on(keep_name_rules(&store, &config))?;
        let seal_key = control.block_on(sessions::seal_key(&store))?;
        let (recorder, records) = record::channel();
        let keeper = Arc::new(sessions::KeptSessions(Arc::clone(&store)));
        let bounds = Bounds {
            all: config.sessions.all,
            per_user: config.sessions.per_user,
        };
        let (reader, writer) = live::open(tenants, keeper, bounds, &seal_key, recorder);
        sessions::load(&store, &writer)?;
        let (scheduled, changed) = mpsc::unbounded_channel();
        let applier = Applier::load(Arc::clone(&store), writer, wall_clock, scheduled)?;
        let tokens = Arc::new(Tokens::load(Arc::clone(&store))?.judged_by(reader.clone()));

        let _inside = control.enter();
        identities::start(&reader.tenants());
        let effects = applier.start();
        let commander = Commander::new(
            Arc::clone(&store),
            effects,
            Arc::clone(&tokens),
            reader.clone(),
            wall_clock,
        );
        let commander = Arc::new(commander);
        tokio::spawn(schedule::run(Arc::clone(&commander), changed));
        tokio::spawn(record::run(Arc::clone(&store) as _, records, wall_clock));
        let stop = Stops::default();
        let upkeep = look_after(&store, &reader, &tokens, &stop.upkeep.subscribe());
        let ledger = Arc::clone(&store);
        let host = Arc::clone(&policies);
        let state = AdminState {
            policies: Policies::start(host, shelf, ledger, &reader, wall_clock),
            commander: Arc::clone(&commander),
            tokens: Arc::clone(&tokens),
            live: reader.clone(),
            query_token: config.admin.query_token,
            stopping: stop.admin.subscribe(),
            ready: Arc::new(readiness(reader.clone(), store)),
        };
        spawn_admin(admin_listener, state, stop.admin.subscribe()).map_err(StartError::Runtime)?;
        let data = data::start(
            &config.data,
            data_listener,
            connections_max,
            reader,
            policies,
        )
        .map_err(StartError::Runtime)?;
        drop(_inside);
        let data_address = data.address;
        Ok(Self {
            data_address,
            admin_address,
            commander,
            tokens,
            data,
            control,
            upkeep,
            stop,
        })
    }

    /// Writes down what is known of a user, as a directory would.
    pub fn introduce(&self, user: &UserKey, profile: &Profile) -> Result<(), StartError> {
        let by = Caller::gate();
        let profile = profile.clone();
        let known = move |_: &Profile| profile.clone();
        let change = self
            .commander
            .change_profile(&by, user, known, Terms::default());
        self.control
            .block_on(change)
            .map(drop)
            .map_err(StartError::Introduce)
    }

    /// Makes an admin token for all tenants, named `name` in the ledger, in the place
    /// of those that it made under that name before: they are revoked.
    pub fn renew_admin_token(&self, name: &str) -> Result<Secret, StartError> {
        let all = self.tokens.list().into_iter();
        let earlier = all.filter(|token| {
            let ours = token.role == Role::GlobalAdmin && token.user.is_none();
            ours && token.name == name && token.revoked_at.is_none()
        });
        let earlier: Vec<String> = earlier.map(|token| token.id).collect();
        let ask = TokenAsk {
            role: Role::GlobalAdmin,
            tenant: None,
            user: None,
            name: name.to_owned(),
            expires_at: None,
        };
        let by = Caller::gate();
        let made = self.tokens.create(ask, &by, wall_clock(), None);
        let secret = Secret::new(self.control.block_on(made)?.secret);
        for id in earlier {
            let revoked = self.tokens.revoke(&id, &by, wall_clock());
            self.control.block_on(revoked)?;
        }
        Ok(secret)
    }

    /// Says where the gate is: in the log, and in the ready file if one is asked for.
    pub fn announce(&self) -> Result<(), StartError> {
        tracing::info!(data = %self.data_address, admin = %self.admin_address, "the gate is up");
        let Some(path) = std::env::var_os(READY_FILE).map(std::path::PathBuf::from) else {
            return Ok(());
        };
        let addresses = serde_json::json!({
            "data": self.data_address.to_string(),
            "admin": self.admin_address.to_string(),
        });
        // Renamed into place, so that a reader never finds half of it.
        let draft = path.with_extension("partial");
        std::fs::write(&draft, addresses.to_string())
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|error| StartError::ReadyFile { path, error })
    }

    /// Blocks until SIGINT or SIGTERM.
    pub fn wait_for_signal(&self) {
        self.control.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            match signal(SignalKind::terminate()) {
                Ok(mut terminate) => tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                },
                Err(_) => {
                    let _ = tokio::signal::ctrl_c().await;
                }
            }
        });
        tracing::info!("stopping: no new connections, and what is under way may end");
    }

    /// Closes the admin listener, whose calls under way may end, and drains the data
    /// wing; then ends the control wing, the ledger last.
    pub fn stop(self) {
        self.stop.admin.send_replace(true);
        self.data.stop();
        self.stop.upkeep.send_replace(true);
        const LAST_WORDS: Duration = Duration::from_secs(5);
        let upkeep = futures_util::future::try_join_all(self.upkeep);
        let upkeep = async { tokio::time::timeout(LAST_WORDS, upkeep).await };
        if !matches!(self.control.block_on(upkeep), Ok(Ok(_))) {
            tracing::warn!("when sessions and tokens were last used was not noted at the end");
        }
        self.control.shutdown_timeout(LAST_WORDS);
    }
}

/// A runtime of its own: nothing that control does can stall a request.
fn control_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
}

/// What is written down now and then, and at the end.
fn look_after(
    store: &Arc<SqliteStore>,
    live: &Reader,
    tokens: &Arc<Tokens>,
    stopping: &watch::Receiver<bool>,
) -> [tokio::task::JoinHandle<()>; 2] {
    let (store, live) = (Arc::clone(store), live.clone());
    let sessions = sessions::upkeep(store, live, wall_clock, stopping.clone());
    let last_uses = tokens::upkeep(Arc::clone(tokens), stopping.clone());
    [tokio::spawn(sessions), tokio::spawn(last_uses)]
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    data::bind(address).map_err(|error| StartError::Listen {
        key,
        address,
        error,
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(StartError::Runtime)
}

/// Policies are compiled beside the gate's own process.
fn policy_host(store: &Path) -> Result<PolicyHost, LoadError> {
    let compiler = Compiler::apart(Program::own(), store);
    PolicyHost::with_compiler(HostLimits::default(), compiler)
}

fn load_tenants(config: &Config, host: &PolicyHost, shelf: &Shelf) -> Result<Tenants, StartError> {
    let tenants = config.tenants.iter().map(|tenant| {
        let configured = load_policy(host, tenant)?;
        let generations = policies::take_up(host, shelf, &tenant.id, configured)?;
        Ok(Tenant::new(tenant.clone(), generations))
    });
    Ok(Tenants::new(tenants.collect::<Result<_, StartError>>()?))
}

/// What the store holds was spelt by these rules.
async fn keep_name_rules(store: &SqliteStore, config: &Config) -> Result<(), StartError> {
    for tenant in &config.tenants {
        let asked = tenant.names.as_str();
        if let Some(kept) = store.keep_name_rule(&tenant.id, asked).await? {
            let tenant = tenant.id.clone();
            return Err(StartError::NameRule {
                tenant,
                asked,
                kept,
            });
        }
    }
    Ok(())
}

/// Ready: the store can be read and the ledger followed. Every tenant has a policy
/// and the listener is up, or there would be no gate to ask.
fn readiness(
    live: Reader,
    store: Arc<SqliteStore>,
) -> impl Fn() -> Result<(), String> + Send + Sync {
    move || {
        if live.is_blind() {
            return Err("the ledger can't be followed".into());
        }
        store.readable().map_err(|error| error.to_string())
    }
}

fn spawn_admin(
    listener: TcpListener,
    state: AdminState,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        let stopped = async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        if let Err(error) = admin::serve(listener, admin::router(state), stopped).await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    Ok(())
}
