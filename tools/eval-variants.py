#!/usr/bin/env python3
"""Writes sets with other wordings of an evaluation set's questions, to see that a method does not fit one wording.

  eval-variants.py SET OUT_DIR

SET holds questions such as "Consider the Lease between A and B; What is …?" or 'In the document "a.pdf": Does …?'.
Each variant is a folder of OUT_DIR that `premise eval` takes; its docs/ is a link to those of SET.
  middle       "What is … in the lease that A made with B?"
  one_party    "A lease: what is …?"
  lower        "under the a b lease, what is …", lower case, no punctuation
  stem         the file's name without extension and with blanks for separators
  no_name      the question alone
  follow_up    the question alone, after a question that names the document: "conversation" holds that one
  ellipsis     "And in the lease between A and B?", after the same question about another document
  identifier   made from the documents: "What does Section 5.2(b) of the lease between A and B say?" for section
               numbers, sums and dates that stand on one page of the document alone
Seeded: the same files on every run."""
import collections
import json
import os
import random
import re
import sys

LONG = re.compile(r'^Consider the (?P<kind>.+?) between (?P<a>.+?) and (?P<b>.+?); (?P<ask>.+)$')
FILE = re.compile(r'^In the document "(?P<file>.+?)": (?P<ask>.+)$')
IDENTIFIER = re.compile(
    r'\b(?:Section|Article|Clause|Exhibit|Schedule) \d+(?:\.\d+)+(?:\([a-z0-9]+\))*|\$ ?\d[\d,]{3,}(?:\.\d\d)?'
    r'|\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}, \d{4}\b')


def lines(path):
    with open(path, encoding='utf8') as file:
        return [json.loads(line) for line in file if line.strip()]


def parts(query):
    """What a question names and what it asks: (kind, a, b, file, ask)."""
    if match := LONG.match(query['question']):
        return match['kind'], match['a'], match['b'], query['scope'][0], match['ask']
    if match := FILE.match(query['question']):
        return None, None, None, match['file'], match['ask']
    return None


def decapitalised(text):
    return text[:1].lower() + text[1:]


def reworded(query):
    """Every variant of a question that stands alone, by name."""
    kind, a, b, file, ask = parts(query)
    bare = ask.replace(' in this contract', '').rstrip('?')
    stem = re.sub(r'[^A-Za-z0-9]+', ' ', os.path.splitext(file)[0]).strip()
    made = {'stem': f'{stem}: {ask}', 'no_name': ask}
    if kind:
        made['middle'] = f'{bare} in the {decapitalised(kind)} that {a} made with {b}?'
        made['one_party'] = f'{a} {decapitalised(kind)}: {decapitalised(ask)}'
        made['lower'] = re.sub(r'[^\w\s]', ' ', f'under the {a} {b} {kind} {ask}').lower()
    return made


def follow_ups(queries, rng):
    by_file = collections.defaultdict(list)
    for query in queries:
        by_file[parts(query)[3]].append(query)
    follow, ellipsis = [], []
    for query in queries:
        kind, a, b, file, ask = parts(query)
        others = [other for other in by_file[file] if other['id'] != query['id']]
        if others:
            before = {'question': rng.choice(others)['question']}
            follow.append({**query, 'question': ask, 'conversation': [before]})
        elsewhere = [other for other in queries if parts(other)[4] == ask and parts(other)[3] != file]
        if elsewhere:
            before = {'question': rng.choice(elsewhere)['question']}
            name = f'the {kind} between {a} and {b}' if kind else f'the document "{file}"'
            ellipsis.append({**query, 'question': f'And in {name}?', 'conversation': [before]})
    return follow, ellipsis


def identifiers(folder, queries, rng):
    pages = collections.defaultdict(dict)
    for page in lines(f'{folder}/pages.jsonl'):
        pages[page['file']][page['page']] = page['text']
    made = []
    for file, names in {parts(query)[3]: parts(query)[:3] for query in queries}.items():
        where = collections.defaultdict(set)
        for number, text in pages[file].items():
            for found in IDENTIFIER.findall(' '.join(text.split())):
                where[found].add(number)
        alone = sorted(found for found, on in where.items() if len(on) == 1)
        kind, a, b = names
        name = f'the {kind} between {a} and {b}' if kind else f'the document "{file}"'
        for found in rng.sample(alone, min(4, len(alone))):
            ask = f'What does {name} say about {found}?'
            made.append({
                'id': f'identifier-{len(made)}', 'question': ask, 'answerable': True, 'answer_type': 'identifier',
                'answers': [], 'scope': [file], 'evidence': [{'file': file, 'pages': sorted(where[found])}],
            })
    return made


def main():
    folder, out = os.path.abspath(sys.argv[1]), sys.argv[2]
    rng = random.Random(7)
    queries = [query for query in lines(f'{folder}/queries.jsonl') if parts(query)]
    variants = collections.defaultdict(list)
    for query in queries:
        for name, question in reworded(query).items():
            variants[name].append({**query, 'question': question})
    variants['follow_up'], variants['ellipsis'] = follow_ups(queries, rng)
    variants['identifier'] = identifiers(folder, queries, rng)
    for name, made in variants.items():
        path = f'{out}/{os.path.basename(folder)}.{name}'
        os.makedirs(path, exist_ok=True)
        if not os.path.lexists(f'{path}/docs'):
            os.symlink(f'{folder}/docs', f'{path}/docs')
        with open(f'{path}/queries.jsonl', 'w', encoding='utf8') as file:
            file.writelines(json.dumps(query) + '\n' for query in made)
        print(f'{path}: {len(made)} questions')


if __name__ == '__main__':
    main()
