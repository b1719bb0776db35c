//! What a policy exports, found once, and loaded call by call.

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{AsContextMut, Result};

use super::generated::exports::portcullis::policy::{about, notification, reactivation, refusal};

/// A component that offers the contract's interfaces.
///
/// To load one compares the types of its functions, for each instance anew. A call
/// needs one of the four, and to load them all takes a fifth of a whole decision.
pub(crate) struct Exports<T: 'static> {
    pub(crate) pre: InstancePre<T>,
    about: about::GuestIndices,
    refusal: refusal::GuestIndices,
    reactivation: reactivation::GuestIndices,
    notification: notification::GuestIndices,
}

impl<T: 'static> Exports<T> {
    /// # Errors
    /// Where an interface is not there.
    pub(crate) fn find(pre: InstancePre<T>) -> Result<Self> {
        Ok(Self {
            about: about::GuestIndices::new(&pre)?,
            refusal: refusal::GuestIndices::new(&pre)?,
            reactivation: reactivation::GuestIndices::new(&pre)?,
            notification: notification::GuestIndices::new(&pre)?,
            pre,
        })
    }

    /// Whether every function is of the type that the contract says.
    pub(crate) fn load_all(&self, mut store: impl AsContextMut, instance: &Instance) -> Result<()> {
        self.about(&mut store, instance)?;
        self.refusal(&mut store, instance)?;
        self.reactivation(&mut store, instance)?;
        self.notification(&mut store, instance)?;
        Ok(())
    }

    pub(crate) fn about(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> Result<about::Guest> {
        self.about.load(store, instance)
    }

    pub(crate) fn refusal(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> Result<refusal::Guest> {
        self.refusal.load(store, instance)
    }

    pub(crate) fn reactivation(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> Result<reactivation::Guest> {
        self.reactivation.load(store, instance)
    }

    pub(crate) fn notification(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> Result<notification::Guest> {
        self.notification.load(store, instance)
    }
}
