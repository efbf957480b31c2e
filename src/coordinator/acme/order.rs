//! One order of a certificate (RFC 8555, 7.4): the account, the challenges, the certificate itself,
//! which is checked before it is kept.

use super::challenges::Presented;
use super::client::client;
use super::storage::{self, Account, Asked};
use crate::config::{Acme, AcmeChallenge, AcmeKeyType, parse_fetched};
use crate::coordinator::control::Control;
use crate::coordinator::discovery::Resolvers;
use crate::coordinator::process::Suggested;
use crate::tls::{self, Authorities};
use instant_acme::{
    Account as Client, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long an authority may take for its validations, and again for the certificate.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// The first pause between questions whether it is done; each is twice the one before.
const ASK_FIRST: Duration = Duration::from_millis(500);

/// The type of the problem that an account is not there (RFC 8555, 6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
/// The type of the problem that too much was asked for (RFC 8555, 6.7).
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
/// Characters of the longest reason for a failure that is kept.
const REASON_CHARACTERS_MAX: usize = 1_000;
/// How long fetching a certificate may take in all: one of an account is fetched at a time.
const FETCH_MAX: Duration = Duration::from_secs(30 * 60);

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where it is kept.
    pub(super) path: PathBuf,
    /// Its names.
    pub(super) names: Vec<String>,
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Failure {
    /// A sentence.
    pub(super) reason: String,
    /// What the authority asks for before the next attempt.
    pub(super) retry_after: Option<Duration>,
}

/// What orders of an account have in common.
pub(super) struct Orders {
    pub(super) acme: Acme,
    /// Whose certificates the directory is trusted by.
    pub(super) trusted: Authorities,
    pub(super) control: Rc<RefCell<Control>>,
    pub(super) resolvers: Rc<Resolvers>,
    /// The right to present challenges, which one order has at a time: the orders of two accounts
    /// may be for the same name, for which only one challenge can be answered.
    pub(super) turn: Rc<Semaphore>,
}

impl Orders {
    /// Fetches a certificate in the place of the present one, and keeps it.
    ///
    /// # Errors
    /// Why there is none; the present one is untouched.
    pub(super) async fn fetch(
        &self,
        wanted: &Wanted,
        present: Option<&tls::Certificate>,
    ) -> Result<tls::Certificate, Failure> {
        self.asking(async |caller| {
            let fetched = timeout(FETCH_MAX, self.try_fetch(caller, wanted, present)).await;
            fetched.unwrap_or_else(|_| Err("it took too long".to_owned()))
        })
        .await
    }

    /// When the authority suggests to renew a certificate, and how long that holds; none if it
    /// suggests nothing.
    pub(super) async fn suggestion(
        &self,
        present: &tls::Certificate,
    ) -> Option<(Suggested, Duration)> {
        let asked = self.asking(async |caller| {
            let client = self.account(caller).await?;
            let id = identifier(present).ok_or_else(|| "it has no identifier".to_owned())?;
            client.renewal_info(&id).await.map_err(said)
        });
        let (found, holds) = asked.await.ok()?;
        let window = &found.suggested_window;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let from_s = seconds(window.start.unix_timestamp());
        let until_s = seconds(window.end.unix_timestamp()).max(from_s);
        Some((Suggested { fingerprint: present.fingerprint, from_s, until_s }, holds))
    }

    /// Runs `work` with a client, whose requests are made meanwhile.
    async fn asking<T>(
        &self,
        work: impl AsyncFnOnce(super::client::Caller) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let retry_after = Rc::new(Cell::new(None));
        let (caller, asker) = client(&self.trusted, self.resolvers.clone(), retry_after.clone());
        let done = tokio::select! {
            done = work(caller) => done,
            // It answers as long as there is a caller, which `work` has.
            () = asker.run() => Err("the client has ended".to_owned()),
        };
        done.map_err(|reason| Failure { reason: shortened(reason), retry_after: retry_after.get() })
    }

    async fn try_fetch(
        &self,
        caller: super::client::Caller,
        wanted: &Wanted,
        present: Option<&tls::Certificate>,
    ) -> Result<tls::Certificate, String> {
        let client = self.account(caller).await?;
        let mut order = self.order(&client, wanted, present).await?;
        {
            let _turn = self.turn.acquire().await.map_err(|error| error.to_string())?;
            let presented = self.present(&mut order).await?;
            let settled = settle(&mut order).await;
            presented.end().await;
            settled?;
        }
        let (key, request) = key_and_request(self.acme.key_type, wanted.names.clone()).await?;
        order.finalize_csr(&request).await.map_err(said)?;
        let chain = order.poll_certificate(&patience()).await.map_err(said)?;
        keep(wanted.clone(), key + &chain).await
    }

    /// The account; it is opened if there is none with this directory.
    async fn account(&self, caller: super::client::Caller) -> Result<Client, String> {
        let folder = self.acme.storage.clone();
        let kept = blocking(move || storage::read_account(&folder)).await?;
        let builder = Client::builder_with_http(Box::new(caller));
        let Some(kept) = kept.filter(|kept| kept.directory == self.acme.directory) else {
            let urls: Vec<String> = self.contact_urls();
            let contact: Vec<&str> = urls.iter().map(String::as_str).collect();
            let new = NewAccount {
                contact: &contact,
                terms_of_service_agreed: self.acme.accept_terms_of_service,
                only_return_existing: false,
            };
            let binding = self.acme.eab_key_id.clone().zip(self.acme.eab_mac_key.as_ref());
            let binding = binding.map(|(id, key)| ExternalAccountKey::new(id, key.bytes()));
            let directory = self.acme.directory.clone();
            let opened = builder.create(&new, directory, binding.as_ref()).await;
            let (client, credentials) = opened.map_err(said)?;
            self.keep_account(Account {
                directory: self.acme.directory.clone(),
                contact: self.acme.contact.clone(),
                credentials,
            })
            .await?;
            return Ok(client);
        };
        let is_known = kept.contact == self.acme.contact;
        let again = serde_json::to_value(&kept.credentials).and_then(serde_json::from_value);
        let client = builder.from_credentials(kept.credentials).await.map_err(said)?;
        if !is_known {
            let urls = self.contact_urls();
            let contact: Vec<&str> = urls.iter().map(String::as_str).collect();
            match client.update_contacts(&contact).await {
                Ok(()) => {}
                Err(error) if is_of(&error, NO_ACCOUNT) => return Err(self.judged(error).await),
                Err(error) => {
                    // Certificates do not depend on it; it is tried again with the next one.
                    tracing::warn!("the authority refuses the contact: {}", said(error));
                    return Ok(client);
                }
            }
            let (directory, contact) = (self.acme.directory.clone(), self.acme.contact.clone());
            let credentials = again.map_err(|error| error.to_string())?;
            self.keep_account(Account { directory, contact, credentials }).await?;
        }
        Ok(client)
    }

    fn contact_urls(&self) -> Vec<String> {
        self.acme.contact.iter().map(|address| format!("mailto:{address}")).collect()
    }

    async fn keep_account(&self, account: Account) -> Result<(), String> {
        let folder = self.acme.storage.clone();
        blocking(move || storage::write_account(&folder, &account)).await
    }

    async fn order(
        &self,
        client: &Client,
        wanted: &Wanted,
        present: Option<&tls::Certificate>,
    ) -> Result<Order, String> {
        let names: Vec<Identifier> = wanted.names.iter().cloned().map(Identifier::Dns).collect();
        let id = present.and_then(identifier);
        if let Some(id) = id {
            match client.new_order(&NewOrder::new(&names).replaces(id)).await {
                Ok(order) => return Ok(order),
                Err(error) if is_of(&error, NO_ACCOUNT) || is_of(&error, RATE_LIMITED) => {
                    return Err(self.judged(error).await);
                }
                // It may not know the certificate, or have it from another account or authority,
                // or as replaced before (RFC 9773, 5). Without that the order may be good.
                Err(error) => tracing::debug!(%error, "an order in place of a certificate"),
            }
        }
        match client.new_order(&NewOrder::new(&names)).await {
            Ok(order) => Ok(order),
            Err(error) => Err(self.judged(error).await),
        }
    }

    /// What the authority said. One that has forgotten the account gets another one next time.
    async fn judged(&self, error: Error) -> String {
        if is_of(&error, NO_ACCOUNT) {
            let folder = self.acme.storage.clone();
            let removed = blocking(move || {
                storage::remove_account(&folder);
                Ok(())
            });
            // It cannot fail.
            let _ = removed.await;
        }
        said(error)
    }

    /// Has the shards answer the challenges of an order, and tells the authority so.
    async fn present(&self, order: &mut Order) -> Result<Presented, String> {
        let kind = match self.acme.challenge {
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            AcmeChallenge::Http01 => ChallengeType::Http01,
        };
        let mut answers = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next.map_err(said)?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => return Err(format!("the authorization of {name} is {status:?}")),
            }
            let lacks = format!("the authority offers no {} for {name}", self.acme.challenge);
            let challenge = authorization.challenge(kind.clone()).ok_or(lacks)?;
            let answer = challenge.key_authorization();
            answers.push(match self.acme.challenge {
                AcmeChallenge::Http01 => {
                    Asked::Http { token: challenge.token.clone(), answer: answer.as_str().into() }
                }
                AcmeChallenge::TlsAlpn01 => {
                    let digest = answer.digest().as_ref().to_vec();
                    Asked::Tls { name: name.to_ascii_lowercase(), digest }
                }
            });
        }
        let presented =
            Presented::new(self.control.clone(), self.acme.storage.clone(), answers).await?;
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next.map_err(said)?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(kind.clone())
            {
                challenge.set_ready().await.map_err(said)?;
            }
        }
        Ok(presented)
    }
}

/// What an authority says may be long, and is kept with each event.
fn shortened(reason: String) -> String {
    match reason.char_indices().nth(REASON_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

/// Waits until all challenges are validated.
async fn settle(order: &mut Order) -> Result<(), String> {
    let failure = match order.poll_ready(&patience()).await {
        Ok(OrderStatus::Ready) => return Ok(()),
        Ok(status) => format!("the order is {status:?}"),
        Err(error) => said(error),
    };
    // The reason is in the authorization that failed.
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        let found = state.challenges.iter().find_map(|one| one.error.as_ref());
        if let Some(problem) = found {
            return Err(format!("{name} was not validated: {}", detail(problem)));
        }
    }
    Err(failure)
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().initial_delay(ASK_FIRST).timeout(WAIT_MAX)
}

/// A new key, PEM, and the request for a certificate of it, DER. On another thread: keys of RSA
/// take seconds.
async fn key_and_request(
    kind: AcmeKeyType,
    names: Vec<String>,
) -> Result<(String, Vec<u8>), String> {
    blocking(move || {
        let key = match kind {
            AcmeKeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            AcmeKeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            AcmeKeyType::Rsa2048 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)
            }
            AcmeKeyType::Rsa4096 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096)
            }
        };
        let failed = |error: rcgen::Error| format!("no key: {error}");
        let key = key.map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(failed)?;
        Ok((key.serialize_pem(), request.der().to_vec()))
    })
    .await
}

/// Checks a key with its chain, and keeps both.
async fn keep(wanted: Wanted, pem: String) -> Result<tls::Certificate, String> {
    blocking(move || {
        let Wanted { path, names } = wanted;
        let certificate = parse_fetched(&path, pem.as_bytes())
            .map_err(|why| format!("what the authority has issued cannot be used: {why}"))?;
        let lacks = |name: &&String| !certificate.names.iter().any(|own| **own == ***name);
        if let Some(name) = names.iter().find(lacks) {
            return Err(format!("the authority has issued a certificate without {name}"));
        }
        storage::write(&path, pem.as_bytes())?;
        Ok(certificate)
    })
    .await
}

/// The identifier of a certificate for its authority (RFC 9773, 4.1).
fn identifier(certificate: &tls::Certificate) -> Option<CertificateIdentifier<'static>> {
    let own = certificate.served.cert.first()?;
    CertificateIdentifier::try_from(own).ok().map(CertificateIdentifier::into_owned)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

fn is_of(error: &Error, kind: &str) -> bool {
    matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(kind))
}

/// An error as a sentence.
fn said(error: Error) -> String {
    match error {
        Error::Api(problem) => format!("the authority refuses: {}", detail(&problem)),
        Error::Timeout(_) => "the authority takes too long".to_owned(),
        other => other.to_string(),
    }
}

/// What a problem says, with its type.
fn detail(problem: &instant_acme::Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("a problem without a type");
    let kind = kind.rsplit(':').next().unwrap_or(kind);
    let text = problem.detail.as_deref().unwrap_or("no detail");
    let parts = problem.subproblems.iter().map(|one| format!("; {one}"));
    format!("{text} ({kind}){}", parts.collect::<String>())
}
