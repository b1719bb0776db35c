//! Where policies that were put in force are kept: a folder for each, beside the
//! ledger, and a list of those that may come back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use portcullis_core::ids::TenantId;
use portcullis_core::policy::Settings;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::policy::{Bundle, LimitsAsked};

#[derive(Debug, Error)]
#[error("{path}: {cause}; look at the disk and at the rights of the store's folder")]
pub struct ShelfError {
    path: PathBuf,
    cause: io::Error,
}

pub struct Shelf {
    folder: PathBuf,
}

/// `kept.json`: the one in force last; 0 is the configuration's.
#[derive(Default, Deserialize, Serialize)]
struct Kept {
    numbers: Vec<u64>,
}

/// `policy.json`, beside `module.wasm`.
#[derive(Deserialize, Serialize)]
struct Written {
    settings: BTreeMap<String, String>,
    templates: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsAsked,
}

impl Shelf {
    /// In the folder of the store.
    pub fn new(store: &Path) -> Self {
        Self {
            folder: store.join("policies"),
        }
    }

    /// The numbers of those that may come back, the one in force last; none where no
    /// policy was ever put.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn kept(&self, tenant: &TenantId) -> Result<Vec<u64>, ShelfError> {
        let path = self.of(tenant).join("kept.json");
        match fs::read(&path) {
            Ok(text) => {
                let kept: Kept = serde_json::from_slice(&text).map_err(|error| at(&path, error))?;
                Ok(kept.numbers)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(at(&path, error)),
        }
    }

    /// A number that no policy of the tenant has had, so that a number names one
    /// policy for ever.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn next_number(&self, tenant: &TenantId, kept: &[u64]) -> Result<u64, ShelfError> {
        let folder = self.of(tenant);
        let written = match fs::read_dir(&folder) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .max()
                .unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(at(&folder, error)),
        };
        Ok(kept.iter().copied().max().unwrap_or(0).max(written) + 1)
    }

    /// Writes a policy down. It is not in force by that.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn write(&self, tenant: &TenantId, number: u64, bundle: &Bundle) -> Result<(), ShelfError> {
        let folder = self.of(tenant).join(number.to_string());
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        let written = Written {
            settings: bundle.settings.0.clone(),
            templates: bundle.templates.clone(),
            limits: bundle.limits.clone(),
        };
        let path = folder.join("policy.json");
        let text = serde_json::to_vec(&written).map_err(|error| at(&path, error))?;
        write_whole(&path, &text)?;
        write_whole(&folder.join("module.wasm"), &bundle.module)
    }

    /// # Errors
    /// What cannot be read.
    pub fn read(&self, tenant: &TenantId, number: u64) -> Result<Bundle, ShelfError> {
        let folder = self.of(tenant).join(number.to_string());
        let path = folder.join("policy.json");
        let text = fs::read(&path).map_err(|error| at(&path, error))?;
        let written: Written = serde_json::from_slice(&text).map_err(|error| at(&path, error))?;
        let path = folder.join("module.wasm");
        let module = fs::read(&path).map_err(|error| at(&path, error))?;
        Ok(Bundle {
            templates: written.templates,
            limits: written.limits,
            place: folder,
            ..Bundle::new(&module, Settings(written.settings))
        })
    }

    /// Writes down which may come back, and lets go of the others' folders but for
    /// the newest, whose number must stay taken.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn keep(&self, tenant: &TenantId, kept: &[u64]) -> Result<(), ShelfError> {
        let folder = self.of(tenant);
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        let excess = kept.len().saturating_sub(crate::policy::GENERATIONS_KEPT);
        let kept = kept.get(excess..).unwrap_or_default();
        let path = folder.join("kept.json");
        let numbers = kept.to_vec();
        let text = serde_json::to_vec(&Kept { numbers }).map_err(|error| at(&path, error))?;
        write_whole(&path, &text)?;
        let written = fs::read_dir(&folder).map_err(|error| at(&folder, error))?;
        let mut written: Vec<u64> = written
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        written.sort_unstable();
        written.pop();
        for number in written.iter().filter(|number| !kept.contains(number)) {
            let folder = folder.join(number.to_string());
            fs::remove_dir_all(&folder).map_err(|error| at(&folder, error))?;
        }
        Ok(())
    }

    /// What was seen last in the tenant's folder that is watched; `None`: nothing yet.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn seen(&self, tenant: &TenantId) -> Result<Option<String>, ShelfError> {
        let path = self.of(tenant).join("seen");
        match fs::read_to_string(&path) {
            Ok(digest) => Ok(Some(digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path, error)),
        }
    }

    /// Remembers what was seen there.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn see(&self, tenant: &TenantId, digest: &str) -> Result<(), ShelfError> {
        let folder = self.of(tenant);
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        write_whole(&folder.join("seen"), digest.as_bytes())
    }

    fn of(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(tenant.as_str())
    }
}

/// Beside its place, to the disk, and then renamed: a reader finds all of it or the
/// old one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ShelfError> {
    let draft = path.with_extension("part");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        })
        .map_err(|error| at(path, error))
}

fn at(path: &Path, cause: impl Into<io::Error>) -> ShelfError {
    ShelfError {
        path: path.to_owned(),
        cause: cause.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_put_on_the_shelf_is_found_again_and_no_number_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path());
        let tenant = TenantId::parse("acme").unwrap();
        assert_eq!(shelf.kept(&tenant).unwrap(), Vec::<u64>::new());
        let mut bundle = Bundle::built_in("acme").unwrap();
        bundle.limits.deadline_ms = Some(7);
        bundle.templates.insert("a".to_owned(), "[en]".to_owned());
        for number in 1..=6 {
            assert_eq!(shelf.next_number(&tenant, &[0]).unwrap(), number);
            shelf.write(&tenant, number, &bundle).unwrap();
            shelf.keep(&tenant, &[number - 1, number]).unwrap();
        }
        assert_eq!(shelf.kept(&tenant).unwrap(), [5, 6]);
        let read = shelf.read(&tenant, 6).unwrap();
        assert_eq!(
            (&read.settings, &read.templates),
            (&bundle.settings, &bundle.templates)
        );
        assert_eq!((read.module, read.limits), (bundle.module, bundle.limits));
        assert!(shelf.read(&tenant, 4).is_err());
        // Taken back: the number stays taken all the same.
        shelf.keep(&tenant, &[5]).unwrap();
        assert_eq!(shelf.next_number(&tenant, &[5]).unwrap(), 7);
    }
}
