//! Reloads, by signal or order: one at a time, each with the file as it is when its turn comes.
//! Everything else goes on while new backends are probed.
//!
//! `source` is where a configuration comes from, `plan` lists the changes that it makes, `touched`
//! counts what uses the changed parts, `loops` warns of backends that are listeners, `preflight`
//! looks names up and probes before it is in force, `loaded` identifies the one in force.

mod loaded;
mod loops;
mod plan;
mod preflight;
mod source;
mod touched;

pub use loaded::Loaded;
pub(crate) use loops::loops;
pub use plan::Plan;
pub use source::{ConfigSource, Unusable};

use crate::base::Generation;
use crate::config::{Config, Digest, Listener};
use crate::coordinator::control::Control;
use crate::coordinator::discovery::Resolvers;
use crate::coordinator::events::{Event, beginning};
use crate::sys::clock;
use plan::without_restart;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::sync::Mutex;

/// The result of a reload.
pub(crate) struct Reloaded {
    pub(crate) plan: Plan,
    /// The generation that has it.
    pub(crate) generation: Generation,
    /// Warnings about the configuration in force now; logged already.
    pub(crate) warnings: Vec<String>,
}

/// See the module.
pub struct Reloads {
    control: Rc<RefCell<Control>>,
    resolvers: Rc<Resolvers>,
    source: Box<dyn ConfigSource>,
    loaded: RefCell<Loaded>,
    /// Held while a configuration is read and put in force.
    turn: Mutex<()>,
}

impl Reloads {
    /// Of the configuration that is in force at the start. `source` has the others.
    pub(crate) fn new(
        control: Rc<RefCell<Control>>,
        resolvers: Rc<Resolvers>,
        source: Box<dyn ConfigSource>,
    ) -> Self {
        let loaded = RefCell::new(Loaded::first(control.borrow().config()));
        Self { control, resolvers, source, loaded, turn: Mutex::new(()) }
    }

    /// The version and digest of the configuration in force.
    pub(crate) fn loaded(&self) -> Loaded {
        self.loaded.borrow().clone()
    }

    /// Where configurations come from.
    pub(crate) fn source(&self) -> &dyn ConfigSource {
        &*self.source
    }

    /// The changes that a configuration would make.
    pub(crate) fn plan(&self, config: &Config) -> Plan {
        touched::changes(&self.control.borrow(), config)
    }

    /// The digest that the configuration in force would have after that.
    pub(crate) fn digest_after(&self, config: Config) -> Digest {
        without_restart(self.control.borrow().config(), config).digest()
    }

    /// Warnings about a configuration where the listeners of the one in force are open: a line
    /// each.
    pub(crate) fn warnings(&self, config: &Config) -> Vec<String> {
        let control = self.control.borrow();
        self.warnings_where(config, &control.config().listeners)
    }

    /// Warnings about a configuration where these listeners are open: a line each.
    fn warnings_where(&self, config: &Config, open: &[Listener]) -> Vec<String> {
        let mut warnings = self.source.warnings(config, open);
        warnings.extend(loops(&self.control.borrow().fleet(), config));
        warnings
    }

    /// Puts the configuration that `read` returns in force.
    ///
    /// # Errors
    /// As of `read` and of [`Control::apply`]; nothing has changed then, and an event reports it.
    pub(crate) async fn reload(
        &self,
        read: impl FnOnce(&dyn ConfigSource) -> Result<Config, Unusable>,
    ) -> Result<Reloaded, Unusable> {
        let _turn = self.turn.lock().await;
        let reloaded = self.load(read).await;
        if let Err(Unusable { reason, .. }) = &reloaded {
            self.loaded.borrow_mut().note_refusal();
            let reason = beginning(reason);
            self.note_event(Event::ReloadRefused { reason });
        }
        reloaded
    }

    async fn load(
        &self,
        read: impl FnOnce(&dyn ConfigSource) -> Result<Config, Unusable>,
    ) -> Result<Reloaded, Unusable> {
        self.control.borrow().course().check_open()?;
        let config = read(&*self.source)?;
        let fleet = self.control.borrow().shared_fleet();
        let discovered = preflight::look_ahead(fleet, self.resolvers.clone(), &config).await;
        let warnings = self.warnings_where(&config, &config.listeners);
        let plan = self.plan(&config);
        let config = without_restart(self.control.borrow().config(), config);
        let applied = self.control.borrow_mut().apply(config, discovered, clock::monotonic());
        let generation = applied?;
        self.note_loaded(&plan, generation);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Reloaded { plan, generation, warnings })
    }

    fn note_loaded(&self, plan: &Plan, generation: Generation) {
        let mut loaded = self.loaded.borrow_mut();
        loaded.note(self.control.borrow().config());
        self.note_event(Event::Reloaded {
            version: loaded.version,
            digest: loaded.digest.to_string(),
            generation: generation.0,
            changes: plan.changes.len(),
            needs_restart: plan.needs_restart.clone(),
        });
    }

    fn note_event(&self, event: Event) {
        self.control.borrow_mut().fleet_mut().note_event(event);
    }
}
