//! Compares what a component offers with the contract, type by type.
//!
//! The engine by itself finds a changed record only when it makes an instance, and
//! then says how many fields there are and not of what. The same comparison holds
//! the folder `wit/` to the last version that was given out.

use std::collections::BTreeSet;
use std::fmt;

use wit_parser::{Function, Interface, Resolve, Type, TypeDef, TypeDefKind, WorldId, WorldItem};

/// Which versions of the contract a gate speaks: one major version, up to a minor
/// one. Within a major version nothing is changed and nothing taken away, so a
/// policy of an older minor version fits as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supported {
    pub major: u64,
    pub minor: u64,
}

/// The version in `wit/`.
pub const SUPPORTED: Supported = Supported { major: 1, minor: 0 };

impl Supported {
    /// Whether a policy built against that version can be run. A patch changes
    /// words alone.
    pub fn covers(self, major: u64, minor: u64) -> bool {
        major == self.major && minor <= self.minor
    }
}

impl fmt::Display for Supported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Supported { major, minor } = self;
        write!(f, "portcullis:policy@{major}.0.0 to {major}.{minor}")
    }
}

/// A world among the types that it is made of.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub resolve: &'a Resolve,
    pub id: WorldId,
}

impl<'a> World<'a> {
    /// The interface that it exports under `name`, of whichever version.
    fn exported(self, name: &str) -> Option<&'a Interface> {
        self.interfaces()
            .find(|interface| interface.name.as_deref() == Some(name))
    }

    fn interfaces(self) -> impl Iterator<Item = &'a Interface> {
        let resolve = self.resolve;
        let items = resolve.worlds[self.id].exports.values();
        items.filter_map(move |item| match item {
            WorldItem::Interface { id, .. } => Some(&resolve.interfaces[*id]),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
    }
}

/// Everything in which `found` differs from what `wanted` asks for, each with its
/// interface and type. What `found` has besides is no difference.
pub fn differences(wanted: World<'_>, found: World<'_>) -> Vec<String> {
    let mut comparison = Comparison {
        wanted: wanted.resolve,
        found: found.resolve,
        differences: BTreeSet::new(),
        interface: String::new(),
    };
    for interface in wanted.interfaces() {
        let name = interface.name.as_deref().unwrap_or_default();
        match found.exported(name) {
            None => comparison.note(format!("interface {name} is missing")),
            Some(other) => comparison.interfaces(name, interface, other),
        }
    }
    comparison.differences.into_iter().collect()
}

struct Comparison<'a> {
    wanted: &'a Resolve,
    found: &'a Resolve,
    /// Sorted, and none twice: a type is met wherever it is used.
    differences: BTreeSet<String>,
    interface: String,
}

impl Comparison<'_> {
    fn note(&mut self, difference: String) {
        self.differences.insert(difference);
    }

    fn interfaces(&mut self, name: &str, wanted: &Interface, found: &Interface) {
        name.clone_into(&mut self.interface);
        for (type_name, wanted) in &wanted.types {
            match found.types.get(type_name) {
                // A type that no function uses may be left out of a component.
                None => {}
                Some(found) => self.types(type_name, &Type::Id(*wanted), &Type::Id(*found)),
            }
        }
        for (function, wanted) in &wanted.functions {
            match found.functions.get(function) {
                None => self.note(format!("{name}: function {function} is missing")),
                Some(found) => self.functions(wanted, found),
            }
        }
    }

    fn functions(&mut self, wanted: &Function, found: &Function) {
        let name = &wanted.name;
        let place = format!("{}: function {name}", self.interface);
        if wanted.params.len() != found.params.len() {
            let (wanted, found) = (wanted.params.len(), found.params.len());
            self.note(format!("{place} takes {found} arguments, not {wanted}"));
            return;
        }
        for (wanted, found) in wanted.params.iter().zip(&found.params) {
            self.types(name, &wanted.ty, &found.ty);
        }
        match (&wanted.result, &found.result) {
            (Some(wanted), Some(found)) => self.types(name, wanted, found),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                self.note(format!("{place} answers with something else"));
            }
        }
    }

    /// `owner`: the name of what the two stand in, for types without one.
    fn types(&mut self, owner: &str, wanted: &Type, found: &Type) {
        let wanted = definition(self.wanted, wanted);
        let found = definition(self.found, found);
        match (wanted, found) {
            (Definition::Plain(wanted), Definition::Plain(found)) if wanted == found => {}
            (Definition::Named(wanted), Definition::Named(found)) => {
                let owner = wanted.name.clone().unwrap_or_else(|| owner.to_owned());
                self.kinds(&owner, &wanted.kind, &found.kind);
            }
            (wanted, found) => {
                let difference = format!(
                    "{}: {owner} holds {} where the contract has {}",
                    self.interface,
                    found.noun(),
                    wanted.noun()
                );
                self.note(difference);
            }
        }
    }

    fn kinds(&mut self, owner: &str, wanted: &TypeDefKind, found: &TypeDefKind) {
        use TypeDefKind::{Enum, List, Option, Record, Result, Tuple, Variant};
        if let (Record(wanted), Record(found)) = (wanted, found) {
            let wanted_names = names(wanted.fields.iter().map(|field| &field.name));
            let found_names = names(found.fields.iter().map(|field| &field.name));
            if self.names(owner, "record", &wanted_names, &found_names) {
                for (wanted, found) in wanted.fields.iter().zip(&found.fields) {
                    self.types(&format!("{owner}.{}", wanted.name), &wanted.ty, &found.ty);
                }
            }
        } else if let (Variant(wanted), Variant(found)) = (wanted, found) {
            let wanted_names = names(wanted.cases.iter().map(|case| &case.name));
            let found_names = names(found.cases.iter().map(|case| &case.name));
            if self.names(owner, "variant", &wanted_names, &found_names) {
                for (wanted, found) in wanted.cases.iter().zip(&found.cases) {
                    let owner = format!("{owner}.{}", wanted.name);
                    self.payloads(&owner, wanted.ty.as_ref(), found.ty.as_ref());
                }
            }
        } else if let (Enum(wanted), Enum(found)) = (wanted, found) {
            let wanted_names = names(wanted.cases.iter().map(|case| &case.name));
            let found_names = names(found.cases.iter().map(|case| &case.name));
            self.names(owner, "enum", &wanted_names, &found_names);
        } else if let (Option(wanted), Option(found)) | (List(wanted), List(found)) =
            (wanted, found)
        {
            self.types(owner, wanted, found);
        } else if let (Result(wanted), Result(found)) = (wanted, found) {
            self.payloads(owner, wanted.ok.as_ref(), found.ok.as_ref());
            self.payloads(owner, wanted.err.as_ref(), found.err.as_ref());
        } else if let (Tuple(wanted), Tuple(found)) = (wanted, found) {
            if wanted.types.len() != found.types.len() {
                self.note(format!(
                    "{}: {owner} is a longer or shorter tuple",
                    self.interface
                ));
            }
            for (wanted, found) in wanted.types.iter().zip(&found.types) {
                self.types(owner, wanted, found);
            }
        } else {
            let difference = format!(
                "{}: {owner} is a {} where the contract has a {}",
                self.interface,
                found.as_str(),
                wanted.as_str()
            );
            self.note(difference);
        }
    }

    fn payloads(&mut self, owner: &str, wanted: Option<&Type>, found: Option<&Type>) {
        match (wanted, found) {
            (Some(wanted), Some(found)) => self.types(owner, wanted, found),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                self.note(format!("{}: {owner} holds something else", self.interface));
            }
        }
    }

    /// Whether the parts of a type have the same names in the same order.
    fn names(&mut self, owner: &str, kind: &str, wanted: &[&str], found: &[&str]) -> bool {
        if wanted == found {
            return true;
        }
        let lacking = missing(wanted, found);
        let besides = missing(found, wanted);
        let what = match (lacking.is_empty(), besides.is_empty()) {
            (true, true) => "has its parts in another order".to_owned(),
            (false, true) => format!("lacks {}", lacking.join(", ")),
            (true, false) => format!("has {} besides", besides.join(", ")),
            (false, false) => format!("lacks {}, has {}", lacking.join(", "), besides.join(", ")),
        };
        self.note(format!("{}: {kind} {owner} {what}", self.interface));
        false
    }
}

enum Definition<'a> {
    Plain(Type),
    Named(&'a TypeDef),
}

impl Definition<'_> {
    fn noun(&self) -> String {
        match self {
            Definition::Plain(plain) => format!("{plain:?}").to_lowercase(),
            Definition::Named(definition) => definition
                .name
                .clone()
                .unwrap_or_else(|| definition.kind.as_str().to_owned()),
        }
    }
}

/// What a type is, with every other name for it looked through.
fn definition<'a>(resolve: &'a Resolve, of: &Type) -> Definition<'a> {
    let mut of = *of;
    while let Type::Id(id) = of {
        let definition = &resolve.types[id];
        let TypeDefKind::Type(other) = definition.kind else {
            return Definition::Named(definition);
        };
        of = other;
    }
    Definition::Plain(of)
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    names.map(String::as_str).collect()
}

fn missing<'a>(of: &[&'a str], from: &[&str]) -> Vec<&'a str> {
    let missing = of.iter().filter(|name| !from.contains(name));
    missing.copied().collect()
}
