//! The traits that the rest of the program implements for the control plane: listening sockets, and
//! configurations to put in force.

use crate::config::{self, Config, Problem, TextFormat};
use crate::engine::Socket;
use std::net::SocketAddr;

/// The listening sockets of a listener, one per shard.
pub struct OpenListener {
    /// The address that they listen on; differs from the configured one if that has port 0.
    pub bound: SocketAddr,
    /// One for each shard.
    pub sockets: Vec<Socket>,
}

/// Opens listening sockets, and closes those that no shard uses.
pub trait ListenSockets {
    /// Opens a listener.
    ///
    /// # Errors
    /// The reason, as a sentence.
    fn open(&mut self, listener: &config::Listener) -> Result<OpenListener, String>;

    /// Whether two listeners, each opened alone, would use the same passed sockets, or none.
    fn is_passed_the_same(&self, _one: &config::Listener, _other: &config::Listener) -> bool {
        true
    }

    /// These listeners are open now: passed sockets that none of them uses are logged.
    fn note_open(&mut self, listeners: &[config::Listener]);

    /// Makes the kernel give new connections to another listener on the same port, if there is one,
    /// and not to these sockets. Shards still accept earlier connections from them. Without it new
    /// connections would be reset when the sockets are closed.
    fn turn_away(&mut self, sockets: &[Socket]);

    /// Closes sockets that were opened and are not needed.
    fn close(&mut self, open: OpenListener);

    /// Closes the sockets that are kept for later listeners: there will be none.
    fn close_unused(&mut self);
}

/// The source of the configuration for a reload.
pub trait ConfigSource {
    /// The configuration of the file, with flags and environment laid over it.
    ///
    /// # Errors
    /// The problems, each with its place and remedy; or that there is no file.
    fn read(&self) -> Result<Config, Unusable>;

    /// The same for a text of this format in place of the file; problems name it `name`.
    ///
    /// # Errors
    /// As for [`ConfigSource::read`].
    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable>;

    /// Warnings about a configuration, and reasons why a new process would not start with it, where
    /// these listeners are open: a line each, the warnings of `ringway check` except those that
    /// need to read a file. The thread of the coordinator calls it.
    fn warnings(&self, _config: &Config, _open: &[config::Listener]) -> Vec<String> {
        Vec::new()
    }
}

/// The error of a configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// All problems as text.
    pub reason: String,
    /// The same one by one, where they have a place in a text.
    pub problems: Vec<Problem>,
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self { reason, problems: Vec::new() }
    }
}
