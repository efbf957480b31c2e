//! Which keys move, and which backends get how much.

use super::*;

const SIZE: u32 = 65_537;

fn name(backend: usize) -> String {
    format!("10.0.{}.{}:8080", backend / 250, backend % 250)
}

fn owner(backend: usize, weight: u32) -> Owner {
    Owner { name: name(backend), slot: BackendSlot(backend as u32), weight }
}

fn table(owners: Vec<Owner>) -> Arc<Table> {
    Arc::new(Table::new(7, SIZE, owners))
}

fn candidate(owner: &Owner) -> Candidate {
    Candidate { slot: owner.slot, weight: owner.weight }
}

fn key(number: u32) -> KeyHash {
    HashKey::Path.of_bytes(7, &number.to_be_bytes())
}

/// Exchanges in flight of each backend.
struct Counts(Vec<u32>);

impl Load for Counts {
    fn in_flight(&mut self, slot: BackendSlot) -> u32 {
        self.0[slot.index()]
    }
}

/// The backends of so many keys, each on its own.
fn owners_of(picker: &mut Picker, keys: u32, usable: impl Fn(usize) -> bool) -> Vec<usize> {
    let (mut idle, mut prng) = (Counts(vec![0; 2_100]), Prng::new(1));
    let usable = |slot: BackendSlot| usable(slot.index());
    let mut pick = |number| picker.pick_by_key(key(number), &mut idle, usable, &mut prng);
    (0..keys).map(|number| pick(number).expect("one is usable").index()).collect()
}

fn picker_of(owners: &[Owner]) -> Picker {
    let candidates: Vec<Candidate> = owners.iter().map(candidate).collect();
    Picker::by_key(table(owners.to_vec()), 125, &candidates)
}

#[test]
fn the_removal_of_a_backend_moves_hardly_more_than_its_own_keys() {
    for count in [3, 10, 50, 100, 1_000] {
        let all: Vec<Owner> = (0..count).map(|backend| owner(backend, 1)).collect();
        for gone in [0, count / 2, count - 1] {
            let mut rest = all.clone();
            rest.remove(gone);
            let [before, after] = [&all, &rest].map(|owners| {
                let table = table(owners.clone());
                let name = |number: u32| {
                    let at = table.from(key(number).get()).next().expect("there are backends");
                    table.owners()[at].name.clone()
                };
                (0..20_000).map(name).collect::<Vec<_>>()
            });
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            let moved = moved.count() as f64 / 20_000.0;
            let most = 1.0 / count as f64 + 0.01;
            assert!(moved <= most, "{count} backends without {gone}: {moved:.4}, not {most:.4}");
        }
    }
}

#[test]
fn balancers_agree_whatever_the_order_and_a_backend_that_is_down_moves_only_its_own_keys() {
    let owners: Vec<Owner> =
        (0..12).map(|backend| owner(backend, 1 + backend as u32 % 3)).collect();
    let reversed: Vec<Owner> = owners.iter().rev().cloned().collect();
    let (one, other) = (table(owners.clone()), table(reversed.clone()));
    assert_eq!(one.digest(), other.digest());
    let ones = owners_of(&mut picker_of(&owners), 10_000, |_| true);
    assert_eq!(ones, owners_of(&mut picker_of(&reversed), 10_000, |_| true));
    for down in [0, 5, 11] {
        // It is not among the candidates, or its connections are refused: the same.
        let mut without: Vec<Candidate> = reversed.iter().map(candidate).collect();
        without.retain(|candidate| candidate.slot.index() != down);
        let mut picker = Picker::by_key(other.clone(), 125, &without);
        let others = owners_of(&mut picker, 10_000, |_| true);
        assert_eq!(others, owners_of(&mut picker_of(&owners), 10_000, |index| index != down));
        for (one, other) in ones.iter().zip(&others) {
            assert!(*other != down && (one == other || *one == down), "{one}, {other}: {down}");
        }
    }
}

#[test]
fn places_follow_the_weights() {
    let weights = [1, 5, 20, 100];
    let owners = weights.iter().enumerate().map(|(backend, weight)| owner(backend, *weight));
    let table = table(owners.collect());
    let mut places = [0u32; 4];
    table.from(0).for_each(|at| places[at] += 1);
    for (places, weight) in places.into_iter().zip(weights) {
        let ratio = f64::from(places) * 126.0 / (f64::from(SIZE) * f64::from(weight));
        assert!((0.99..1.01).contains(&ratio), "weight {weight}: {places} places");
    }
}

#[test]
fn in_slow_start_a_backend_gets_a_growing_part_of_its_keys_and_no_other_key_moves() {
    let owners: Vec<Owner> = (0..4).map(|backend| owner(backend, 3)).collect();
    let full = owners_of(&mut picker_of(&owners), 4_000, |_| true);
    let mut before = vec![false; full.len()];
    for percent in [1, 10, 50, 99, 100] {
        // As the coordinator scales weights while one is in slow start.
        let weight = |owner: &Owner| if owner.slot.0 == 2 { 3 * percent } else { 300 };
        let candidates: Vec<Candidate> = owners
            .iter()
            .map(|owner| Candidate { slot: owner.slot, weight: weight(owner) })
            .collect();
        let mut picker = Picker::by_key(table(owners.clone()), 0, &candidates);
        let now = owners_of(&mut picker, 4_000, |_| true);
        let own = full.iter().zip(&now).map(|(full, now)| {
            assert!(full == now || *full == 2, "a key of {full} went to {now}");
            *now == 2
        });
        let own: Vec<bool> = own.collect();
        assert!(before.iter().zip(&own).all(|(before, now)| !before || *now), "none goes back");
        let of_full = full.iter().filter(|backend| **backend == 2).count() as f64;
        let part = own.iter().filter(|own| **own).count() as f64 / of_full;
        assert!((part - f64::from(percent) / 100.0).abs() < 0.04, "{percent} %: {part:.3}");
        before = own;
    }
}

/// Keys with a chance by their rank (Zipf, exponent 1.1).
fn zipf(keys: u32) -> impl FnMut(&mut Prng) -> u32 {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += f64::from(rank).powf(-1.1);
            sum
        })
        .collect();
    move |prng| {
        let at = random_part(prng) * sum;
        sums.partition_point(|known| *known <= at) as u32
    }
}

#[test]
fn no_backend_has_more_than_the_bound_whatever_keys_are_asked_for() {
    for (backends, in_flight) in [(3, 100), (10, 50), (10, 1_000), (20, 4_000)] {
        let owners: Vec<Owner> = (0..backends).map(|backend| owner(backend, 1)).collect();
        let mut picker = picker_of(&owners);
        let (mut prng, mut draw) = (Prng::new(5), zipf(2_000));
        let mut counts = Counts(vec![0; backends]);
        let mut flying = Vec::new();
        for _ in 0..40_000 {
            let key = key(draw(&mut prng));
            let slot = picker.pick_by_key(key, &mut counts, |_| true, &mut prng).expect("any");
            counts.0[slot.index()] += 1;
            flying.push(slot);
            let most = 1.25 * flying.len() as f64 / backends as f64 + 1.0;
            let has = f64::from(counts.0[slot.index()]);
            assert!(has <= most, "{backends} backends, {} in flight: {has}", flying.len());
            if flying.len() > in_flight {
                let gone = flying.swap_remove(prng.below(flying.len() as u32) as usize);
                counts.0[gone.index()] -= 1;
            }
        }
    }
}

#[test]
fn a_hot_key_spills_over_and_hardly_any_other_key_moves() {
    let owners: Vec<Owner> = (0..10).map(|backend| owner(backend, 1)).collect();
    let mut picker = picker_of(&owners);
    let homes = owners_of(&mut picker_of(&owners), 5_000, |_| true);
    let mut prng = Prng::new(5);
    let mut counts = Counts(vec![0; 10]);
    let mut flying = std::collections::VecDeque::new();
    let (mut hot_backends, mut moved, mut cold) = ([0; 10], 0, 0);
    for turn in 0..40_000 {
        // A third of all requests are for one key.
        let number = if prng.one_in(3) { 0 } else { 1 + prng.below(4_999) };
        let slot = picker.pick_by_key(key(number), &mut counts, |_| true, &mut prng);
        let backend = slot.expect("all are usable").index();
        counts.0[backend] += 1;
        flying.push_back(backend);
        if flying.len() > 1_000 {
            counts.0[flying.pop_front().expect("many")] -= 1;
        }
        if turn < 5_000 {
            continue;
        }
        if number == 0 {
            hot_backends[backend] += 1;
        } else {
            cold += 1;
            moved += u32::from(homes[number as usize] != backend);
        }
    }
    assert!(hot_backends.iter().filter(|picked| **picked > 0).count() >= 3, "{hot_backends:?}");
    assert!(hot_backends[homes[0]] > 0, "some of it stays: {hot_backends:?}");
    assert!(f64::from(moved) < 0.01 * f64::from(cold), "{moved} of {cold} moved");
}

#[test]
fn a_request_without_a_key_goes_to_the_less_loaded_and_an_empty_pool_has_none() {
    let owners: Vec<Owner> = (0..2).map(|backend| owner(backend, 1)).collect();
    let (mut picker, mut prng) = (picker_of(&owners), Prng::new(1));
    let mut counts = Counts(vec![9, 0]);
    let picked = picker.pick(&mut counts, |_| true, &mut prng);
    assert_eq!(picked, Some(BackendSlot(1)));
    assert_eq!(picker.pick_by_key(key(1), &mut counts, |_| false, &mut prng), None);
    assert_eq!(picker_of(&[]).pick_by_key(key(1), &mut counts, |_| true, &mut prng), None);
}

#[test]
fn keys_are_read_and_printed_and_networks_share_one() {
    for text in ["client", "client/24/56", "client-port", "sni", "host", "query:id", "cookie:a"] {
        assert_eq!(HashKey::parse(text).expect(text).to_string(), text);
    }
    for text in ["", "clients", "client/33", "client/24/129", "header:", "body:x", "client/"] {
        let error = HashKey::parse(text).expect_err(text);
        assert!(error.contains("it can be client, client/24"), "{error}");
    }
    let same = |key: &str, one: &str, other: &str| {
        let rule = HashKey::parse(key).expect(key);
        let [one, other] = [one, other].map(|client| client.parse().expect(client));
        rule.of_address(1, one) == rule.of_address(1, other)
    };
    for (key, one, other, are_same) in [
        ("client", "192.0.2.1:1", "192.0.2.1:2", true),
        ("client", "192.0.2.1:1", "[::ffff:192.0.2.1]:2", true),
        ("client", "192.0.2.1:1", "192.0.2.2:1", false),
        ("client/24", "192.0.2.1:1", "192.0.2.200:1", true),
        ("client/24", "192.0.2.1:1", "192.0.3.1:1", false),
        ("client/24", "[2001:db8::1]:1", "[2001:db8::ff:1]:1", true),
        ("client/24/56", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", true),
        ("client/24/64", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
        ("client/0", "192.0.2.1:1", "203.0.113.9:1", true),
        ("client-port", "192.0.2.1:1", "192.0.2.1:2", false),
    ] {
        assert_eq!(same(key, one, other), are_same, "{key}: {one}, {other}");
    }
    assert!(HashKey::CLIENT.of_text(0, "nobody").is_err());
    let ip = "192.0.2.1:80".parse().expect("an address");
    assert_eq!(HashKey::CLIENT.of_text(0, "192.0.2.1").ok(), HashKey::CLIENT.of_address(0, ip));
}

#[test]
fn primes_are_known() {
    let primes: Vec<u32> = (0..30).filter(|number| is_prime(*number)).collect();
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    assert!(is_prime(65_537) && is_prime(5_000_011) && !is_prime(65_535));
}
