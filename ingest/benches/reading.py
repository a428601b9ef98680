"""How well and how fast PDFs are read, next to other readers, over any folder of PDFs.

    reading.py FOLDER [--ours PAGES] [--peers pdfium,pdf_oxide,pymupdf,pdftotext] [--worst N] [--json FILE]

There is no ground truth for a stranger's PDF, so the agreement of two independent readers, PyMuPDF
and pdftotext, stands in for it, page by page: a word that both have must be found (recall), and a
word that neither has is wrong (precision). A page on which the two have less than half of their
words in common says nothing and is left out, and so is one on which they pass on codes as they are. Order is how much of the words shared with a
reference stand in the same order (longest common subsequence), for the better of the two.
Words are compared after NFKC, without hyphens and without marks; each CJK sign is a word.

Every reader runs in processes of its own; CPU time and peak memory are those of the processes.
"""

import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

PEERS = ["pdfium", "pdf_oxide", "pymupdf", "pdftotext"]
FILE_TIMEOUT_S = 60
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+|[$€£¥%§]")
# A hyphen at a line's end is a joint whether or not a reader has closed it.
JOINT = re.compile(r"(?<=\w)[-\u00ad\u2010\u2011]\s*\n\s*(?=\w)")
DROPPED = re.compile(r"[-\u00ad\u2010-\u2012\u200b-\u200f\u2060\ufeff'’‘`´]")
MARKS = re.compile(r"[\u0300-\u036f]")


def words(text):
    text = DROPPED.sub("", JOINT.sub("", text))
    return WORD.findall(MARKS.sub("", unicodedata.normalize("NFKD", text)))


# ---------------------------------------------------------------- readers: a file to its pages

def pages_pdfium(path):
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        document.init_forms()
        for page in document:
            yield page.get_textpage().get_text_range()


def pages_pdf_oxide(path):
    import pdf_oxide

    document = pdf_oxide.PdfDocument(str(path))
    for page in range(document.page_count()):
        yield document.extract_text(page)


def pages_pymupdf(path):
    import pymupdf

    with pymupdf.open(path) as document:
        if document.needs_pass:
            raise ValueError("locked")
        for page in document:
            yield page.get_text()


def pages_pdftotext(path):
    # The program's own limit on time guards us; a page ends in a form feed.
    done = subprocess.run(["pdftotext", "-q", str(path), "-"], capture_output=True, timeout=FILE_TIMEOUT_S - 5, check=False)
    if done.returncode:
        raise ValueError(f"pdftotext exited with {done.returncode}")
    yield from done.stdout.decode("utf-8", "replace").split("\f")[:-1]


def child(reader, list_file, out_file):
    """Runs in a process of its own: one JSON line a file."""
    read = globals()[f"pages_{reader}"]
    with open(out_file, "a", encoding="utf-8", errors="surrogatepass") as out:
        for path in Path(list_file).read_text().splitlines():
            record = {"file": path}
            try:
                record["pages"] = list(read(path))
            except Exception as error:  # whatever a stranger's file does to a reader is its result
                record["error"] = f"{type(error).__name__}: {error}"[:200]
            out.write(json.dumps(record) + "\n")
            out.flush()


def run_reader(reader, files, ours):
    """Pages by file, and what it cost. A process that dies loses one file and is started again."""
    results, cpu_s, peak_kb = {}, 0.0, 0
    remaining = list(files)
    with tempfile.TemporaryDirectory() as folder:
        listing, out = Path(folder, "files"), Path(folder, "out")
        while remaining:
            listing.write_text("\n".join(map(str, remaining)))
            out.write_text("")
            command = [ours, "--list", listing] if reader == "ours" else \
                [sys.executable, __file__, "--child", reader, listing, out]
            with open(out, "a") as stdout:
                process = subprocess.Popen(
                    command, stdout=stdout if reader == "ours" else subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True)
                usage = wait(process, out)
            cpu_s += usage.ru_utime + usage.ru_stime
            peak_kb = max(peak_kb, usage.ru_maxrss)
            done = [json.loads(line) for line in out.read_text(errors="replace").splitlines() if line.endswith("}")]
            for record in done:
                results[record["file"]] = record
            remaining = remaining[len(done):]
            if remaining:
                results[str(remaining[0])] = {"file": str(remaining[0]), "error": "the process died or hung"}
                remaining = remaining[1:]
    return results, cpu_s, peak_kb


def wait(process, out):
    """Waits for a process, and ends it when it has shown no file for too long."""
    size, since = -1, time.monotonic()
    while True:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = 0
            return usage
        if out.stat().st_size != size:
            size, since = out.stat().st_size, time.monotonic()
        if time.monotonic() - since > FILE_TIMEOUT_S:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.05)


# ---------------------------------------------------------------- scores

def has_raw_codes(text):
    """Whether a reader has passed codes on that nobody can read: control characters among the text."""
    controls = sum(unicodedata.category(character) in ("Cc", "Co", "Cn") and not character.isspace() for character in text)
    return controls > 0.02 * len(text)


class Truth:
    """What two references say of one file: their words page by page."""

    def __init__(self, first, second):
        self.pages = []
        for first_text, second_text in zip(first, second):
            a, b = words(first_text), words(second_text)
            count_a, count_b = collections.Counter(a), collections.Counter(b)
            both, either = count_a & count_b, count_a | count_b
            agree = 2 * both.total() / max(1, len(a) + len(b))
            usable = both.total() > 0 and agree >= 0.5 and not any(map(has_raw_codes, (first_text, second_text)))
            self.pages.append((a, b, both, either) if usable else None)

    @property
    def usable(self):
        return sum(page is not None for page in self.pages)

    def score(self, pages):
        """Word F1 and order similarity of a reader's pages."""
        found = expected = kept = shown = ordered = shared = 0
        for at, truth in enumerate(self.pages):
            if truth is None:
                continue
            a, b, both, either = truth
            own = words(pages[at]) if at < len(pages) else []
            count = collections.Counter(own)
            found += (count & both).total()
            expected += both.total()
            kept += (count & either).total()
            shown += len(own)
            best = max((in_order(own, reference) for reference in (a, b)), key=lambda pair: pair[0] / max(1, pair[1]))
            ordered += best[0]
            shared += best[1]
        recall = found / max(1, expected)
        precision = kept / shown if shown else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"f1": f1, "recall": recall, "precision": precision, "order": ordered / shared if shared else 0.0}


def in_order(own, reference):
    """How many of the shared words stand in the same order, and how many are shared."""
    from rapidfuzz.distance import LCSseq

    count_own, count_reference = collections.Counter(own), collections.Counter(reference)
    own = [word for word in own if word in count_reference]
    reference = [word for word in reference if word in count_own]
    total = (count_own & count_reference).total()
    return (LCSseq.similarity(own, reference) if total else 0), total


def page_texts(record):
    return [page if isinstance(page, str) else page["text"] for page in record.get("pages", [])]


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ours", default="target/release/examples/pages")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--worst", type=int, default=15, help="how many of our worst files to list")
    parser.add_argument("--json", type=Path, help="every file's scores, as JSON lines")
    parser.add_argument("--cache", type=Path, help="keep the peers' output here and take it from there the next time")
    options = parser.parse_args()
    files = sorted(path.resolve() for path in options.folder.rglob("*") if path.suffix.lower() == ".pdf")
    readers = ["ours"] + [peer for peer in PEERS if peer in {*options.peers.split(","), "pymupdf", "pdftotext"}]
    runs = {reader: cached_run(reader, files, options) for reader in readers}

    truths = {}
    for path in map(str, files):
        first, second = (runs[name][0].get(path, {}) for name in ("pymupdf", "pdftotext"))
        if "pages" in first and "pages" in second and len(first["pages"]) == len(second["pages"]):
            truth = Truth(page_texts(first), page_texts(second))
            if truth.usable:
                truths[path] = truth
    pages = sum(truth.usable for truth in truths.values())
    print(f"{len(files)} files; the references agree on {len(truths)} of them, {pages} pages\n")

    scores = {}
    print(f"{'':10} {'word F1':>8} {'recall':>7} {'precis.':>7} {'order':>6} {'< .9':>5} {'failed':>6}"
          f" {'pages/CPU s':>11} {'peak MB':>8}")
    for reader in readers:
        results, cpu_s, peak_kb = runs[reader]
        scores[reader] = {path: truth.score(page_texts(results.get(path, {}))) for path, truth in truths.items()}
        mean = {key: sum(score[key] for score in scores[reader].values()) / max(1, len(truths))
                for key in ("f1", "recall", "precision", "order")}
        low = sum(score["f1"] < 0.9 for score in scores[reader].values())
        failed = sum("error" in record for record in results.values())
        read = sum(len(record.get("pages", [])) for record in results.values())
        note = "  (a reference)" if reader in ("pymupdf", "pdftotext") else ""
        print(f"{reader:10} {mean['f1']:8.4f} {mean['recall']:7.4f} {mean['precision']:7.4f} {mean['order']:6.3f}"
              f" {low:5} {failed:6} {read / max(cpu_s, 1e-9):11.0f} {peak_kb / 1024:8.0f}{note}")
    worst = sorted(scores["ours"].items(), key=lambda item: item[1]["f1"])[: options.worst]
    print("\nour worst files: word F1, recall, precision, order; word F1 of pdfium")
    for path, score in worst:
        other = scores.get("pdfium", {}).get(path, {}).get("f1", float("nan"))
        error = runs["ours"][0].get(path, {}).get("error", "")
        print(f"{score['f1']:.3f} {score['recall']:.3f} {score['precision']:.3f} {score['order']:.3f}  {other:.3f}"
              f"  {Path(path).name}  {error}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            for path in truths:
                out.write(json.dumps({"file": path, **{reader: scores[reader][path] for reader in readers}}) + "\n")


def cached_run(reader, files, options):
    stored = options.cache / f"{options.folder.resolve().name}-{reader}.json" if options.cache else None
    if stored and reader != "ours" and stored.exists():
        return json.loads(stored.read_text())
    run = run_reader(reader, files, options.ours)
    if stored:
        options.cache.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(run))
    return run


if __name__ == "__main__":
    main()
