"""How well and how fast pictures of pages are read: recall of words on scans made from known text.

    scans.py FOLDER [--ours PAGES] [--peers tesseract,pp-ocr] [--pages N] [--languages eng] [--keep DIR]

Pages of the PDFs in FOLDER are drawn at 200 dpi by pdfium, spoilt in four ways, and put back into
PDFs as pictures. The text layer of each page is what must be found again.

    clean   grey, as a good scanner gives it (JPEG, quality 75)
    skewed  turned by 1 to 3 degrees
    noisy   blurred, speckled, on grey paper with a shadow along one side
    fax     204 x 196 dots an inch, black and white, slightly askew, with dirt

The peers get the same files, drawn by pdfium at 200 dpi: Tesseract as it is, and PP-OCR through RapidOCR.
"""

import argparse
import collections
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import pypdfium2
from PIL import Image, ImageFilter

from reading import words

DPI = 200
MIN_WORDS = 80


def clean(picture, _):
    return picture.convert("L")


def skewed(picture, chance):
    degrees = chance.choice([-1, 1]) * chance.uniform(1.0, 3.0)
    return picture.convert("L").rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)


def noisy(picture, chance):
    picture = picture.convert("L").filter(ImageFilter.GaussianBlur(0.9))
    grey = numpy.asarray(picture, dtype=numpy.float32)
    noise = numpy.random.default_rng(chance.randrange(1 << 30))
    paper = numpy.linspace(0.95, 0.62, grey.shape[1])[None, :]
    grey = grey * paper + noise.normal(0, 18, grey.shape)
    specks = noise.random(grey.shape)
    grey[specks < 0.001] = 0
    grey[specks > 0.999] = 255
    return Image.fromarray(grey.clip(0, 255).astype(numpy.uint8))


def fax(picture, chance):
    width, height = picture.size
    picture = picture.convert("L").rotate(chance.uniform(-0.7, 0.7), Image.Resampling.BICUBIC, fillcolor=255)
    picture = picture.resize((width * 204 // DPI, height * 196 // DPI), Image.Resampling.BILINEAR)
    grey = numpy.asarray(picture, dtype=numpy.float32)
    noise = numpy.random.default_rng(chance.randrange(1 << 30))
    grey = grey + noise.normal(0, 35, grey.shape)
    black = grey < 150
    black |= noise.random(grey.shape) < 0.0015
    for _ in range(3):  # lines that the paper feed leaves
        row = chance.randrange(grey.shape[0])
        black[row, :] |= noise.random(grey.shape[1]) < 0.5
    return Image.fromarray(~black)


KINDS = [clean, skewed, noisy, fax]


def originals(folder, count):
    """Pages spread over the files, the second of each first: their text and picture."""
    files = sorted(folder.rglob("*.pdf"))
    files = files[:: max(1, len(files) // count)]
    taken = []
    for turn in range(1, count + 1):
        for path in files:
            with pypdfium2.PdfDocument(path) as document:
                if turn > 1 and turn >= len(document):
                    continue
                page = document[min(turn, len(document) - 1)]
                text = words(page.get_textpage().get_text_range())
                if len(text) >= MIN_WORDS:
                    taken.append((text, page.render(scale=DPI / 72).to_pil().convert("RGB")))
            if len(taken) == count:
                return taken
    return taken


# ---------------------------------------------------------------- peers: pictures to their texts

def drawn(path):
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            yield page.render(scale=DPI / 72, grayscale=True).to_pil()


def read_tesseract(pictures, languages):
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", dpi=(DPI, DPI))
        done = subprocess.run(["tesseract", "-", "-", "-l", languages], input=buffer.getvalue(), capture_output=True,
                              check=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"})
        yield done.stdout.decode()


def read_pp_ocr(pictures, _):
    import logging

    from rapidocr import RapidOCR

    logging.disable(logging.WARNING)
    engine = RapidOCR()
    for picture in pictures:
        yield "\n".join(engine(numpy.asarray(picture.convert("RGB"))).txts or ())


PEERS = {"tesseract": read_tesseract, "pp-ocr": read_pp_ocr}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ours", default="target/release/examples/pages")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--pages", type=int, default=25)
    parser.add_argument("--languages", default="eng")
    parser.add_argument("--keep", type=Path, help="leave the scans here")
    options = parser.parse_args()
    pages = originals(options.folder, options.pages)
    print(f"{len(pages)} pages at {DPI} dpi\n\n{'':8} {'reader':9} {'recall':>7} {'least':>7} {'precis.':>7}"
          f" {'CPU s a page':>12} {'s a page':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            chance = random.Random(5)
            pictures = [kind(picture, chance) for _, picture in pages]
            scan = folder / f"{kind.__name__}.pdf"
            save(pictures, scan, (204, 196) if kind is fax else (DPI, DPI))
            readers = {"ours": lambda: ours(options.ours, options.languages, scan)}
            for peer in filter(None, options.peers.split(",")):
                readers[peer] = lambda read=PEERS[peer]: list(read(drawn(scan), options.languages))
            for name, read in readers.items():
                start, before = time.monotonic(), os.times()
                texts = read()
                wall, after = time.monotonic() - start, os.times()
                cpu = sum(after[:4]) - sum(before[:4])
                scores = [score(words(text), expected) for text, (expected, _) in zip(texts, pages)]
                recall = sum(found for found, _ in scores) / len(scores)
                least = min(found for found, _ in scores)
                precision = sum(right for _, right in scores) / len(scores)
                print(f"{kind.__name__:8} {name:9} {recall:7.3f} {least:7.3f} {precision:7.3f} {cpu / len(pages):12.2f}"
                      f" {wall / len(pages):9.2f}", flush=True)


def ours(program, languages, scan):
    done = subprocess.run([program, "--ocr", languages, scan], capture_output=True, check=True)
    record = json.loads(done.stdout)
    if "error" in record:
        sys.exit(f"{scan}: {record['error']}")
    return record["pages"]


def score(found, expected):
    both = (collections.Counter(found) & collections.Counter(expected)).total()
    return both / max(1, len(expected)), both / max(1, len(found))


def save(pictures, path, dpi):
    """A PDF of pictures: the black and white ones by fax compression, the others as JPEG."""
    if pictures[0].mode == "1":
        return pictures[0].save(path, save_all=True, append_images=pictures[1:], dpi=dpi)
    jpegs = []
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=75)
        jpegs.append(Image.open(buffer))
    return jpegs[0].save(path, save_all=True, append_images=jpegs[1:], resolution=dpi[0], quality=75)


if __name__ == "__main__":
    main()
