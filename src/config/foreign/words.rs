//! Words of other balancers in place of a key or a value, with their names in Ringway.

use crate::config::units::closest;

/// Words of the same meaning, separated by blanks, with their hint.
const WORDS: [(&str, &str); 52] = [
    (
        "ip_hash iphash source hash uri ring_hash maglev consistent_hash client_ip",
        "here that is `algorithm = \"hash\"` of a pool, with `hash_key`",
    ),
    (
        "sticky sticky_cookie cookie stick_table session_affinity",
        "a cookie that keeps a client at its backend is not supported yet; `algorithm = \"hash\"` \
         of a pool does so by the client's address or by a cookie of the application",
    ),
    (
        "leastconn least_conn least_request least_requests",
        "here that is `algorithm = \"least-connections\"` of a pool",
    ),
    (
        "roundrobin round_robin rr wrr weighted_round_robin static_rr",
        "here that is `algorithm = \"round-robin\"` of a pool",
    ),
    (
        "balance lb_policy lb_algorithm load_balancing loadbalancer load_balancer lb strategy",
        "here that is `algorithm` of a pool",
    ),
    (
        "upstream upstreams cluster clusters services backends backend servers server members \
         targets target endpoints nodes",
        "servers are `backend` tables of a pool: [[pool.NAME.backend]] with `address`",
    ),
    (
        "frontend frontends bind entrypoints vhost virtualhost virtual_hosts http_port",
        "here that is [[listener]] with `name` and `address`, and [[route]] with `host`",
    ),
    ("listen", "here that is `address` of a [[listener]]"),
    (
        "server_name hosts domain domains hostname host_regexp",
        "here that is `host` of a [[route]]: one name, or \"*.example.com\"",
    ),
    (
        "location locations path_prefix prefix path_beg path_regexp rule match uri_prefix",
        "here that is `path` of a [[route]], a prefix of whole segments",
    ),
    ("sni server_names", "here that is `host` of a [[route]] on a listener of `tls-passthrough`"),
    (
        "mode stream",
        "here that is `protocol` of a [[listener]]: \"http\", \"tcp\", \"tls-passthrough\" or \
         \"udp\"",
    ),
    ("udp", "here that is `protocol = \"udp\"` of a [[listener]]"),
    ("proxy_requests", "here that is `requests` of a [[listener]] of `udp`"),
    ("proxy_responses", "here that is `responses` of a [[listener]] of `udp`"),
    (
        "proxy_timeout udp_idle udp_timeout session_timeout",
        "here that is `flow_idle` of a [[listener]] of `udp`, and `tunnel` in [timeouts] for \
         connections",
    ),
    ("accept_proxy", "here that is `proxy_protocol = \"require\"` of a [[listener]]"),
    ("send_proxy send_proxy_v2", "here that is `proxy_protocol = \"v1\"` or \"v2\" of a pool"),
    ("routers router", "here that is [[route]] with `host`, `path` and `pool`"),
    (
        "proxy_pass use_backend default_backend reverse_proxy forward_to",
        "here that is `pool` of a [[route]]",
    ),
    ("backup priority failover fallback", "spare servers are not supported yet"),
    (
        "max_conns maxconn max_conn maxqueue maxconns worker_connections",
        "`max_connections` in [runtime] limits clients of the whole process, and that of a \
         [[listener]] its own; `max_connections_per_backend` is of a pool",
    ),
    (
        "max_fails fail_timeout observe on_error outlier_detection circuit_breaker \
         circuitbreaker passive_health",
        "here that is `consecutive_failures` and `base` in [pool.NAME.ejection]",
    ),
    (
        "check checks httpchk healthcheck healthchecks health_check health_checks health_uri \
         health_path inter probe",
        "here that is [pool.NAME.health] with `protocol`, `path`, `interval`",
    ),
    ("fastinter", "here that is `fast_interval` in [pool.NAME.health]"),
    ("downinter", "here that is `down_interval` in [pool.NAME.health]"),
    ("slowstart", "here that is `slow_start` of a pool"),
    (
        "keepalive keep_alive pool_max_conn max_idle_conns keepalive_connections",
        "here that is `idle_connections` of a pool",
    ),
    (
        "cert cert_file certs certificate certificates certfile crt key_file keyfile pem ssl \
         ssl_certificate ssl_certificate_key tls",
        "here that is [[certificate]] with `chain` and `key`, and `protocol = \"https\"` of a \
         [[listener]]",
    ),
    (
        "ssl_protocols ssl_min_ver min_version tls_version min_tls_version versions",
        "here that is `tls_min_version` of a [[listener]]",
    ),
    (
        "ssl_ciphers ssl_ciphersuites cipher_suites ciphersuites cipher",
        "here that is `ciphers` of a [[listener]]",
    ),
    (
        "ssl_session_ticket_key ssl_session_tickets tls_ticket_keys session_ticket_keys",
        "here that is `ticket_keys_file` of [tls]",
    ),
    ("acme letsencrypt", "to get certificates by itself is not supported yet"),
    (
        "h2 h2c http_2 codec_type alpn",
        "HTTP/2 is spoken by listeners of \"http\" and \"https\", unless one has `http2 = false`",
    ),
    (
        "http2_max_concurrent_streams max_streams",
        "here that is `max_concurrent_streams` of [http2]",
    ),
    ("http3 h3 quic", "HTTP/3 is not supported yet"),
    (
        "redirect redirects rewrite rewrites return strip_prefix replace_path",
        "redirects and rewriting of paths are not supported yet",
    ),
    (
        "add_header set_header proxy_set_header proxy_hide_header header headers header_up \
         header_down http_request http_response request_headers response_headers",
        "to set or remove headers is not supported yet; X-Forwarded-* are set by themselves",
    ),
    ("middlewares middleware filters plugins lua", "middlewares are not supported yet"),
    (
        "gzip compression compress brotli encode cache proxy_cache",
        "compression and caching are not supported yet",
    ),
    (
        "rate_limit ratelimit limit_req limit_conn rate",
        "limits of rates are not supported yet; `max_connections_per_client` in [runtime] \
         limits connections",
    ),
    (
        "auth auth_basic basic_auth basicauth forward_auth users userlist allow deny acl cors",
        "access rules are not supported yet",
    ),
    (
        "proxy_read_timeout proxy_send_timeout server_timeout read_timeout response_timeout \
         request_timeout client_timeout send_timeout timeout_server timeout_client",
        "here that is `between_bytes` in [timeouts]",
    ),
    (
        "proxy_connect_timeout connect_timeout dial_timeout timeout_connect",
        "here that is `connect` in [timeouts]",
    ),
    (
        "client_header_timeout read_header_timeout timeout_http_request",
        "here that is `request_head` in [timeouts]",
    ),
    ("keepalive_timeout idle_timeout timeout_http_keep_alive", "here that is `idle` in [timeouts]"),
    (
        "client_max_body_size max_body_size max_request_body request_body",
        "here that is `request_body_max` in [http]",
    ),
    (
        "workers worker_processes nbthread nbproc threads worker_threads concurrency",
        "here that is `shards` in [runtime]",
    ),
    (
        "error_page error_pages errorfile errorfiles handle_errors",
        "here that is [[error_answer]] with `status` and `body` or `file`",
    ),
    (
        "log logs logging access_logs accesslog log_format error_log",
        "requests are logged by [access_log]; what the process logs follows --log-level",
    ),
    ("resolver resolvers nameserver nameservers dns", "here that is `dns_servers` in [runtime]"),
    (
        "set_real_ip_from real_ip real_ip_header trusted_ips forwardedheaders \
         xff_num_trusted_hops",
        "here that is `trusted_proxies` in [http]",
    ),
];

/// The hint for a word of another balancer: its name in Ringway, or that it is not supported yet.
fn meant_by(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace(['-', ' '], "_");
    let is_meant = |words: &str| words.split(' ').any(|known| known == word);
    WORDS.iter().find(|(words, _)| is_meant(words)).map(|(_, said)| *said)
}

/// The hint for `word`, where only the `known` words are allowed: the closest of them, or its
/// meaning in another balancer.
pub(in crate::config) fn instead_of(word: &str, known: &[&str]) -> Option<String> {
    let close = closest(word, known.iter().copied());
    let said_of_close = |close: &str| format!("did you mean `{close}`?");
    match (close, meant_by(word)) {
        (Some(close), Some(_)) if begins_alike(word, close) => Some(said_of_close(close)),
        (_, Some(meaning)) => Some(meaning.to_owned()),
        (Some(close), None) => Some(said_of_close(close)),
        (None, None) => None,
    }
}

/// True if one word is the beginning of the other, as `leastconn` of `least-connections`.
fn begins_alike(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|word| word.to_ascii_lowercase().replace(['-', '_'], ""));
    one.starts_with(&other) || other.starts_with(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_known_however_they_are_joined() {
        for (word, part) in [
            ("ip_hash", "`algorithm = \"hash\"`"),
            ("ring-hash", "`hash_key`"),
            ("proxy_responses", "`responses`"),
            ("leastconn", "least-connections"),
            ("proxy_pass", "`pool`"),
            ("Stick-Table", "not supported yet"),
            ("backup", "spare servers"),
            ("cert_file", "[[certificate]]"),
            ("entryPoints", "[[listener]]"),
        ] {
            let said = meant_by(word).unwrap_or_else(|| panic!("{word}"));
            assert!(said.contains(part), "{word}: {said}");
        }
        assert_eq!(meant_by("zebra"), None);
    }

    #[test]
    fn a_word_that_is_nearly_one_of_the_known_goes_first() {
        let said = |word, known: &[&str]| instead_of(word, known).expect("something is said");
        assert_eq!(said("backends", &["backend"]), "did you mean `backend`?");
        assert_eq!(
            said("leastconn", &["p2c", "least-connections"]),
            "did you mean `least-connections`?"
        );
        assert!(said("backup", &["backlog"]).contains("spare servers"));
        assert_eq!(said("idel", &["idle"]), "did you mean `idle`?");
        assert_eq!(instead_of("zebra", &["idle"]), None);
    }

    #[test]
    fn no_word_stands_twice() {
        let mut all: Vec<&str> = WORDS.iter().flat_map(|(words, _)| words.split(' ')).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
