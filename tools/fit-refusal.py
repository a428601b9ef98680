#!/usr/bin/env python3
"""Fits which sentence answers a question, when to say that the files do not hold an answer, and when an answer is yes,
and shows how well that would do.

  fit-refusal.py --embedder NAME [--generator NAME] [--from FILE [--keep PROBE,…]] SET SIGNALS [SET SIGNALS …]
                 [--held-out SET] [--write FILE]

SET is an evaluation set, SIGNALS what `premise eval SET --scoped --stage evidence --run SIGNALS` wrote for it (with
`--without-model` where no generator is named). Needs numpy.

With a generator, three linear probes of its hidden state are fitted: `sentence`, does this sentence answer the question
(those that are part of a set's evidence do); `holds`, do all together; `yes`, is the answer yes? A logistic regression
over the log-odds of `holds` and of the surest sentence, from probes that have not learned from the question, then decides
whether it can be answered. Questions without states for `holds` are learned from for `sentence` alone. Without a
generator, a regression over the signals of the search decides. Figures come from cross-validation in which no wording of
a question, and then no document, is in both halves.

Printed: AUC; precision, recall and F1 of refusing at the threshold that refuses at most 15 % of the answerable
questions, and at the one in use; risk and coverage: of the questions that are answered at each threshold, the share that
the files do not answer; how well yes is told from no; and how often the best of the sentences, and one of the best three,
is part of the evidence, and the best one on a page of it, by its own score and by the probe.

--from starts from the probes in a file instead of from nothing, for an office with few questions of its own; --keep takes
those that it names from there as they are. What these have learned from must then not be among the questions, or the
figures flatter and too much is trusted to them. --held-out leaves out the documents of a set, to measure on it
afterwards. --write puts what was fitted into the file (src/library/refusal.json), in place of that of the same models."""
import argparse
import json
import os
import random
import re

import numpy as np

SIGNALS = ['nearest', 'third', 'above_mean', 'words', 'words_anywhere', 'passage', 'yes_no']
DECIDING = ['state_holds', 'surest']
# Log-odds where there was no sentence to ask about.
NOTHING_FOUND = -8.0
FALSE_REFUSALS = .15
# Refused below odds of three to two: the nearest quotes are shown all the same, and a wrong answer costs more.
REFUSE_BELOW = .6
PARTLY_BELOW = .7
# An answer says yes or no from odds of two to one.
SURE_ABOVE = .7
RIDGE_OF_SIGNALS = 3.0
RIDGE_OF_STATES = 500.0
RIDGE_OF_SENTENCES = 200.0
RIDGE_OF_DECISION = 1.0
FOLDS = 5


def lines(path):
    with open(path, encoding='utf8') as file:
        return [json.loads(line) for line in file if line.strip()]


def read(folder, path):
    queries = {query['id']: query for query in lines(f'{folder}/queries.jsonl')}
    rows = []
    for line in lines(path):
        query, signals = queries[line['id']], line['signals']
        yes = re.split(r'\W', (query.get('answers') or [''])[0].strip().lower())[0]
        rows.append({
            'signals': [float(signals.get(name) or 0) for name in SIGNALS],
            'sentences': sentences(line, query),
            'holds': np.array(line.get('states', {}).get('holds') or [], np.float32),
            'yes': np.array(line.get('states', {}).get('yes') or [], np.float32),
            'y': bool(line['answerable']),
            'says_yes': {'yes': True, 'no': False}.get(yes),
            'document': (query.get('scope') or [''])[0],
            'wording': re.split(r';|": ', query['question'])[-1].strip(),
        })
    return rows


def sentences(line, query):
    """State, own score, whether it is evidence and whether it is on a page of it, for each sentence that was sifted."""
    given = line.get('sentences', [])
    pages = {(one['file'], page) for one in query.get('evidence') or [] for page in one['pages']}
    return {
        'state': np.array([one['state'] for one in given], np.float32),
        'score': np.array([one['score'] for one in given]),
        'gold': np.array([line['answerable'] and one['in_gold'] for one in given], bool),
        'on_page': np.array([(os.path.basename(one['file']), one['page']) in pages for one in given], bool),
    }


def found(rows, values):
    """How often the evidence is the first of the sentences, among the first three, and on the first one's page, where
    some of them are evidence and some not."""
    hits = []
    for row, sure in zip(rows, values):
        one = row['sentences']
        if one['gold'].any() and not one['gold'].all():
            order = np.argsort(-sure, kind='stable')
            hits.append((one['gold'][order[0]], one['gold'][order[:3]].any(), one['on_page'][order[0]]))
    return len(hits), np.mean(hits, axis=0) if hits else None


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
        if np.abs(step).max() < 1e-6:
            break
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


def fit_states(rows, name, start):
    """The probe of that name; nothing to learn from: the one to start from."""
    every = rows
    if name == 'sentence':
        rows = [row for row in rows if len(row['sentences']['state'])]
        x = np.concatenate([row['sentences']['state'] for row in rows])
        y = np.concatenate([row['sentences']['gold'] for row in rows]).astype(float)
        return fit(x, y, RIDGE_OF_SENTENCES, start=start.get(name))
    if name == 'holds':
        rows = [row for row in rows if len(row['holds'])]
        return fit(np.array([row['holds'] for row in rows]), np.array([row['y'] for row in rows], float), RIDGE_OF_STATES,
                   start=start.get(name))
    rows = [row for row in rows if is_yes_no(row)]
    if not rows:
        return start.get(name, (0.0, np.zeros(max(len(row['yes']) for row in every))))
    yes = np.array([row['says_yes'] for row in rows], float)
    # Both count alike, however many more there are of one.
    even = np.where(yes == 1, .5 / max(yes.mean(), 1e-9), .5 / max(1 - yes.mean(), 1e-9))
    return fit(np.array([row['yes'] for row in rows]), yes, RIDGE_OF_STATES, even, start.get(name))


def sure_of(probe, row):
    return apply(probe, row['sentences']['state']) if len(row['sentences']['state']) else np.array([NOTHING_FOUND])


def deciding(probes, row):
    return [apply(probes['holds'], row['holds']), sure_of(probes['sentence'], row).max()]


def train(rows, with_model, start, keep, group):
    if not with_model:
        answerable = np.array([row['y'] for row in rows], float)
        return {'signals': fit(np.array([row['signals'] for row in rows]), answerable, RIDGE_OF_SIGNALS)}
    probes = lambda rows, names: {name: start[name] if name in keep else fit_states(rows, name, start) for name in names}
    # The decision is fitted on what probes say that have not learned from the question.
    fold, values, answerable = folds(rows, group), [], []
    for number in sorted(set(fold)):
        inner = probes([row for row, own in zip(rows, fold) if own != number], ('holds', 'sentence'))
        mine = [row for row, own in zip(rows, fold) if own == number and len(row['holds'])]
        values += [deciding(inner, row) for row in mine]
        answerable += [float(row['y']) for row in mine]
    decision = fit(np.array(values), np.array(answerable), RIDGE_OF_DECISION)
    return probes(rows, ('holds', 'sentence', 'yes')) | {'decision': decision}


def given(model, row):
    """The probability of an answer; for a yes/no question, the log-odds of yes; and how sure each sentence is."""
    if 'signals' in model:
        return sigmoid(apply(model['signals'], np.array(row['signals']))), None, None
    yes = apply(model['yes'], row['yes']) if len(row['yes']) else None
    holds = sigmoid(apply(model['decision'], np.array(deciding(model, row)))) if len(row['holds']) else None
    return holds, yes, sure_of(model['sentence'], row)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def held_out(rows, group, with_model, start, keep):
    fold = folds(rows, group)
    out = [None] * len(rows)
    for number in range(FOLDS):
        model = train([row for row, own in zip(rows, fold) if own != number], with_model, start, keep, group)
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
    if out and out[0][2] is not None:
        count, own = found(rows, [row['sentences']['score'] for row in rows])
        if count:
            told = lambda hits: ' / '.join(f'{hit:.2f}' for hit in hits)
            print(f'{name}: evidence @1 / @3 / page @1 ({count} questions): own score {told(own)}, by the probe '
                  f'{told(found(rows, [sure for *_, sure in out])[1])}')
    judged = [(row, one) for row, one in zip(rows, out) if one[0] is not None]
    if not judged:
        return
    rows, out = zip(*judged)
    values = [p for p, *_ in out]
    print(f'{name}: {len(rows)} questions, AUC {auc([row["y"] for row in rows], values):.3f}')
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
    verdicts = [(row['says_yes'], yes) for row, (_, yes, _) in zip(rows, out) if yes is not None and is_yes_no(row)]
    if verdicts:
        share = [sum((yes >= 0) == label for is_yes, yes in verdicts if is_yes == label) / max(1, sum(is_yes == label for is_yes, _ in verdicts))
                 for label in (True, False)]
        print(f'    yes from no, AUC {auc([is_yes for is_yes, _ in verdicts], [yes for _, yes in verdicts]):.3f}; '
              f'right where it is yes {share[0]:.2f}, where it is no {share[1]:.2f}')
        sure = [(yes >= 0) == is_yes for is_yes, yes in verdicts if abs(yes) >= SURE_ABOVE]
        print(f'    sure enough to say so {len(sure)} of {len(verdicts)}, right {np.mean(sure or [0]):.2f}')


def known_probes(path, embedder, generator):
    with open(path, encoding='utf8') as file:
        same = [one for one in json.load(file) if (one['embedder'], one.get('generator')) == (embedder, generator)]
    if not same:
        raise SystemExit(f'{path} has nothing for {embedder} and {generator}: leave out --from')
    probes = [name for name in ('sentence', 'holds', 'yes') if name in same[0]]
    return {name: (same[0][name]['intercept'], np.array(same[0][name]['weights'])) for name in probes}


def rounded(model):
    # Four digits of each; further ones change no log-odds by as much as .001.
    return {'intercept': round(float(model[0]), 4), 'weights': [float(f'{w:.4g}') for w in model[1]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--embedder', required=True)
    parser.add_argument('--generator')
    parser.add_argument('--held-out')
    parser.add_argument('--from', dest='start')
    parser.add_argument('--keep', default='')
    parser.add_argument('--write')
    parser.add_argument('pairs', nargs='+')
    args = parser.parse_args()
    rows, sets = [], []
    left_out = set(os.listdir(f'{args.held_out}/docs')) if args.held_out else set()
    for folder, path in zip(args.pairs[::2], args.pairs[1::2]):
        mine = [row for row in read(folder, path) if row['document'] not in left_out]
        print(f'{folder}: {len(mine)} questions, {sum(row["y"] for row in mine)} answerable')
        sets.append((folder, len(rows), len(rows) + len(mine)))
        rows += mine
    with_model = args.generator is not None
    if args.start and not with_model:
        parser.error('--from starts from probes of a model: name it with --generator')
    start = known_probes(args.start, args.embedder, args.generator) if args.start else {}
    keep = set(filter(None, args.keep.split(',')))
    if keep - set(start):
        parser.error(f'--keep: the file of --from has no {", ".join(keep - set(start))}')
    for group in ('wording', 'document'):
        if len({row[group] for row in rows}) < FOLDS:
            print(f'too few {group}s to leave some out: no figures of that kind')
            continue
        out = held_out(rows, group, with_model, start, keep)
        for folder, first, end in sets:
            show(f'  {os.path.basename(folder.rstrip("/"))}, no {group} in both halves', rows[first:end], out[first:end])
        show(f'together, no {group} in both halves', rows, out)
    group = 'document' if len({row['document'] for row in rows}) >= FOLDS else 'wording'
    model = train(rows, with_model, start, keep, group)
    intercept, weights = model['decision' if with_model else 'signals']
    names = DECIDING if with_model else SIGNALS
    fitted = {'embedder': args.embedder, 'generator': args.generator, 'intercept': round(float(intercept), 4)}
    fitted['weights'] = {name: round(float(w), 4) for name, w in zip(names, weights)}
    fitted |= {'refuse_below': REFUSE_BELOW, 'partly_below': PARTLY_BELOW, 'sure_above': SURE_ABOVE}
    print(json.dumps(fitted))
    if with_model:
        fitted |= {name: rounded(model[name]) for name in ('holds', 'sentence', 'yes')}
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
