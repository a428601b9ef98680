#!/bin/sh
# qdrant-edge 0.9 uses debug_assert_matches, stable from Rust 1.96: switch that one feature on, for that one crate.
# On 1.96 and later this changes nothing; remove it when the minimum Rust version is 1.96.
# Sanitizers (`make sanitize`) are not stable either.
case " $* " in
*" --crate-name qdrant_edge "*) RUSTC_BOOTSTRAP=1 exec "$@" '-Zcrate-attr=feature(assert_matches)' ;;
*" -Zsanitizer="*) RUSTC_BOOTSTRAP=1 exec "$@" ;;
esac
exec "$@"
