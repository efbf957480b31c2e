//! The keys of a section as a table, one row each: how a key is read, how it is printed and whether
//! it needs a restart follow from its row. [`section!`] declares a section whose fields are its
//! keys, [`keys!`] the keys of any other type. Does not: check what concerns several keys.

pub(super) mod kinds;

use super::printing::PrintedKey;
use super::raw::{Entry, Section};
use toml::Value;

/// A type with the values of a section, or of a part of it.
pub(super) trait Keys {
    /// Sets each key to its value in the document, if it has one that is right.
    fn read_keys(&mut self, section: &mut Section<'_>);

    /// Every key with its value, in the order of the reference.
    fn print_keys(&self) -> Vec<PrintedKey>;

    /// Sets each key that needs a restart to its value in the running configuration.
    fn keep_fixed(&mut self, _running: &Self) {}

    /// The names of the keys.
    fn names() -> impl Iterator<Item = &'static str>
    where
        Self: Default,
    {
        Self::default().print_keys().into_iter().map(|key| key.name)
    }
}

/// What a row of the table says of its field.
pub(super) trait Row<T> {
    /// Sets the field to the value under `key`, if there is one that is right.
    fn read_into(&self, section: &mut Section<'_>, key: &'static str, field: &mut T);

    /// Adds the key with the value of the field.
    fn print_into(&self, printed: &mut Vec<PrintedKey>, key: &'static str, field: &T);

    /// Sets the field to its value in the running configuration, if the key needs a restart.
    fn keep(&self, running: &T, field: &mut T);
}

/// A field with keys of its own, which are in the table of its type.
pub(super) struct Part;

impl<T: Keys> Row<T> for Part {
    fn read_into(&self, section: &mut Section<'_>, _key: &'static str, field: &mut T) {
        field.read_keys(section);
    }

    fn print_into(&self, printed: &mut Vec<PrintedKey>, _key: &'static str, field: &T) {
        printed.extend(field.print_keys());
    }

    fn keep(&self, running: &T, field: &mut T) {
        field.keep_fixed(running);
    }
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

    /// The key is read at the start only: a reload leaves its value as it is. For sections that
    /// `Config::keep_fixed` knows.
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
}

impl<T: Clone> Row<T> for Kind<T> {
    fn read_into(&self, section: &mut Section<'_>, key: &'static str, field: &mut T) {
        if let Some(value) = self.read(section, key) {
            *field = value;
        }
    }

    fn print_into(&self, printed: &mut Vec<PrintedKey>, name: &'static str, field: &T) {
        let (value, needs_restart) = ((self.print)(field), self.needs_restart);
        printed.push(PrintedKey { name, value, needs_restart });
    }

    fn keep(&self, running: &T, field: &mut T) {
        if self.needs_restart {
            field.clone_from(running);
        }
    }
}

/// Declares the keys of a type: `key: field => kind`, in the order of the reference.
macro_rules! keys {
    ($section:ident { $($key:ident: $field:ident => $row:expr,)* }) => {
        impl $crate::config::keys::Keys for $section {
            fn read_keys(&mut self, section: &mut $crate::config::raw::Section<'_>) {
                $($crate::config::keys::Row::read_into(
                    &$row, section, stringify!($key), &mut self.$field,
                );)*
            }

            fn print_keys(&self) -> Vec<$crate::config::printing::PrintedKey> {
                let mut printed = Vec::new();
                $($crate::config::keys::Row::print_into(
                    &$row, &mut printed, stringify!($key), &self.$field,
                );)*
                printed
            }

            fn keep_fixed(&mut self, running: &Self) {
                $($crate::config::keys::Row::keep(&$row, &running.$field, &mut self.$field);)*
            }
        }
    };
}

/// Declares a section with its fields, in the order of the reference. Each is
///
/// - a key: `max: usize = 16 => count(1..=64)`, its type, its default and the kind of its value,
/// - a part with keys of its own: `rules: Rules = Rules::default() => Part`,
/// - or no key: `name: String = String::new()`.
macro_rules! section {
    ($(#[$meta:meta])* $section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr $(=> $row:expr)?,)*
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

        $crate::config::keys::keys! { $section { $($($field: $field => $row,)?)* } }
    };
}

pub(super) use {keys, section};
