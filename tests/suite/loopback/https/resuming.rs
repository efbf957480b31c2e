//! Resumption: on another shard, after a reload, on another machine.

use super::*;
use std::collections::BTreeSet;

const SHARDS: usize = 3;

fn text(backend: &Origin, keys: &str) -> String {
    format!("{keys}\n[runtime]\nshards = {SHARDS}\n{}", secure(backend, "", &[("shop", "")]))
}

fn start(authority: &Authority, shop: &Issued, text: &str, more: &[(&str, &str)]) -> Operated {
    let files =
        [("shop.pem", &*shop.chain), ("shop-key.pem", &shop.key), ("root.pem", &authority.pem)];
    super::start(&[&files, more].concat(), text)
}

/// A client that keeps the sessions that it is offered.
fn keeping(authority: &Authority, version: &'static SupportedProtocolVersion) -> Caller {
    let mut caller = Caller::with(authority, &[version]);
    caller.config.resumption = Resumption::in_memory_sessions(64);
    caller
}

/// Whether each of several connections was resumed, and the shards that have served them.
fn resumed(secure: &Operated, caller: &Caller, count: usize) -> Vec<bool> {
    let one = |_| caller.get(secure.ringway.address, "shop.test").expect("it is served").is_resumed;
    (0..count).map(one).collect()
}

/// The shards that have served requests.
fn shards_with_requests(secure: &Operated) -> BTreeSet<usize> {
    let status = secure.json(&["status"]);
    let shards = status["shards"].as_array().expect("a list").iter().enumerate();
    shards.filter(|(_, one)| one["requests"].as_u64() > Some(0)).map(|(at, _)| at).collect()
}

#[test]
fn sessions_are_resumed_on_any_shard_and_after_a_reload() {
    let authority = Authority::new();
    let shop = authority.issue(&["shop.test"]);
    let backend = Origin::saying("hello");
    let secure = start(&authority, &shop, &text(&backend, ""), &[]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let caller = keeping(&authority, version);
        let mut all = Vec::new();
        // Each comes with another port: they land on every shard.
        while shards_with_requests(&secure).len() < SHARDS || all.len() < 8 {
            all.extend(resumed(&secure, &caller, 1));
            assert!(all.len() < 200, "they do not land on every shard");
        }
        assert!(!all[0] && all[1..].iter().all(|one| *one), "{all:?}");
        secure.done(&["reload"]);
        assert_eq!(resumed(&secure, &caller, 2), [true; 2], "the keys go on over a reload");
    }
    let strict = keeping(&authority, &rustls::version::TLS13);
    assert_eq!(resumed(&secure, &strict, 2), [false, true]);
    let text = text(&backend, "").replace("\"https\"\n", "\"https\"\ntls_min_version = \"1.3\"\n");
    secure.rewrite(&text);
    secure.done(&["reload"]);
    assert_eq!(resumed(&secure, &strict, 2), [false, true], "another policy is another scope");
}

#[test]
fn machines_with_the_same_keys_resume_each_other_s_sessions() {
    let authority = Authority::new();
    let shop = authority.issue(&["shop.test"]);
    let backend = Origin::saying("hello");
    let [old, new] = ["0a", "0b"].map(|byte| byte.repeat(32));
    let keys = "[tls]\nticket_keys_file = \"tickets.txt\"";
    let text = text(&backend, keys);
    let [here, there] = [(); 2].map(|()| start(&authority, &shop, &text, &[("tickets.txt", &old)]));
    let caller = keeping(&authority, &rustls::version::TLS13);
    assert_eq!(resumed(&here, &caller, 1), [false]);
    assert_eq!(resumed(&there, &caller, 1), [true]);
    std::fs::write(beside(&here, "tickets.txt"), format!("{new}\n{old}\n")).expect("written");
    here.done(&["reload"]);
    assert_eq!(resumed(&here, &caller, 1), [true], "the old key still opens");
    assert_eq!(resumed(&there, &caller, 1), [false], "the new one is not there yet");
    let apart = start(&authority, &shop, &self::text(&backend, ""), &[]);
    assert_eq!(resumed(&apart, &caller, 1), [false], "it has keys of its own");
    std::fs::write(beside(&here, "tickets.txt"), "no key").expect("written");
    let (_, refused) = here.verb(&["reload"]);
    assert!(refused.contains("`tickets.txt` has no key on line 1"), "{refused}");
}
