//! Logins that their clients have left. The gate sees them through all the same, since
//! the app may have logged somebody in; so each keeps a place among the connections,
//! and one address may leave only so many behind.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use portcullis_core::limits;
use portcullis_core::share::site;
use tokio::task::JoinHandle;

use super::WorkerRef;
use super::connection::{Client, Slot};

/// By address as [`site`] counts them, on one worker.
#[derive(Default)]
pub(super) struct Left(RefCell<HashMap<IpAddr, usize>>);

impl Left {
    /// Whether the address has to wait until the app has answered some.
    pub(super) fn is_full(&self, address: IpAddr) -> bool {
        let left = self.0.borrow();
        left.get(&site(address))
            .is_some_and(|count| *count >= limits::LOGINS_LEFT_MAX)
    }

    fn add(&self, address: IpAddr) {
        *self.0.borrow_mut().entry(site(address)).or_default() += 1;
    }

    fn remove(&self, address: IpAddr) {
        let address = site(address);
        let mut left = self.0.borrow_mut();
        if let Some(count) = left.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                left.remove(&address);
            }
        }
    }
}

/// What a login that goes on alone holds until it is over.
struct Place {
    worker: WorkerRef,
    address: IpAddr,
    _slot: Slot,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.left.remove(self.address);
    }
}

/// Dropped by a client that hangs up before the answer.
struct Awaiting<'a> {
    worker: &'a WorkerRef,
    client: &'a Client,
    place: Rc<Cell<Option<Place>>>,
    answered: bool,
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let address = self.client.address.ip();
        self.worker.left.add(address);
        // The login's own task has the other half of this cell, and ends it.
        self.place.set(Some(Place {
            worker: Rc::clone(self.worker),
            address,
            _slot: self.client.slot(),
        }));
    }
}

/// Sees a login through, whether or not its client waits for it. `None`: it panicked.
pub(super) async fn see_through<T: 'static>(
    worker: &WorkerRef,
    client: &Client,
    login: impl Future<Output = T> + 'static,
) -> Option<T> {
    let place = Rc::new(Cell::new(None));
    let held = Rc::clone(&place);
    let running: JoinHandle<T> = tokio::task::spawn_local(async move {
        let done = login.await;
        drop(held);
        done
    });
    let mut awaiting = Awaiting {
        worker,
        client,
        place,
        answered: false,
    };
    let done = running.await;
    awaiting.answered = true;
    done.ok()
}
