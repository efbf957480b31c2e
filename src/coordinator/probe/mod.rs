//! temporary
use crate::config::Probe;
use std::net::SocketAddr;
#[derive(Clone)]
pub struct Prober(std::time::Duration);
pub enum ProbeFailure {
    Failed(String),
}
impl ProbeFailure {
    pub fn is_our_own_fault(&self) -> bool {
        false
    }
}
impl std::fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Failed(t) = self;
        f.write_str(t)
    }
}
impl Prober {
    pub fn new(probe: &Probe) -> Result<Self, String> {
        Ok(Self(probe.rules.timeout))
    }
    pub async fn probe(&self, backend: SocketAddr) -> Result<(), ProbeFailure> {
        match tokio::time::timeout(self.0, tokio::net::TcpStream::connect(backend)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(ProbeFailure::Failed(e.to_string())),
            Err(_) => Err(ProbeFailure::Failed("timed out".into())),
        }
    }
}
