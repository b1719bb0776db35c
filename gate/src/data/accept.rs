//! Accepts connections and hands each to the worker with the fewest.
//!
//! One listener on purpose: with one per worker (`SO_REUSEPORT`) the kernel shares
//! by hash, not by load, and a second process on the same port is no error.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::connection::Slot;
use super::worker::{self, Arrival, Handle, Parts};
use crate::config::DataConfig;
use crate::live::Reader;
use crate::policy::PolicyHost;

/// Waits out a shortage of descriptors instead of spinning on it.
const ACCEPT_ERROR_WAIT: Duration = Duration::from_millis(50);

/// The running data wing.
pub struct DataWing {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// Takes the address, so that a port in use is known before anything starts.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub fn start(
    config: &DataConfig,
    listener: TcpListener,
    connections_max: usize,
    live: Reader,
    policies: Arc<PolicyHost>,
) -> io::Result<DataWing> {
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let parts = Parts {
        live,
        policies,
        deadlines: config.deadlines,
    };
    let workers = (0..config.workers)
        .map(|index| worker::spawn(index, parts.clone(), stopping.clone()))
        .collect::<io::Result<Vec<Handle>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let acceptor = std::thread::Builder::new()
        .name("data-accept".into())
        .spawn(move || {
            let threads = runtime.block_on(accept(listener, workers, connections_max, stopping));
            for thread in threads {
                let _ = thread.join();
            }
        })?;
    Ok(DataWing {
        address,
        stop,
        threads: vec![acceptor],
    })
}

impl DataWing {
    /// Accepts no more, lets what is under way end (at most the drain deadline),
    /// and returns when the workers are gone. It blocks.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Returns the workers' threads once told to stop.
async fn accept(
    listener: TcpListener,
    workers: Vec<Handle>,
    connections_max: usize,
    mut stopping: watch::Receiver<bool>,
) -> Vec<std::thread::JoinHandle<()>> {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        tracing::error!("the data listener can't be used");
        return Vec::new();
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        match accepted {
            Ok((stream, address)) => hand_out(&workers, connections_max, stream, address),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_ERROR_WAIT).await;
            }
        }
    }
    workers.into_iter().map(|worker| worker.thread).collect()
}

fn hand_out(
    workers: &[Handle],
    connections_max: usize,
    stream: tokio::net::TcpStream,
    address: SocketAddr,
) {
    let load = |worker: &&Handle| worker.open.load(Ordering::Relaxed);
    let all: usize = workers.iter().map(|worker| load(&worker)).sum();
    if all >= connections_max {
        tracing::warn!(%address, "at the limit of connections; this one is closed");
        return;
    }
    let (Some(worker), Ok(stream)) = (workers.iter().min_by_key(load), stream.into_std()) else {
        return;
    };
    // Counted here, not when the worker gets to it: a burst would all go to one.
    let slot = Slot::take(&worker.open);
    let _ = worker.connections.send(Arrival {
        stream,
        address,
        slot,
    });
}
