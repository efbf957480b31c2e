//! The backends of keys: another table or another hash would move the keys of every client at the
//! next upgrade, and differ between balancers of two versions.

use ringway::balance::{HashKey, Owner, Table};
use ringway::base::BackendSlot;
use std::fmt::Write;

const HEADER: &str = "\
# The digest of a table by seed, places and the weights of the backends 10.0.0.1:8080 and so on, and
# the backends (by the last number of the address) of the client addresses 192.0.2.0 to 192.0.2.19,
# and of the paths /0 to /19.
";

fn row(seed: u64, size: u32, weights: &[u32]) -> String {
    let owner = |(at, weight): (usize, &u32)| Owner {
        name: format!("10.0.0.{}:8080", at + 1),
        slot: BackendSlot(at as u32),
        weight: *weight,
    };
    let table = Table::new(seed, size, weights.iter().enumerate().map(owner).collect());
    let of = |key: &HashKey, text: String| {
        let key = key.of_text(seed, &text).expect("a key");
        let at = table.from(key.get()).next().expect("there are backends");
        (table.owners()[at].slot.0 + 1).to_string()
    };
    let clients = (0..20).map(|last| of(&HashKey::CLIENT, format!("192.0.2.{last}")));
    let paths = (0..20).map(|last| of(&HashKey::Path, format!("/{last}")));
    let [clients, paths] = [clients.collect::<Vec<_>>(), paths.collect()].map(|all| all.join(" "));
    let digest = table.digest();
    format!("seed {seed}, {size} places, {weights:?}: {digest:016x}\n  {clients}\n  {paths}")
}

#[test]
fn keys_belong_to_the_backends_that_are_committed() {
    let mut table = HEADER.to_owned();
    for seed in [0, 1, u64::MAX] {
        for size in [251, 65_537] {
            for weights in [&[1, 1, 1][..], &[1, 5, 20], &[1; 12]] {
                writeln!(table, "{}", row(seed, size, weights)).expect("to memory");
            }
        }
    }
    super::compare("hash.txt", &table);
}
