#!/bin/sh
# Runs a reading benchmark: `run.sh reading|scans|manuals FOLDER …`. Builds our reader, and puts the
# peers into a Python environment of their own beside the build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
what=${1:?usage: run.sh reading|scans|manuals FOLDER}
folder=$(mkdir -p "${2:?which folder?}" && cd "$2" && pwd)
shift 2

if [ "$what" = manuals ]; then
    # Manuals in many languages and from many programs, as Debian ships them.
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    for package in auctex debian-policy debian-refcard debian-reference-de debian-reference-en debian-reference-ja \
        developers-reference ghostscript-doc gnuplot-doc gretl-doc installation-guide-amd64 lyx-common maint-guide-ja \
        nut-doc octave-doc pari-doc pcb-common python-reportlab-doc r-doc-pdf texlive-fonts-recommended-doc \
        texlive-lang-other tipa-doc xfig-doc zsh-doc; do
        apt-get download -q "$package" >/dev/null
        dpkg -x "$package"_*.deb "$package"
        find "$package" -type f \( -iname '*.pdf' -o -iname '*.pdf.gz' \) | while read -r file; do
            name="$folder/$package--$(basename "$file" .gz)"
            case "$file" in *.gz) gunzip -c "$file" >"$name" ;; *) cp "$file" "$name" ;; esac
        done
        rm -rf "$package" "$package"_*.deb
    done
    ls "$folder" | wc -l
    exit
fi

for program in pdftotext tesseract; do
    command -v "$program" >/dev/null || { echo "$program is missing: install poppler-utils and tesseract-ocr" >&2; exit 1; }
done
cd "$root"
cargo build --release --locked -q -p premise-ingest --example pages
target=$(cargo metadata --format-version 1 --no-deps --locked |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')
venv="$target/reading-peers"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install -q pymupdf==2.0 pypdfium2 pdf_oxide==0.3.78 rapidfuzz numpy pillow rapidocr==3.10.0 onnxruntime
exec "$venv/bin/python" "$here/$what.py" "$folder" --ours "$target/release/examples/pages" "$@"
