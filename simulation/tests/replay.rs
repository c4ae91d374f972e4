//! A seed decides everything: two runs of one seed are equal, to the last event.

use simulation::run::{Order, run};

fn order(seed: u64) -> Order {
    Order { seed, hours: 0.03, plant: None, aloud: false }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [2, 3, 5, 8, 13, 21] {
        let (one, two) = (run(order(seed)), run(order(seed)));
        assert!(one.events > 50 && one.accepted > 0, "seed {seed}: something happens: {one:?}");
        assert_eq!((one.hash, one.events, one.letters), (two.hash, two.events, two.letters), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(run(order(2)).hash, run(order(3)).hash);
}
