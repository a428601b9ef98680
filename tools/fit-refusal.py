#!/usr/bin/env python3
"""Fits when to say that the files do not hold an answer, when an answer is yes, and which attention heads of the model
point at the sentence that answers, and shows how well that would do.

  fit-refusal.py --embedder NAME [--generator NAME] [--from FILE] SET SIGNALS [SET SIGNALS …] [--held-out SET] [--write FILE]

SET is an evaluation set, SIGNALS what `premise eval SET --scoped --stage evidence --negatives --run SIGNALS` wrote for
it (with `--without-model` where no generator is named). Needs numpy.

With a generator, linear probes of its hidden state are fitted: does the prompt hold an answer, and is it yes? The first
of them decides alone; together with the other signals it did worse on new wordings. Of the heads the one that finds the
evidence best among what the model reads is taken, and what its attention is worth beside a sentence's own score: two
and more were no better. Without a generator, a logistic regression over the signals of the search decides. Figures come
from cross-validation in which no wording of a question, and then no document, is in both halves. Questions whose
evidence was taken out are learned from and not counted in figures.

Printed: AUC; precision, recall and F1 of refusing at the threshold that refuses at most 15 % of the answerable
questions, and at the one in use; risk and coverage: of the questions that are answered at each threshold, the share that
the files do not answer; how well yes is told from no; and how often the best sentence, and one of the best three, is
part of the evidence, and the best one on a page of it, by its own score and with the head. --from starts from the probes
in a file instead of from nothing and keeps its head, for an office with few questions of its own: what they have learned
from must then not be among the questions, or the figures flatter. --held-out leaves out the documents of a set, to measure on it afterwards.
--write puts what was fitted into the file (src/library/refusal.json), in place of that of the same models."""
import argparse
import json
import os
import random
import re

import numpy as np

SIGNALS = ['nearest', 'third', 'above_mean', 'words', 'words_anywhere', 'passage', 'yes_no']
FALSE_REFUSALS = .15
# Refused where it is likelier that there is no answer: the nearest quotes are shown all the same.
REFUSE_BELOW = .5
PARTLY_BELOW = .6
# An answer says yes or no from odds of two to one.
SURE_ABOVE = .7
RIDGE_OF_SIGNALS = 3.0
RIDGE_OF_STATES = 500.0
FOLDS = 5
HEADS = 1
WORTH = (.5, 1.0, 2.0, 4.0)


def lines(path):
    with open(path, encoding='utf8') as file:
        return [json.loads(line) for line in file if line.strip()]


def read(folder, path):
    queries = {query['id']: query for query in lines(f'{folder}/queries.jsonl')}
    rows = []
    for line in lines(path):
        query, signals, states = queries[line['id'].removesuffix('-negative')], line['signals'], line.get('states', {})
        yes = re.split(r'\W', (query.get('answers') or [''])[0].strip().lower())[0]
        rows.append({
            'signals': [float(signals.get(name) or 0) for name in SIGNALS],
            'holds': np.array(states.get('holds') or []),
            'yes': np.array(states.get('yes') or []),
            'y': bool(line['answerable']),
            'heads': line.get('heads', []),
            'excerpts': excerpts(line, query),
            'says_yes': {'yes': True, 'no': False}.get(yes),
            'counts': not line['id'].endswith('-negative'),
            'document': (query.get('scope') or [''])[0],
            'wording': re.split(r';|": ', query['question'])[-1].strip(),
        })
    return rows


def excerpts(line, query):
    """Score, shares of attention, whether it is evidence and whether it is on a page of it, for each excerpt; nothing for
    a question whose evidence is not told apart in them."""
    given = line.get('excerpts', [])
    gold = np.array([one['in_gold'] for one in given], bool)
    if not line['answerable'] or gold.all() or not gold.any():
        return None
    pages = {(one['file'], page) for one in query['evidence'] for page in one['pages']}
    return {
        'score': np.array([one['score'] for one in given]),
        'shares': np.array([one['shares'] for one in given]),
        'gold': gold,
        'on_page': np.array([(os.path.basename(one['file']), one['page']) in pages for one in given]),
    }


def found(rows, pointers):
    """How often the evidence is the first of the excerpts, among the first three, and on the first one's page."""
    heads, worth = pointers
    hits = []
    for one in rows:
        order = np.argsort(-(one['score'] + worth * one['shares'][:, heads].mean(axis=1)), kind='stable')
        hits.append((one['gold'][order[0]], one['gold'][order[:3]].any(), one['on_page'][order[0]]))
    return np.mean(hits, axis=0)


def point(rows):
    """The heads that rank the evidence best within its question, and what their attention is worth."""
    rows = [row['excerpts'] for row in rows if row['excerpts']]
    if not rows:
        return None
    within = np.mean([auc_of_columns(one['gold'], one['shares']) for one in rows], axis=0)
    heads = np.argsort(-within)[:HEADS]
    return heads, max(WORTH, key=lambda worth: found(rows, (heads, worth))[:2].sum())


def auc_of_columns(labels, columns):
    above, below = columns[labels][:, None], columns[~labels][None]
    return ((above > below) + .5 * (above == below)).mean(axis=(0, 1))


def fit(x, y, ridge, weight=None, start=None):
    """Intercept and weights by Newton's method on standardised columns, with a ridge on the weights or, with a model to
    start from, on how far they are from its own."""
    weight = np.ones(len(y)) if weight is None else weight
    start = start or (0.0, np.zeros(x.shape[1]))
    known = apply(start, x)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1
    z = (x - mean) / scale
    # In the space of the rows, which is the smaller one for hidden states.
    turn = np.linalg.svd(z, full_matrices=False)[2].T if z.shape[1] > z.shape[0] else np.eye(z.shape[1])
    z = np.hstack([np.ones((len(z), 1)), z @ turn])
    penalty = np.full(z.shape[1], ridge)
    penalty[0] = 1e-9
    weights = np.zeros(z.shape[1])
    loss = lambda weights: weight @ (np.logaddexp(0, known + z @ weights) - y * (known + z @ weights)) + penalty @ weights ** 2 / 2
    for _ in range(50):
        p = sigmoid(known + z @ weights)
        hessian = (z * (weight * p * (1 - p))[:, None]).T @ z + np.diag(penalty)
        step = np.linalg.solve(hessian, z.T @ (weight * (p - y)) + penalty * weights)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights -= step
    plain = turn @ weights[1:] / scale
    return start[0] + weights[0] - plain @ mean, start[1] + plain


def apply(model, x):
    return model[0] + x @ model[1]


def folds(rows, group):
    groups = sorted({row[group] for row in rows})
    random.Random(13).shuffle(groups)
    number = {name: at % FOLDS for at, name in enumerate(groups)}
    return np.array([number[row[group]] for row in rows])


def is_yes_no(row):
    return row['y'] and row['says_yes'] is not None and len(row['yes']) > 0


def train(rows, with_model, start):
    answerable = np.array([row['y'] for row in rows], float)
    if not with_model:
        return {'signals': fit(np.array([row['signals'] for row in rows]), answerable, RIDGE_OF_SIGNALS)}
    verdicts = [row for row in rows if is_yes_no(row)]
    nothing = (0.0, np.zeros(len(rows[0]['holds'])))
    yes = np.array([row['says_yes'] for row in verdicts], float)
    # Both count alike, however many more there are of one.
    even = np.where(yes == 1, .5 / max(yes.mean(), 1e-9), .5 / max(1 - yes.mean(), 1e-9))
    return {
        'holds': fit(np.array([row['holds'] for row in rows]), answerable, RIDGE_OF_STATES, start=start.get('holds')),
        'yes': fit(np.array([row['yes'] for row in verdicts]), yes, RIDGE_OF_STATES, even, start.get('yes')) if verdicts
        else start.get('yes', nothing),
        'pointers': start.get('pointers') or point(rows),
    }


def given(model, row):
    """The probability of an answer; for a yes/no question, the log-odds of yes; and the heads that point."""
    if 'signals' in model:
        return sigmoid(apply(model['signals'], np.array(row['signals']))), None, None
    yes = apply(model['yes'], row['yes']) if len(row['yes']) else None
    return sigmoid(apply(model['holds'], row['holds'])), yes, model['pointers']


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def held_out(rows, group, with_model, start):
    fold = folds(rows, group)
    out = [None] * len(rows)
    for number in range(FOLDS):
        model = train([row for row, own in zip(rows, fold) if own != number], with_model, start)
        for at in np.flatnonzero(fold == number):
            out[at] = given(model, rows[at])
    return out


def auc(labels, values):
    pairs = [(a > b) + .5 * (a == b) for a, x in zip(values, labels) if x for b, z in zip(values, labels) if not z]
    return sum(pairs) / max(1, len(pairs))


def threshold(rows, values):
    """The highest one that refuses at most FALSE_REFUSALS of the answerable questions."""
    answerable = sorted(p for p, row in zip(values, rows) if row['y'])
    return answerable[int(FALSE_REFUSALS * len(answerable))]


def show(name, rows, out):
    counted = [(row, p, yes) for row, (p, yes, _) in zip(rows, out) if row['counts']]
    pointed = [(row['excerpts'], pointers) for row, (*_, pointers) in zip(rows, out) if row['excerpts'] and pointers]
    rows, values = [row for row, *_ in counted], [p for _, p, _ in counted]
    print(f'{name}: AUC {auc([row["y"] for row in rows], values):.3f}')
    unanswerable = sum(not row['y'] for row in rows)
    for limit in (threshold(rows, values), REFUSE_BELOW):
        refused = [row for p, row in zip(values, rows) if p < limit]
        right = sum(not row['y'] for row in refused)
        precision, recall = right / max(1, len(refused)), right / max(1, unanswerable)
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        wrong = (len(refused) - right) / max(1, len(rows) - unanswerable)
        print(f'    refusing below {limit:.3f}: precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}, '
              f'{wrong:.0%} of the answerable refused')
    best = sorted(zip(values, rows), key=lambda pair: -pair[0])
    cells = []
    for coverage in (.2, .4, .6, .8, 1.0):
        answered = [row for _, row in best[:max(1, round(coverage * len(best)))]]
        cells.append(f'{coverage:.0%} {sum(not row["y"] for row in answered) / len(answered):.2f}')
    print('    coverage and risk:', ', '.join(cells))
    verdicts = [(row['says_yes'], yes) for row, _, yes in counted if yes is not None and is_yes_no(row)]
    if verdicts:
        share = [sum((yes >= 0) == label for is_yes, yes in verdicts if is_yes == label) / max(1, sum(is_yes == label for is_yes, _ in verdicts))
                 for label in (True, False)]
        print(f'    yes from no, AUC {auc([is_yes for is_yes, _ in verdicts], [yes for _, yes in verdicts]):.3f}; '
              f'right where it is yes {share[0]:.2f}, where it is no {share[1]:.2f}')
        sure = [(yes >= 0) == is_yes for is_yes, yes in verdicts if abs(yes) >= SURE_ABOVE]
        print(f'    sure enough to say so {len(sure)} of {len(verdicts)}, right {np.mean(sure or [0]):.2f}')
    if pointed:
        own = found([one for one, _ in pointed], (np.array([0]), 0.0))
        both = np.mean([found([one], pointers) for one, pointers in pointed], axis=0)
        told = lambda hits: ' / '.join(f'{hit:.2f}' for hit in hits)
        print(f'    evidence @1 / @3 / page @1 ({len(pointed)} questions): own score {told(own)}, with the heads {told(both)}')


def known_probes(path, embedder, generator, all_heads):
    with open(path, encoding='utf8') as file:
        same = [one for one in json.load(file) if (one['embedder'], one.get('generator')) == (embedder, generator)]
    if not same:
        raise SystemExit(f'{path} has nothing for {embedder} and {generator}: leave out --from')
    known = {name: (same[0][name]['intercept'], np.array(same[0][name]['weights'])) for name in ('holds', 'yes')}
    pointers = same[0].get('pointers')
    if pointers:
        at = [all_heads.index([head['layer'], head['head']]) for head in pointers['heads']]
        known['pointers'] = (np.array(at), pointers['weight'])
    return known


def rounded(model):
    # Four digits of each; further ones change no log-odds by as much as .001.
    return {'intercept': round(float(model[0]), 4), 'weights': [float(f'{w:.4g}') for w in model[1]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--embedder', required=True)
    parser.add_argument('--generator')
    parser.add_argument('--held-out')
    parser.add_argument('--from', dest='start')
    parser.add_argument('--write')
    parser.add_argument('pairs', nargs='+')
    args = parser.parse_args()
    rows, sets = [], []
    left_out = set(os.listdir(f'{args.held_out}/docs')) if args.held_out else set()
    for folder, path in zip(args.pairs[::2], args.pairs[1::2]):
        mine = [row for row in read(folder, path) if row['document'] not in left_out]
        counted = [row for row in mine if row['counts']]
        print(f'{folder}: {len(counted)} questions, {sum(row["y"] for row in counted)} answerable, '
              f'{len(mine) - len(counted)} with their evidence taken out')
        sets.append((folder, len(rows), len(rows) + len(mine)))
        rows += mine
    with_model = args.generator is not None
    if args.start and not with_model:
        parser.error('--from starts from probes of a model: name it with --generator')
    start = known_probes(args.start, args.embedder, args.generator, rows[0]['heads']) if args.start else {}
    for group in ('wording', 'document'):
        if len({row[group] for row in rows}) < FOLDS:
            print(f'too few {group}s to leave some out: no figures of that kind')
            continue
        out = held_out(rows, group, with_model, start)
        for folder, first, end in sets:
            show(f'  {os.path.basename(folder.rstrip("/"))}, no {group} in both halves', rows[first:end], out[first:end])
        show(f'together, no {group} in both halves', rows, out)
    model = train(rows, with_model, start)
    fitted = {'embedder': args.embedder, 'generator': args.generator, 'intercept': 0, 'weights': {'state_holds': 1}}
    if not with_model:
        intercept, weights = model['signals']
        fitted |= {'intercept': round(float(intercept), 4), 'weights': {name: round(float(w), 4) for name, w in zip(SIGNALS, weights)}}
    fitted |= {'refuse_below': REFUSE_BELOW, 'partly_below': PARTLY_BELOW, 'sure_above': SURE_ABOVE}
    print(json.dumps(fitted))
    if with_model:
        fitted |= {'holds': rounded(model['holds']), 'yes': rounded(model['yes'])}
        if model['pointers']:
            heads, worth = model['pointers']
            names = [dict(zip(('layer', 'head'), rows[0]['heads'][at])) for at in sorted(heads)]
            fitted |= {'pointers': {'heads': names, 'weight': worth}}
            print(f'heads: {names}, weight {worth}')
    if args.write:
        known = []
        if os.path.exists(args.write):
            with open(args.write, encoding='utf8') as file:
                known = json.load(file)
        same = (fitted['embedder'], fitted['generator'])
        known = [one for one in known if (one['embedder'], one.get('generator')) != same] + [fitted]
        with open(args.write, 'w', encoding='utf8') as file:
            file.write('[\n' + ',\n'.join(json.dumps(one) for one in known) + '\n]\n')


main()
