#!/bin/sh
# Installs what the tests need, where it is missing: Tesseract for scans; Chromium, Node.js and the packages of
# tests/browser for the page.
set -eu
cd "$(dirname "$0")/../tests/browser"

# need WHAT PACKAGE CHECK…: installs the package unless the check goes well.
need() {
    what=$1 package=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "The tests need $what: install the package $package and run the command again." >&2
        exit 1
    fi
    [ -n "${updated:-}" ] || apt-get update -qq
    updated=1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
}
reads_english() { tesseract --list-langs 2>&1 | grep -qx eng; }

need chromium chromium command -v chromium
need Node.js nodejs command -v node
need Tesseract tesseract-ocr command -v tesseract
need "Tesseract's data of English" tesseract-ocr-eng reads_english
need npm npm command -v npm
# A folder that an interrupted install left is made anew.
[ -e node_modules/.package-lock.json ] || npm ci --no-audit --no-fund --ignore-scripts
