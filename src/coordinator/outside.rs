//! What the control plane needs of the rest of the program: listening sockets, and configurations
//! to put in force. Does not: say how they come about.

use crate::config::{self, Config, Problem, TextFormat};
use crate::engine::Socket;
use std::net::SocketAddr;

/// A listening socket per shard.
pub struct Door {
    /// The address that they listen on; differs from the configured one if that has port 0.
    pub bound: SocketAddr,
    /// One for each shard.
    pub sockets: Vec<Socket>,
}

/// Opens listening sockets, and closes those that no shard has got.
pub trait Doors {
    /// Opens a listener.
    ///
    /// # Errors
    /// A sentence that says why it cannot be.
    fn open(&mut self, listener: &config::Listener) -> Result<Door, String>;

    /// Whether two listeners, opened alone, would have the same sockets of those that were passed
    /// to the process, or none of them.
    fn is_passed_the_same(&self, _one: &config::Listener, _other: &config::Listener) -> bool {
        true
    }

    /// These listeners are open now: whatever is kept for another one is told of.
    fn settle(&mut self, listeners: &[config::Listener]);

    /// Has new connections go past the sockets of a listener, to another one on the same port if
    /// there is one. Shards still accept who has come before. Without it the others would be reset
    /// when the sockets are closed.
    fn turn_away(&mut self, sockets: &[Socket]);

    /// Closes what was opened and is not needed.
    fn close(&mut self, door: Door);

    /// Lets go of whatever is kept open for later listeners: there will be none.
    fn shut(&mut self);
}

/// Where a configuration comes from when it is read again.
pub trait ConfigSource {
    /// The configuration of the file, with flags and environment laid over it.
    ///
    /// # Errors
    /// What is wrong, with its place and remedy; or that there is no file.
    fn read(&self) -> Result<Config, Unusable>;

    /// The same for a text of this format in place of the file; problems are told of under `name`.
    ///
    /// # Errors
    /// As for [`ConfigSource::read`].
    fn parse(&self, text: &str, format: TextFormat, name: &str) -> Result<Config, Unusable>;

    /// What is odd about a configuration, or would keep a new process from starting with it, where
    /// these listeners are open: a line each, the same as `ringway check` warns of, but for what
    /// takes a look at a file. It is asked by the thread of the coordinator.
    fn warnings(&self, _config: &Config, _open: &[config::Listener]) -> Vec<String> {
        Vec::new()
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Everything that is wrong, for people.
    pub reason: String,
    /// The same one by one, where it has a place in a text.
    pub problems: Vec<Problem>,
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self { reason, problems: Vec::new() }
    }
}
