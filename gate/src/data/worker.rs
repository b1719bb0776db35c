//! One worker: a thread with its own runtime, connections and upstream pool.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::connection::Slot;
use super::{Worker, connection, leaving, upstream, wall_clock};
use crate::config::Deadlines;
use crate::live::Reader;
use crate::policy::PolicyHost;

/// What a worker is made of; crosses to its thread.
#[derive(Clone)]
pub(super) struct Parts {
    pub live: Reader,
    pub policies: Arc<PolicyHost>,
    pub deadlines: Deadlines,
}

/// A connection on its way to its worker, already counted.
pub(super) struct Arrival {
    pub stream: TcpStream,
    pub address: SocketAddr,
    pub slot: Slot,
}

/// The acceptor's end of a worker.
pub(super) struct Handle {
    pub open: Arc<AtomicUsize>,
    pub connections: mpsc::UnboundedSender<Arrival>,
    pub thread: std::thread::JoinHandle<()>,
}

pub(super) fn spawn(
    index: usize,
    parts: Parts,
    draining: watch::Receiver<bool>,
) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Unbounded, because the acceptor bounds what is open.
    let (connections, arriving) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&open);
    let thread = std::thread::Builder::new()
        .name(format!("data-{index}"))
        .spawn(move || {
            LocalSet::new().block_on(&runtime, run(parts, arriving, counter, draining))
        })?;
    Ok(Handle {
        open,
        connections,
        thread,
    })
}

async fn run(
    parts: Parts,
    mut arriving: mpsc::UnboundedReceiver<Arrival>,
    open: Arc<AtomicUsize>,
    draining: watch::Receiver<bool>,
) {
    let drain = parts.deadlines.drain;
    let worker = Rc::new(Worker {
        live: parts.live,
        policies: parts.policies,
        deadlines: parts.deadlines,
        pool: RefCell::new(upstream::Pool::default()),
        left: leaving::Left::default(),
        clock: wall_clock,
        draining: draining.clone(),
    });
    while let Some(Arrival {
        stream,
        address,
        slot,
    }) = arriving.recv().await
    {
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
            continue;
        };
        let serving =
            connection::serve(Rc::clone(&worker), stream, address, slot, draining.clone());
        tokio::task::spawn_local(serving);
    }
    // The acceptor has gone: what is under way may end by itself, for a while.
    let deadline = tokio::time::Instant::now() + drain;
    while open.load(std::sync::atomic::Ordering::Relaxed) > 0
        && tokio::time::Instant::now() < deadline
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
