# Short names for what is typed most. Everything here is a cargo command; `just` is not needed to build or test.

# What there is.
default:
    @just --list

# The demo: a sample organization with fake providers.
demo:
    cargo run --release -- demo

# The whole judgement on the tree.
check:
    cargo xtask check

# The quick part of it: formatting and the rules of the tree.
tidy:
    cargo fmt --all --check
    cargo xtask tidy

# Benchmarks; without rows, all of them.
bench *ROWS:
    cargo xtask bench {{ROWS}}

# The engine through seeded faults; `just simulate --seed 7 --aloud` tells one run.
simulate *ARGUMENTS:
    cargo xtask simulate {{ARGUMENTS}}

# Accepts the words that the samples of the sources are told in now; read the difference afterwards.
samples:
    UPDATE_SAMPLES=1 cargo test -p sources
    git diff --stat -- crates/sources

# The fuzz targets; such as `just fuzz --seconds 600 ask`.
fuzz *ARGUMENTS:
    cargo xtask fuzz {{ARGUMENTS}}

# The manual, with mdBook.
manual:
    mdbook serve docs
