//! Orders: each is applied, or refused with a remedy, and answered when every shard works with the
//! snapshot that has it.

use super::config_text::Given;
use super::reply::{Reply, json_reply, refusal, refusal_with};
use crate::base::Generation;
use crate::config::Config;
use crate::config::values::parse_address;
use crate::coordinator::control::Control;
use crate::coordinator::fleet::{Fleet, Operation, OperationError};
use crate::coordinator::process::{Course, Phase};
use crate::coordinator::reload::{ConfigSource, Plan, Reloaded, Reloads, Unusable};
use crate::health::OperatorState;
use crate::limits::WEIGHT_MAX;
use crate::sys::clock;
use hyper::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long an answer waits for shards to apply an order.
pub const APPLY_MAX: Duration = Duration::from_secs(10);

type Shared = Rc<RefCell<Control>>;

/// An example of an order for a backend.
pub(super) const BACKEND_ORDER_EXAMPLE: &str = r#"{"state": "drain"} or {"weight": 5}"#;
/// An example of an order to add a backend.
pub(super) const NEW_BACKEND_EXAMPLE: &str = r#"{"address": "10.0.0.11:8080", "weight": 1}"#;

/// The body of an order for a backend.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendOrder {
    /// ready, drain or maint.
    state: Option<String>,
    /// 0 to 1000; `null` for that of its source.
    #[serde(default, deserialize_with = "present")]
    weight: Option<Option<Weight>>,
}

/// A weight, as far as it is a number.
#[derive(Clone, Copy, Debug)]
struct Weight(u32);

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Value::deserialize(deserializer)?;
        // One that is out of range is refused later, where the range is known.
        let in_range = |whole| Self(u32::try_from(whole).unwrap_or(u32::MAX));
        number.as_u64().map(in_range).ok_or_else(|| {
            D::Error::custom(format!("`weight` is {number}: give a number from 0 to {WEIGHT_MAX}"))
        })
    }
}

/// The body of an order to add a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackend {
    address: String,
    #[serde(default = "one")]
    weight: Weight,
}

fn one() -> Weight {
    Weight(1)
}

/// Distinguishes `null` from a missing key.
fn present<'de, D>(deserializer: D) -> Result<Option<Option<Weight>>, D::Error>
where
    D: Deserializer<'de>,
{
    Option::<Weight>::deserialize(deserializer).map(Some)
}

/// Changes a backend.
pub(super) async fn change_backend(
    control: &Shared,
    pool: &str,
    backend: SocketAddr,
    order: BackendOrder,
) -> Reply {
    let mut operations = Vec::new();
    if let Some(state) = &order.state {
        match state.parse::<OperatorState>() {
            Ok(state) => operations.push(Operation::State(state)),
            Err(error) => return refusal(StatusCode::BAD_REQUEST, error),
        }
    }
    let weight = order.weight.map(|weight| weight.map(|Weight(weight)| weight));
    operations.extend(weight.map(Operation::Weight));
    if operations.is_empty() {
        let error = "nothing is ordered: give `state` or `weight`";
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    let weight = weight.flatten().unwrap_or(0);
    let is_there = control.borrow().fleet().record(pool, backend).is_some();
    if let Some(error) =
        loop_by(control.borrow().config(), pool, backend, weight).filter(|_| is_there)
    {
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    operate(control, pool, backend, &operations).await
}

/// Why a backend cannot have a weight. As in the file, any address is allowed with weight 0.
fn loop_by(config: &Config, pool: &str, backend: SocketAddr, weight: u32) -> Option<String> {
    if weight == 0 { None } else { config.loop_by(pool, backend) }
}

/// Adds a backend.
pub(super) async fn add_backend(control: &Shared, pool: &str, new: NewBackend) -> Reply {
    let address = match parse_address(&new.address) {
        Ok(address) => address,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error),
    };
    if let Some(error) = loop_by(control.borrow().config(), pool, address, new.weight.0) {
        return refusal(StatusCode::BAD_REQUEST, error);
    }
    let operation = Operation::Add { weight: new.weight.0 };
    operate(control, pool, address, &[operation]).await
}

/// Removes a backend.
pub(super) async fn remove_backend(control: &Shared, pool: &str, backend: SocketAddr) -> Reply {
    operate(control, pool, backend, &[Operation::Remove]).await
}

async fn operate(
    control: &Shared,
    pool: &str,
    backend: SocketAddr,
    operations: &[Operation],
) -> Reply {
    let result = control.borrow_mut().operate(pool, backend, operations, clock::monotonic());
    let generation = match result {
        Ok(generation) => generation,
        Err(error) => return refusal(status_of(&error), error.to_string()),
    };
    let applied = await_applied(control, generation).await;
    let in_flight = in_flight(&control.borrow().fleet(), pool, backend);
    let body = json!({
        "pool": pool,
        "backend": backend,
        "orders": operations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "generation": generation.0,
        "applied": applied,
        "in_flight": in_flight,
    });
    json_reply(applied_status(applied), &body)
}

fn in_flight(fleet: &Fleet, pool: &str, backend: SocketAddr) -> u32 {
    let record = fleet.record(pool, backend);
    record.map_or(0, |record| fleet.ledger().in_flight(record.slot))
}

fn status_of(error: &OperationError) -> StatusCode {
    match error {
        OperationError::NoPool { .. } | OperationError::NoBackend { .. } => StatusCode::NOT_FOUND,
        OperationError::Exists | OperationError::Full => StatusCode::CONFLICT,
        OperationError::Weight(_) => StatusCode::BAD_REQUEST,
    }
}

fn applied_status(applied: bool) -> StatusCode {
    if applied { StatusCode::OK } else { StatusCode::ACCEPTED }
}

/// Waits until every running shard works with a generation; false if one takes too long.
async fn await_applied(control: &Shared, generation: Generation) -> bool {
    let mut applied = control.borrow().shards().follow_applied();
    let all = applied.wait_for(|applied| *applied >= generation);
    tokio::time::timeout(APPLY_MAX, all).await.is_ok_and(|result| result.is_ok())
}

/// Puts a configuration in force: that of the file, or one in the body. Returns the number of
/// changes too, if it is not refused.
pub(super) async fn reload(
    control: &Shared,
    reloads: &Reloads,
    given: Option<&Given>,
) -> (Reply, Option<usize>) {
    match reloads.reload(|source| read(source, given)).await {
        Err(Unusable { reason, problems }) => {
            let error = format!("{}\n\nnothing has changed", reason.trim_end());
            let status = refused_status(control.borrow().course());
            (refusal_with(status, error, &problems), None)
        }
        Ok(Reloaded { plan, generation, warnings }) => {
            let applied = await_applied(control, generation).await;
            let Plan { changes, needs_restart } = plan;
            let count = changes.len();
            let body = json!({
                "configuration": reloads.loaded(),
                "generation": generation.0,
                "applied": applied,
                "changes": changes,
                "needs_restart": needs_restart,
                "warnings": warnings,
            });
            (json_reply(applied_status(applied), &body), Some(count))
        }
    }
}

/// The status of a reload that is refused: it is invalid, or too late.
pub(crate) fn refused_status(course: &Course) -> StatusCode {
    if course.is_closed() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY }
}

/// The changes that a configuration would make.
pub(super) fn plan(reloads: &Reloads, given: Option<&Given>) -> Reply {
    match read(reloads.source(), given) {
        Ok(config) => {
            let Plan { changes, needs_restart } = reloads.plan(&config);
            let warnings = reloads.warnings(&config);
            let body = json!({
                "configuration": reloads.loaded(),
                "digest": reloads.digest_after(config).to_string(),
                "changes": changes,
                "needs_restart": needs_restart,
                "warnings": warnings,
            });
            json_reply(StatusCode::OK, &body)
        }
        Err(Unusable { reason, problems }) => {
            refusal_with(StatusCode::UNPROCESSABLE_ENTITY, reason, &problems)
        }
    }
}

fn read(source: &dyn ConfigSource, given: Option<&Given>) -> Result<Config, Unusable> {
    match given {
        Some(Given { text, format, name }) => source.parse(text, *format, name),
        None => source.read(),
    }
}

/// Begins the shutdown, or advances it by a mode: the same mode again changes nothing.
pub(super) fn drain(control: &mut Control, mode: Option<&str>) -> Reply {
    let to = match mode {
        None => Phase::LameDuck,
        Some("now") => Phase::Finishing,
        Some("cut") => Phase::Ending,
        Some(mode) => {
            let error = format!("`{}` is no mode: it can be now or cut", mode.escape_debug());
            return refusal(StatusCode::BAD_REQUEST, error);
        }
    };
    control.leave(to, clock::monotonic());
    phase_reply(control)
}

/// Cancels the drain.
pub(super) fn undrain(control: &mut Control) -> Reply {
    if control.undrain() {
        return phase_reply(control);
    }
    let not_draining = || "the process is not draining".to_owned();
    let error = control.course().check_open().err().unwrap_or_else(not_draining);
    refusal(StatusCode::CONFLICT, error)
}

fn phase_reply(control: &Control) -> Reply {
    let left = control.course().ends_in(clock::monotonic());
    let body = json!({
        "phase": control.course().phase().word(),
        "phase_ends_in_ms": left.map(|left| left.as_millis() as u64),
        "connections": control.shards().connections(),
    });
    json_reply(StatusCode::OK, &body)
}
