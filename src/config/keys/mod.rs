//! The keys of a section as a table, one row each: how a key is read, how it is printed and whether
//! it needs a restart follow from its row. [`section!`] declares a section whose fields are its
//! keys, [`keys!`] the keys of any other type. Does not: check what concerns several keys.

pub(super) mod kinds;

use super::printing::PrintedKey;
use super::raw::{Entry, Section};
use toml::Value;

/// A type with the values of a section, or of a part of it.
pub(super) trait Keys {
    /// In the order of the reference.
    const NAMES: &'static [&'static str];

    /// Sets each key to its value in the document, if it has one that is right.
    fn read_keys(&mut self, section: &mut Section<'_>);

    /// Every key with its value.
    fn print_keys(&self) -> Vec<PrintedKey>;

    /// Sets each key that needs a restart to its value in the running configuration.
    fn keep_fixed(&mut self, running: &Self);
}

/// Reads a value. None is one that is wrong: it was reported.
type Read<T> = dyn Fn(&Entry<'_>) -> Option<T>;

/// The kind of a value: its type and its bounds.
pub(super) struct Kind<T> {
    read: Box<Read<T>>,
    print: fn(&T) -> Value,
    needs_restart: bool,
}

impl<T> Kind<T> {
    /// A kind that is read and printed in this way.
    pub(super) fn new(
        read: impl Fn(&Entry<'_>) -> Option<T> + 'static,
        print: fn(&T) -> Value,
    ) -> Self {
        Self { read: Box::new(read), print, needs_restart: false }
    }

    /// The key is read at the start only: a reload leaves its value as it is.
    pub(super) fn at_start(self) -> Self {
        Self { needs_restart: true, ..self }
    }

    /// The value under `key`, if there is one that is right.
    pub(super) fn read(&self, section: &mut Section<'_>, key: &'static str) -> Option<T> {
        (self.read)(&section.entry(key)?)
    }

    /// The value under `key`, or this one if there is none. None: there is a wrong one.
    pub(super) fn read_or(
        &self,
        section: &mut Section<'_>,
        key: &'static str,
        default: T,
    ) -> Option<T> {
        section.entry(key).map_or(Some(default), |entry| (self.read)(&entry))
    }

    pub(super) fn print(&self, name: &'static str, value: &T) -> PrintedKey {
        PrintedKey { name, value: (self.print)(value), needs_restart: self.needs_restart }
    }

    pub(super) fn keep(&self, running: &T, value: &mut T)
    where
        T: Clone,
    {
        if self.needs_restart {
            value.clone_from(running);
        }
    }
}

/// Declares the keys of a type: `key: field => kind`, in the order of the reference.
macro_rules! keys {
    ($section:ident { $($key:ident: $($field:ident).+ => $kind:expr,)* }) => {
        impl $crate::config::keys::Keys for $section {
            const NAMES: &'static [&'static str] = &[$(stringify!($key)),*];

            fn read_keys(&mut self, section: &mut $crate::config::raw::Section<'_>) {
                $(if let Some(value) = $kind.read(section, stringify!($key)) {
                    self.$($field).+ = value;
                })*
            }

            fn print_keys(&self) -> Vec<$crate::config::printing::PrintedKey> {
                vec![$($kind.print(stringify!($key), &self.$($field).+)),*]
            }

            fn keep_fixed(&mut self, running: &Self) {
                $($kind.keep(&running.$($field).+, &mut self.$($field).+);)*
            }
        }
    };
}

/// Declares a section with its fields: `key: type = default => kind`, or `field: type = default`
/// for one that is no key.
macro_rules! section {
    ($(#[$meta:meta])* $section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr $(=> $kind:expr)?,)*
    }) => {
        $(#[$meta])*
        pub struct $section {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        $crate::config::keys::keys! { $section { $($($field: $field => $kind,)?)* } }
    };
}

pub(super) use {keys, section};
