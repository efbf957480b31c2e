//! The configuration that the main job needs no file for: some listeners, one pool.

use super::model::{
    Backend, Config, Listener, ListenerIndex, Pool, PoolIndex, Protocol, Route, Steering,
};
use super::values::check_total_weight;
use crate::balance::Algorithm;
use crate::route::HostPattern;
use std::net::SocketAddr;

impl Config {
    /// Everything that arrives at `listen` goes to one pool, `default`, of `backends`. The
    /// listeners are called `listener-1` and so on; all else is at its default. The error is a
    /// sentence for the user.
    pub fn quick(
        listen: &[SocketAddr],
        backends: &[Backend],
        algorithm: Algorithm,
    ) -> Result<Self, String> {
        let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
        check_unique("listener", listen)?;
        check_unique("backend", &addresses)?;
        check_total_weight(backends)?;
        let listener = |(index, address): (usize, &SocketAddr)| Listener {
            name: format!("listener-{}", index + 1),
            address: *address,
            protocol: Protocol::default(),
            steering: Steering::default(),
        };
        let route = |index| Route {
            listener: Some(ListenerIndex(index)),
            host: HostPattern::Any,
            path: "/".to_owned(),
            pool: PoolIndex(0),
        };
        let pool = Pool { algorithm, ..Pool::new("default", backends.to_vec()) };
        Ok(Self {
            listeners: listen.iter().enumerate().map(listener).collect(),
            routes: (0..listen.len()).map(route).collect(),
            pools: vec![pool],
            ..Self::default()
        })
    }
}

fn check_unique(what: &str, addresses: &[SocketAddr]) -> Result<(), String> {
    if addresses.is_empty() {
        return Err(format!("there is no {what}: give at least one"));
    }
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{what} {} is there twice", pair[0])),
        None => Ok(()),
    }
}
