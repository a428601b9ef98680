#!/bin/sh
# Installs what the tests need, where it is missing: Tesseract for scans; Chromium, Node.js and the packages of
# tests/browser for the page.
set -eu
cd "$(dirname "$0")/../tests/browser"

need() {
    command -v "$1" >/dev/null && return
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "The tests need $1: install the package $2 and run the command again." >&2
        exit 1
    fi
    [ -n "${updated:-}" ] || apt-get update -qq
    updated=1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"
}

need chromium chromium
need node nodejs
# The tests of scans read with it.
need tesseract tesseract-ocr
need npm npm
# A folder that an interrupted install left is made anew.
[ -e node_modules/.package-lock.json ] || npm ci --no-audit --no-fund --ignore-scripts
