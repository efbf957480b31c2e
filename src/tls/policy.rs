//! Versions and cipher suites of TLS that clients, or backends, may use. The defaults are those of
//! Mozilla's "intermediate" (<https://wiki.mozilla.org/Security/Server_Side_TLS>, 5.7), but for the
//! suites with DHE, which rustls does not have.

use super::record::Version;
use rustls::crypto::aws_lc_rs::cipher_suite as suites;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};
use std::fmt;

const BOTH_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A cipher suite by its names, those of TLS 1.3 first.
struct Known {
    /// That of OpenSSL.
    name: &'static str,
    /// That of IANA, if it is another one.
    iana: &'static str,
    suite: SupportedCipherSuite,
}

static KNOWN: [Known; 9] = [
    Known {
        name: "TLS_AES_128_GCM_SHA256",
        iana: "TLS_AES_128_GCM_SHA256",
        suite: suites::TLS13_AES_128_GCM_SHA256,
    },
    Known {
        name: "TLS_AES_256_GCM_SHA384",
        iana: "TLS_AES_256_GCM_SHA384",
        suite: suites::TLS13_AES_256_GCM_SHA384,
    },
    Known {
        name: "TLS_CHACHA20_POLY1305_SHA256",
        iana: "TLS_CHACHA20_POLY1305_SHA256",
        suite: suites::TLS13_CHACHA20_POLY1305_SHA256,
    },
    Known {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    },
    Known {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        suite: suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    },
    Known {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    },
    Known {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        suite: suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    },
    Known {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        suite: suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    },
    Known {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        suite: suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    },
];

/// A cipher suite: its place among the known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suite(u8);

impl Suite {
    /// Every suite, those of TLS 1.3 first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..KNOWN.len()).map(|at| Self(at as u8))
    }

    fn known(self) -> &'static Known {
        &KNOWN[usize::from(self.0)]
    }

    /// The suite with this name, OpenSSL's or IANA's.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(name: &str) -> Result<Self, String> {
        let is_it = |suite: &Self| [suite.known().name, suite.known().iana].contains(&name);
        Self::all().find(is_it).ok_or_else(|| {
            let names: Vec<String> =
                KNOWN.iter().map(|known| format!("`{}`", known.name)).collect();
            let shown = name.escape_debug();
            format!(
                "`{shown}` is no cipher suite that is supported: it can be {}",
                names.join(", ")
            )
        })
    }

    /// OpenSSL's name of a suite, if it is one of these.
    pub fn name_of(suite: CipherSuite) -> Option<&'static str> {
        KNOWN.iter().find(|known| known.suite.suite() == suite).map(|known| known.name)
    }

    /// The version that it is for.
    pub fn version(self) -> Version {
        match self.known().suite.tls13() {
            Some(_) => Version::Tls13,
            None => Version::Tls12,
        }
    }

    /// The same for the library of TLS.
    fn supported(self) -> SupportedCipherSuite {
        self.known().suite
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.known().name)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The lowest version.
    pub min_version: Version,
    /// The suites; at least one for each version. The client's order counts.
    pub suites: Vec<Suite>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { min_version: Version::Tls12, suites: Suite::all().collect() }
    }
}

impl Policy {
    /// The ciphers, with everything else that the library of TLS needs.
    pub(super) fn provider(&self) -> CryptoProvider {
        let cipher_suites = self.suites.iter().map(|suite| suite.supported()).collect();
        CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
    }

    /// The versions.
    pub(super) fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        match self.min_version {
            Version::Tls12 => BOTH_VERSIONS,
            Version::Tls13 => &BOTH_VERSIONS[..1],
        }
    }

    /// The version that no suite is for.
    pub fn version_without_suite(&self) -> Option<Version> {
        let versions = [Version::Tls12, Version::Tls13].into_iter();
        let mut allowed = versions.filter(|version| *version >= self.min_version);
        allowed.find(|version| self.suites.iter().all(|suite| suite.version() != *version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_known_by_both_names() {
        for suite in Suite::all() {
            assert_eq!(Suite::parse(&suite.to_string()), Ok(suite));
            assert_eq!(Suite::parse(suite.known().iana), Ok(suite));
            let iana = suite.known().suite.suite().as_str().expect("it has a name");
            assert_eq!(iana.replace("TLS13_", "TLS_"), suite.known().iana);
        }
        let unknown = Suite::parse("DHE-RSA-AES128-SHA").expect_err("not supported");
        assert!(unknown.contains("`ECDHE-RSA-AES128-GCM-SHA256`"), "{unknown}");
    }

    #[test]
    fn every_version_needs_a_suite() {
        assert_eq!(Policy::default().version_without_suite(), None);
        let only = |min_version, name| {
            let suites = vec![Suite::parse(name).expect("it is known")];
            Policy { min_version, suites }.version_without_suite()
        };
        let (tls13, tls12) = ("TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(only(Version::Tls12, tls13), Some(Version::Tls12));
        assert_eq!(only(Version::Tls12, tls12), Some(Version::Tls13));
        assert_eq!(only(Version::Tls13, tls13), None);
        assert_eq!(only(Version::Tls13, tls12), Some(Version::Tls13));
    }
}
