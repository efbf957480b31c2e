//! Challenges that the shards answer, as long as an order needs them. They are in a file of the
//! account's folder too: where an address is shared by several processes, the authority may reach
//! one that only reads.

use super::storage::{self, Asked};
use crate::config::Acme;
use crate::coordinator::control::Control;
use crate::coordinator::process::Challenge;
use crate::sys::clock;
use crate::sys::file::Stamp;
use crate::tls::challenge_site;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How often it is looked whether every shard has them: a turn of a shard takes less.
const APPLIED_EVERY: Duration = Duration::from_millis(5);
/// How often a process that reads looks for them.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How long they are in the file before the authority is told to ask.
const SPREAD: Duration = Duration::from_secs(2);

/// Challenges that the shards answer. They are answered until this is dropped.
struct Answered {
    control: Rc<RefCell<Control>>,
    number: u64,
}

impl Answered {
    /// One that cannot be answered is left out.
    fn new(control: Rc<RefCell<Control>>, asked: &[Asked]) -> Self {
        let challenges = asked.iter().filter_map(|one| match one {
            Asked::Http { token, answer } => {
                Some(Challenge::Http { token: token.clone(), answer: answer.clone() })
            }
            Asked::Tls { name, digest } => match challenge_site(name, digest) {
                Ok(site) => Some(Challenge::Tls { name: name.clone(), site }),
                Err(why) => {
                    tracing::error!("the challenge of {name}: {why}");
                    None
                }
            },
        });
        let challenges = challenges.collect();
        let number = control.borrow_mut().add_challenges(challenges, clock::monotonic());
        Self { control, number }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.control.borrow_mut().remove_challenges(self.number, clock::monotonic());
    }
}

/// The challenges of an order.
pub(super) struct Presented {
    answered: Answered,
    folder: PathBuf,
}

impl Presented {
    /// Has all shards of this process answer these, and of those that read the same folder.
    ///
    /// # Errors
    /// The folder cannot be written, as a sentence.
    pub(super) async fn new(
        control: Rc<RefCell<Control>>,
        folder: PathBuf,
        asked: Vec<Asked>,
    ) -> Result<Self, String> {
        let presented = Self { answered: Answered::new(control, &asked), folder };
        if asked.is_empty() {
            return Ok(presented);
        }
        let folder = presented.folder.clone();
        let written = spawn_blocking(move || storage::write_asked(&folder, &asked)).await;
        written.map_err(|error| error.to_string())??;
        tokio::time::sleep(SPREAD).await;
        while !presented.answered.control.borrow_mut().is_applied() {
            tokio::time::sleep(APPLIED_EVERY).await;
        }
        Ok(presented)
    }

    /// The authority has asked.
    pub(super) async fn end(self) {
        // A file that is left has tokens that nobody asks for, until the next order.
        let Self { answered, folder } = self;
        let _ = spawn_blocking(move || storage::remove_asked(&folder)).await;
        drop(answered);
    }
}

/// Follows the challenges in the folder of an account that another process fetches with.
pub(super) async fn follow(control: Rc<RefCell<Control>>, acme: Acme) {
    let mut seen = None;
    // Held: it is answered as long as it is there.
    let mut answered: Vec<Answered> = Vec::new();
    loop {
        let (folder, known) = (acme.storage.clone(), seen);
        let looked = spawn_blocking(move || look(&folder, known)).await;
        if let Ok((stamp, Some(asked))) = looked {
            seen = stamp;
            answered.clear();
            answered.push(Answered::new(control.clone(), &asked));
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// The state of the file, and its content if that has changed.
fn look(folder: &std::path::Path, known: Option<Stamp>) -> (Option<Stamp>, Option<Vec<Asked>>) {
    let stamp = storage::stamp_of_asked(folder);
    let asked = (stamp != known).then(|| storage::read_asked(folder));
    (stamp, asked)
}
