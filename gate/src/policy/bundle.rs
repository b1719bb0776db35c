//! A policy before it is loaded: everything that its tenant gave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_core::policy::Settings;

use super::load::{self, LoadError};
use super::manifest::{LimitsAsked, Manifest, Module};
use super::{builtin, files, templates};

/// A module, its settings, its own templates and its limits. Nothing of it is
/// checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub module: Arc<[u8]>,
    pub settings: Settings,
    /// By name, as they are written.
    pub templates: BTreeMap<String, String>,
    pub limits: LimitsAsked,
    /// Where it came from, for errors.
    pub place: PathBuf,
}

impl Bundle {
    /// A module with its settings and nothing else.
    pub fn new(module: &[u8], settings: Settings) -> Self {
        Self {
            module: module.into(),
            settings,
            templates: BTreeMap::new(),
            limits: LimitsAsked::default(),
            place: PathBuf::from("policy"),
        }
    }

    /// Reads a policy's folder: `policy.toml`, the module that it names, and
    /// `templates/`.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let Manifest {
            module,
            settings,
            limits,
        } = Manifest::read(&folder.join("policy.toml"))?;
        let module = match &module {
            Module::Builtin(name) => builtin::module(name)?.into(),
            Module::File(file) => {
                let path = folder.join(file);
                files::module(&path)
                    .map_err(|source| LoadError::Read { path, source })?
                    .into()
            }
        };
        Ok(Self {
            module,
            settings,
            templates: templates::read(folder)?,
            limits,
            place: folder.to_owned(),
        })
    }

    /// Another one where anything of it is another: a SHA-256, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        let all = serde_json::json!({
            "module": load::hash(&self.module),
            "settings": self.settings.0,
            "templates": self.templates,
            "limits": self.limits,
        });
        load::hash(all.to_string().as_bytes())
    }

    /// One of the policies that the gate brings: `standard`, `acme` or `globex`.
    ///
    /// # Errors
    /// [`LoadError::UnknownBuiltin`].
    pub fn built_in(name: &str) -> Result<Self, LoadError> {
        let manifest = builtin::manifest(name)?;
        Ok(Self {
            limits: manifest.limits,
            place: Path::new("policies").join(name),
            ..Self::new(builtin::module("standard")?, manifest.settings)
        })
    }
}
