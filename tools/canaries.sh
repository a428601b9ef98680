#!/bin/sh
# How often a model does what a document orders (docs/trust.md): tools/canaries.sh [MODEL], a name of the catalogue.
# PREMISE_MODELS_DIR names the models folder; PREMISE_CANARIES_OUT a file for the answers.
set -eu
cd "$(dirname "$0")/.."
: "${PREMISE_MODELS_DIR:=${XDG_DATA_HOME:-$HOME/.local/share}/premise/models}"
export PREMISE_MODELS_DIR PREMISE_CANARIES_MODEL="${1:-qwen2.5-coder-1.5b}"
exec cargo test --release --locked --test it -- --ignored --nocapture canaries::how_often_a_model_obeys
