# Shortcuts; each of them is one command that also works without `just`.

# What there is
default:
    @just --list

# All that must hold: format, lints, documentation, tests
check:
    ./check

# The tests alone, or those whose name contains FILTER
test FILTER="":
    cargo test {{ FILTER }}

# The walls and sizes of the house, with figures
layers:
    cargo test --test layers -- --nocapture

# The whole thing on free ports with a built-in app
demo:
    cargo run --release -- demo

# Micro-benchmarks of the hot code
bench:
    cargo bench
