//! Every target over its seeds, as they are and changed at random. What the fuzzer found stands in `found.rs`, by name.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::path::Path;
use strangers::{TARGETS, Target};

/// Changed seeds for each target.
const CASES: u32 = 200;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("every target has seeds").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a seed can be read")).collect()
}

/// What is done to a seed: at a place, this many bytes go and these come.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        Just(b"\0".to_vec()),
        Just("\u{e9}\u{301}\u{1f514}".into()),
        Just(vec![b'9'; 25])
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, bytes), 0..6)
}

fn changed(seed: &[u8], edits: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for (at, gone, come) in edits {
        let at = at.index(bytes.len() + 1);
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, come.iter().copied());
    }
    bytes
}

fn run((name, body): &Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seed");
    body(b"");
    seeds.iter().for_each(|seed| body(seed));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let end = runner.run(&(any::<prop::sample::Index>(), edits()), |(seed, edits)| {
        body(&changed(&seeds[seed.index(seeds.len())], &edits));
        Ok(())
    });
    end.unwrap_or_else(|found| panic!("{name}: {found}"));
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} has no program");
        let program = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("strangers::{name}(")), "{name}'s program runs something else");
    }
}

#[test]
fn parsers_stand_whatever_strangers_write() {
    TARGETS.iter().filter(|(name, _)| !matches!(*name, "ask" | "import")).for_each(run);
}

#[test]
fn the_api_answers_whatever_strangers_ask() {
    TARGETS.iter().filter(|(name, _)| *name == "ask").for_each(run);
}

#[test]
fn an_import_is_refused_in_order_whatever_is_in_it() {
    TARGETS.iter().filter(|(name, _)| *name == "import").for_each(run);
}
