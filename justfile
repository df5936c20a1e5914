# What one does here all day. `just` alone lists it.

_default:
    @just --list

# one call through the gateway, simulators on both sides
demo *ARGS:
    cargo run --release -- demo {{ ARGS }}

# all tests; SIPp plays its scenarios if it is installed
test *ARGS:
    cargo test {{ ARGS }}

# the SIPp scenarios alone, or one of them: just sipp a_busy_target
sipp NAME="":
    cargo test --test sipp -- {{ NAME }}

# what CI wants of the sources
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# licences, advisories, banned packages
deny:
    cargo deny check

# everything that CI does
ci:
    .ci/run

# the image
image:
    docker build -f docker/Dockerfile -t trunkline .
