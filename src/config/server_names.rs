//! Which certificates answer which server name on a listener of HTTPS, whatever their order. Does
//! not: choose among those of one name; the client's signatures do.

use super::choices::{NoSni, UnknownSni};
use super::model::{Config, ListenerIndex};
use super::sections::{AcmeIndex, Certificate, ClientCertificates, Listener};
use crate::tls::{ClientPolicy, KeyKind};
use std::collections::BTreeMap;

/// Places in [`Config::certificates`], each with another kind of key.
pub type Alternatives = Vec<usize>;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames<'c> {
    /// By name, in lower case, also `*.` and a name.
    pub by_name: BTreeMap<&'c str, Alternatives>,
    /// For names that are not listed, and for clients that name no server; empty: there is none.
    pub default: Alternatives,
}

/// Why two certificates for one name clash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClashCause {
    /// Their keys are of one kind, and no client can tell them apart.
    KeyKind(KeyKind),
    /// What is asked of clients differs.
    ClientCertificates,
}

/// Two certificates for one name that cannot both answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The name; none: both are the default.
    pub name: Option<String>,
    /// Why.
    pub cause: ClashCause,
    /// Their places in [`Config::certificates`].
    pub places: [usize; 2],
}

impl ServerNames<'_> {
    /// Those that answer a client that asks for this name, in lower case; none: it is refused.
    pub fn lookup(&self, name: Option<&str>, listener: &Listener) -> Option<&Alternatives> {
        let default = (!self.default.is_empty()).then_some(&self.default);
        let Some(name) = name else {
            return default.filter(|_| listener.no_sni == NoSni::Default);
        };
        let wildcard = || self.by_name.get(&*format!("*.{}", name.split_once('.')?.1));
        let unknown = || default.filter(|_| listener.unknown_sni == UnknownSni::Default);
        self.by_name.get(name).or_else(wildcard).or_else(unknown)
    }
}

impl Config {
    /// The certificates of a listener by server name: its own go before those for all listeners.
    ///
    /// # Errors
    /// Two of them clash.
    pub fn server_names(&self, listener: ListenerIndex) -> Result<ServerNames<'_>, Clash> {
        let mut found = self.names_where(|one| one.listener == Some(listener))?;
        let for_all = self.names_where(|one| one.listener.is_none())?;
        for (name, alternatives) in for_all.by_name {
            found.by_name.entry(name).or_insert(alternatives);
        }
        if found.default.is_empty() {
            found.default = for_all.default;
        }
        if found.default.is_empty() {
            found.default = self.only_one(listener, &found.by_name);
        }
        Ok(found)
    }

    /// What is asked of clients that these certificates answer on a listener.
    pub fn clients_of(
        &self,
        listener: ListenerIndex,
        alternatives: &Alternatives,
    ) -> &ClientCertificates {
        let of_names = |place: &usize| self.certificates[*place].clients.as_ref();
        let own = alternatives.first().and_then(of_names);
        own.unwrap_or(&self.listeners[listener.0].clients)
    }

    /// The same for the handshake; none: no certificate.
    pub fn client_policy(
        &self,
        listener: ListenerIndex,
        alternatives: &Alternatives,
    ) -> Option<ClientPolicy> {
        self.clients_of(listener, alternatives).policy()
    }

    fn names_where(&self, counts: impl Fn(&Certificate) -> bool) -> Result<ServerNames<'_>, Clash> {
        let mut found = ServerNames::default();
        let counting = self.certificates.iter().enumerate().filter(|(_, one)| counts(one));
        for (place, certificate) in counting {
            for name in certificate.served_names() {
                let alternatives = found.by_name.entry(name).or_default();
                self.add(alternatives, place, Some(name))?;
            }
            if certificate.is_default {
                self.add(&mut found.default, place, None)?;
            }
        }
        Ok(found)
    }

    fn add(
        &self,
        alternatives: &mut Alternatives,
        place: usize,
        name: Option<&str>,
    ) -> Result<(), Clash> {
        // A certificate may list a name twice.
        if alternatives.last() == Some(&place) {
            return Ok(());
        }
        let clients_of = |place: usize| self.certificates[place].clients.as_ref();
        let clash = |other: usize, cause| {
            let name = name.map(str::to_owned);
            Err(Clash { name, cause, places: [other, place] })
        };
        if let Some(first) = alternatives.first()
            && clients_of(*first) != clients_of(place)
        {
            return clash(*first, ClashCause::ClientCertificates);
        }
        let kind_of = |place: usize| self.kind_of(&self.certificates[place]);
        let kind = kind_of(place);
        if let Some(other) = alternatives.iter().find(|other| kind_of(**other) == kind) {
            return clash(*other, ClashCause::KeyKind(kind));
        }
        alternatives.push(place);
        Ok(())
    }

    /// The kind of a certificate's key, also of one that is to be fetched.
    fn kind_of(&self, certificate: &Certificate) -> KeyKind {
        let loaded = certificate.loaded.as_ref().map(|loaded| loaded.kind);
        let awaited = || certificate.acme.map(|AcmeIndex(at)| self.acme[at].key_type.kind());
        loaded.or_else(awaited).unwrap_or(KeyKind::Other)
    }

    /// Those that answer every name of a listener, if they are the only ones.
    fn only_one(
        &self,
        listener: ListenerIndex,
        by_name: &BTreeMap<&str, Alternatives>,
    ) -> Alternatives {
        let counts = |one: &Certificate| one.listener.is_none_or(|its| its == listener);
        let counting = (0..self.certificates.len()).filter(|at| counts(&self.certificates[*at]));
        let all: Alternatives = counting.collect();
        let is_only = all.len() == 1 || by_name.values().all(|alternatives| *alternatives == all);
        if is_only && (all.len() == 1 || !by_name.is_empty()) { all } else { Alternatives::new() }
    }
}

impl Clash {
    /// What is wrong, as a sentence.
    pub fn message(&self, config: &Config) -> String {
        let what = match self.cause {
            ClashCause::KeyKind(kind) => format!("with a key of {}", kind.word()),
            ClashCause::ClientCertificates => "that ask for different client certificates".into(),
        };
        let [first, second] = self.places.map(|place| config.certificates[place].chain.display());
        match &self.name {
            Some(name) => {
                format!("two certificates {what} for `{name}`: `{first}` and `{second}`")
            }
            None => format!("two default certificates {what}: `{first}` and `{second}`"),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        if self.cause == ClashCause::ClientCertificates {
            return "write the same `client_certificate`, `client_ca` and `client_crl` for both";
        }
        match self.name {
            Some(_) => "remove one, or write the `names` that each is for",
            None => "leave `default = true` to one of them",
        }
    }
}
