use super::*;
use ringway::balance::Algorithm;
use ringway::config::{Backend, Protocol, ShardsChoice, Steering};
use std::fs;

fn good() -> Facts {
    Facts {
        kernel: Some("6.18.5-amd64".to_owned()),
        uring_error: None,
        uring_disabled: Some(0),
        locked_memory: Some((u64::MAX, u64::MAX)),
        open_files: Some((1024, 1_048_576)),
        somaxconn: Some(4096),
        socket_buffers: Some((4 << 20, 4 << 20)),
        local_ports: Some((1024, 65_535)),
        migrate_requests: Some(1),
        huge_pages: Some("madvise".to_owned()),
        cores: vec![0, 1],
        cards: vec![("eth0".to_owned(), 2), ("eth1".to_owned(), 4)],
        processor: Some(["aes", "pclmulqdq"].map(str::to_owned).to_vec()),
        log_error: None,
    }
}

fn config() -> Config {
    let address = |text: &str| text.parse().unwrap();
    let backend = |n: u8| Backend { address: address(&format!("10.0.0.{n}:80")), weight: 1 };
    let backends = [backend(1), backend(2)];
    Config::quick(&[address("0.0.0.0:80")], &backends, Algorithm::P2c).unwrap()
}

#[test]
fn a_good_machine_has_nothing_but_ok() {
    let findings = findings::all(&good(), &config());
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:?}");
}

#[test]
fn each_fault_is_found_with_its_remedy() {
    type Change = fn(&mut Facts, &mut Config);
    let cases: &[(&str, Level, &str, Change)] = &[
        ("kernel", Level::Fail, "6.1", |f, _| f.kernel = Some("5.15.0".into())),
        ("kernel", Level::Warn, "6.1", |f, _| f.kernel = Some("strange".into())),
        ("io_uring", Level::Fail, "why", |f, _| f.uring_error = Some("why".into())),
        ("io_uring_disabled", Level::Warn, "=0", |f, _| f.uring_disabled = Some(1)),
        ("io_uring_disabled", Level::Fail, "=0", |f, _| f.uring_disabled = Some(2)),
        ("locked memory", Level::Warn, "infinity", |f, _| f.locked_memory = Some((65_536, 65_536))),
        ("open files", Level::Warn, "LimitNOFILE=201280", |f, _| f.open_files = Some((10, 5000))),
        ("open files", Level::Warn, "max_connections = 1860", |f, _| {
            f.open_files = Some((10, 5000));
        }),
        ("open files", Level::Fail, "LimitNOFILE", |f, _| f.open_files = Some((10, 100))),
        ("cores", Level::Warn, "shards = 2", |_, c| c.runtime.shards = ShardsChoice::Count(3)),
        ("cores", Level::Fail, "remove that core", |_, c| {
            c.runtime.shards = ShardsChoice::Cores(vec![1, 2]);
        }),
        ("receive queues", Level::Warn, "ethtool -L eth0 combined 2", |f, _| f.cards[0].1 = 1),
        ("receive queues", Level::Warn, "eth1 combined 2", |_, c| {
            c.listeners[0].steering = Steering::Cpu;
        }),
        ("processor", Level::Warn, "`ciphers`", |f, _| f.processor = Some(Vec::new())),
        ("processor", Level::Warn, "`ciphers`", |f, _| f.processor = Some(vec!["aes".into()])),
        ("somaxconn", Level::Warn, "somaxconn=4096", |f, _| f.somaxconn = Some(128)),
        ("ip_local_port_range", Level::Warn, "10240 65535", |f, _| {
            f.local_ports = Some((32_768, 60_999));
        }),
        ("ip_local_port_range", Level::Warn, "more backends, or", |f, c| {
            f.local_ports = Some((10_240, 65_535));
            c.runtime.max_connections = 200_000;
        }),
        ("transparent_hugepage", Level::Warn, "madvise", |f, _| {
            f.huge_pages = Some("never".into());
        }),
        ("tcp_migrate_req", Level::Warn, "=1", |f, _| f.migrate_requests = Some(0)),
        ("somaxconn", Level::Warn, "/proc", |f, _| f.somaxconn = None),
        ("access log", Level::Fail, "make its folder", |f, _| f.log_error = Some("why".into())),
    ];
    for (name, level, part, change) in cases {
        let (mut facts, mut config) = (good(), config());
        change(&mut facts, &mut config);
        assert_found(&facts, &config, name, *level, part);
    }
}

#[test]
fn faults_that_only_a_listener_of_udp_has_are_found_where_there_is_one() {
    type Change = fn(&mut Facts);
    let mut udp = config();
    udp.listeners[0].protocol = Protocol::Udp;
    let cases: &[(&str, Level, &str, Change)] = &[
        ("socket buffers", Level::Warn, "rmem_max=33554432", |f| {
            f.socket_buffers = Some((212_992, 4 << 20));
        }),
        ("socket buffers", Level::Warn, "wmem_max=33554432", |f| {
            f.socket_buffers = Some((4 << 20, 212_992));
        }),
        ("socket buffers", Level::Warn, "ask its host", |f| {
            f.socket_buffers = None;
        }),
        ("open files", Level::Warn, "a lower max_flows", |f| {
            f.open_files = Some((10, 50_000));
        }),
        ("ip_local_port_range", Level::Warn, "less max_flows", |f| {
            f.local_ports = Some((32_768, 60_999));
        }),
    ];
    for (name, level, part, change) in cases {
        let mut facts = good();
        change(&mut facts);
        assert_found(&facts, &udp, name, *level, part);
    }
    let small = Facts { socket_buffers: Some((212_992, 212_992)), ..good() };
    let findings = findings::all(&small, &config());
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:?}");
}

/// One finding has this level and remedy, and all others are well.
fn assert_found(facts: &Facts, config: &Config, name: &str, level: Level, part: &str) {
    for finding in findings::all(facts, config) {
        if finding.name == name {
            assert_eq!(finding.level, level, "{finding:?}");
            let remedy = finding.remedy.as_ref().unwrap();
            assert!(remedy.contains(part), "{finding:?}");
            assert_as_tuned(remedy);
        } else {
            assert_eq!(finding.level, Level::Ok, "{finding:?}");
        }
    }
}

/// What doctor says to set is what tuning/90-ringway.conf sets.
fn assert_as_tuned(remedy: &str) {
    const TUNED: &str = include_str!("../../../tuning/90-ringway.conf");
    let Some((_, setting)) = remedy.split_once("sysctl -w ") else { return };
    let (key, value) = setting.split(';').next().unwrap().split_once('=').unwrap();
    let lines = TUNED.lines().filter_map(|line| line.trim_start_matches('-').split_once(" = "));
    let tuned: Vec<&str> = lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect();
    assert_eq!(tuned, [value.trim_matches('"')], "{key}");
}

#[test]
fn facts_are_read_from_the_files_of_the_kernel() {
    let root = std::env::temp_dir().join(format!("ringway-doctor-{}", std::process::id()));
    for (path, text) in [
        ("proc/sys/kernel/osrelease", "6.18.5\n"),
        ("proc/sys/kernel/io_uring_disabled", "1\n"),
        ("proc/sys/net/core/somaxconn", "4096\n"),
        ("proc/sys/net/core/rmem_max", "212992\n"),
        ("proc/sys/net/core/wmem_max", "4194304\n"),
        ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        (
            "proc/self/limits",
            "Limit  Soft  Hard  Units\nMax open files            1024 \
            524288               files     \nMax locked memory         unlimited 8388608 bytes\n",
        ),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
        ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1,4\n"),
        ("sys/class/net/lo/queues/rx-0/rps_cpus", "0\n"),
        ("sys/class/net/bridge/mtu", "1500\n"),
        ("sys/class/net/eth1/device/vendor", "0x8086\n"),
        ("sys/class/net/eth1/queues/rx-0/rps_cpus", "0\n"),
        ("sys/class/net/eth1/queues/rx-1/rps_cpus", "0\n"),
        ("sys/class/net/eth1/queues/tx-0/xps_cpus", "0\n"),
        ("sys/class/net/eth0/device/vendor", "0x8086\n"),
        ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n"),
        ("sys/class/net/wifi/device/vendor", "0x8086\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let facts = Facts::gather(&root, Err("no".into()));
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(facts.kernel.as_deref(), Some("6.18.5"));
    assert_eq!(facts.uring_error.as_deref(), Some("no"));
    assert_eq!((facts.uring_disabled, facts.somaxconn), (Some(1), Some(4096)));
    assert_eq!(facts.socket_buffers, Some((212_992, 4_194_304)));
    assert_eq!(facts.local_ports, Some((32_768, 60_999)));
    assert_eq!(facts.open_files, Some((1024, 524_288)));
    assert_eq!(facts.locked_memory, Some((u64::MAX, 8_388_608)));
    assert_eq!(facts.cores, [0, 1, 4]);
    assert_eq!(facts.migrate_requests, None);
    assert_eq!(facts.huge_pages.as_deref(), Some("never"));
    assert_eq!(facts.cards, [("eth0".to_owned(), 1), ("eth1".to_owned(), 2)]);
}
