//! Warnings about names whose clients are asked for less than those of a wildcard with the same
//! routes: what asks a client for its certificate is the name, and not the pool.

use super::findings::{Finding, warning};
use ringway::config::{ClientCertificate, Config, ListenerIndex, Protocol};
use ringway::route::{HostPattern, RouteTable};

/// All of them.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let listeners = config.listeners.iter().enumerate();
    let secure = listeners.filter(|(_, listener)| listener.protocol == Protocol::Https);
    secure.flat_map(|(at, _)| of_listener(config, ListenerIndex(at))).collect()
}

fn of_listener(config: &Config, index: ListenerIndex) -> Vec<Finding> {
    let Ok(names) = config.server_names(index) else { return Vec::new() };
    let mode = |places: &Vec<usize>| config.clients_of(index, places).mode;
    let asks = |places: &Vec<usize>| strictness(mode(places));
    let (wildcards, exact): (Vec<_>, Vec<_>) =
        names.by_name.iter().partition(|(name, _)| name.starts_with("*."));
    let mut findings = Vec::new();
    for (wildcard, strict) in wildcards {
        let below = |name: &str| name.ends_with(&wildcard[1..]);
        let open = exact.iter().filter(|(name, places)| below(name) && asks(places) < asks(strict));
        for (name, places) in open {
            let Some(pool) = shared_pool(config, index, name, wildcard) else { continue };
            let message = format!(
                "`{name}` is `{}`, and reaches pool `{pool}` by the routes of `{wildcard}`, which \
                 is `{}`: a client is asked for what the name in its handshake asks for. Give \
                 `{name}` a route of its own, or what `{wildcard}` asks for",
                mode(places),
                mode(strict),
            );
            findings.push(warning("client_certificate", message));
        }
    }
    findings
}

/// How much is asked of clients.
fn strictness(mode: ClientCertificate) -> u8 {
    match mode {
        ClientCertificate::None => 0,
        ClientCertificate::Optional => 1,
        ClientCertificate::Required => 2,
    }
}

/// The pool of a route that both a name and a wildcard above it take.
fn shared_pool<'c>(
    config: &'c Config,
    index: ListenerIndex,
    name: &str,
    wildcard: &str,
) -> Option<&'c str> {
    let routes: Vec<_> = config.routes_of(index).collect();
    let listed = routes.iter().enumerate();
    let table = RouteTable::new(listed.map(|(at, route)| (&route.host, &*route.path, at)));
    // A label that no route is for.
    let other = format!("-{}", &wildcard[1..]);
    let is_shared = |at: &usize| {
        let route = routes[*at];
        let taken = [name, &other].map(|host| table.lookup(host.as_bytes(), route.path.as_bytes()));
        !matches!(route.host, HostPattern::Exact(_)) && taken == [Some(*at); 2]
    };
    let at = (0..routes.len()).find(is_shared)?;
    Some(&config.pool(routes[at].pool).name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::self_signed::make;

    /// The warnings, where clients of the exact name are asked for this, and these are the routes.
    fn found(exact: &str, routes: &str) -> Vec<String> {
        let made = make(&["a.w.test".to_owned(), "*.w.test".to_owned()], 90).expect("made");
        let asking = "client_certificate = \"required\"\nclient_ca = [\"ca.pem\"]\n";
        let text = format!(
            "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:443\"\nprotocol = \"https\"\n\
             [[certificate]]\nchain = \"a.pem\"\nnames = [\"a.w.test\"]\n{exact}\
             [[certificate]]\nchain = \"w.pem\"\nnames = [\"*.w.test\"]\n{asking}{routes}\
             [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n\
             [[pool.own.backend]]\naddress = \"10.0.0.2:80\"\n{}",
            route("other.test", "/", "own")
        );
        let load = |_: &std::path::Path| Ok((made.chain.clone() + &made.key).into_bytes());
        let config = Config::parse(&text, "test.toml", &load);
        let config = config.map_err(|error| error.to_string()).expect("it is well");
        findings(&config).iter().map(ToString::to_string).collect()
    }

    fn route(host: &str, path: &str, pool: &str) -> String {
        format!("[[route]]\nhost = \"{host}\"\npath = \"{path}\"\npool = \"{pool}\"\n")
    }

    #[test]
    fn a_name_that_asks_for_less_than_the_wildcard_whose_routes_it_takes_is_a_warning() {
        let below = route("*.w.test", "/", "app");
        let any = "[[route]]\npool = \"app\"\n";
        let own = route("a.w.test", "/", "own");
        let part = route("a.w.test", "/own", "own");
        let asking = "client_certificate = \"required\"\nclient_ca = [\"ca.pem\"]\n";
        let optional = asking.replace("required", "optional");
        for (exact, routes, expected) in [
            ("", below.clone(), 1),
            ("", any.to_owned(), 1),
            ("", below.clone() + &part, 1),
            (&*optional, below.clone(), 1),
            ("", below.clone() + &own, 0),
            (asking, below, 0),
        ] {
            let found = found(exact, &routes);
            assert_eq!(found.len(), expected, "{exact}{routes}: {found:?}");
            let is_named = |one: &String| one.contains("`a.w.test` is `") && one.contains("`app`");
            assert!(found.iter().all(is_named), "{found:?}");
        }
    }
}
