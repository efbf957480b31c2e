//! Challenges that the shards answer, as long as their order needs them.

use crate::coordinator::control::Control;
use crate::coordinator::process::Challenge;
use crate::sys::clock;
use crate::tls::challenge_site;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How often it is looked whether every shard has them: a turn of a shard takes less.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The answer to http-01.
pub(super) fn http(token: &str, answer: &str) -> Challenge {
    Challenge::Http { token: token.to_owned(), answer: answer.to_owned() }
}

/// The answer to tls-alpn-01.
pub(super) fn tls(name: &str, digest: &[u8]) -> Result<Challenge, String> {
    let name = name.to_ascii_lowercase();
    let site = challenge_site(&name, digest)?;
    Ok(Challenge::Tls { name, site })
}

/// The challenges of one order. They are answered until this is dropped.
pub(super) struct Presented {
    control: Rc<RefCell<Control>>,
    number: u64,
}

impl Presented {
    /// Has all shards answer these.
    pub(super) async fn new(control: Rc<RefCell<Control>>, challenges: Vec<Challenge>) -> Self {
        let number = control.borrow_mut().add_challenges(challenges, clock::monotonic());
        let presented = Self { control, number };
        while !presented.control.borrow_mut().is_applied() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        presented
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        self.control.borrow_mut().remove_challenges(self.number, clock::monotonic());
    }
}
