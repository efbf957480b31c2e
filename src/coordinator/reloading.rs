//! A reload, whoever asks for it: one after the other, each with the file as it is when its turn
//! comes. All else goes on while what is new is probed.

use super::Unusable;
use super::control::Control;
use super::plan::Plan;
use super::preflight::look_ahead;
use crate::base::Generation;
use crate::config::Config;
use crate::sys::clock;
use std::cell::RefCell;
use std::rc::Rc;

/// What a reload did.
pub(super) struct Reloaded {
    pub(super) plan: Plan,
    /// The one that has it.
    pub(super) generation: Generation,
    /// What is odd about what is in force now; logged already.
    pub(super) warnings: Vec<String>,
}

/// Puts in force what `read` gives.
///
/// # Errors
/// As of `read` and of [`Control::apply`]; nothing has changed then but what is told of it.
pub(super) async fn reload(
    control: &Rc<RefCell<Control>>,
    read: impl FnOnce(&Control) -> Result<Config, Unusable>,
) -> Result<Reloaded, Unusable> {
    let reloading = control.borrow().reloading.clone();
    let _turn = reloading.lock().await;
    let loaded = load(control, read).await;
    if let Err(unusable) = &loaded {
        control.borrow_mut().refuse(&unusable.reason);
    }
    loaded
}

async fn load(
    control: &Rc<RefCell<Control>>,
    read: impl FnOnce(&Control) -> Result<Config, Unusable>,
) -> Result<Reloaded, Unusable> {
    control.borrow().check_open()?;
    let config = read(&control.borrow())?;
    let learned = look_ahead(control, &config).await;
    let warnings = control.borrow().source.warnings(&config, &config.listeners);
    let (plan, generation) = control.borrow_mut().apply(config, learned, clock::monotonic())?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    Ok(Reloaded { plan, generation, warnings })
}
