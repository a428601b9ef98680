#!/usr/bin/env python3
"""Fits when to say that the files do not hold an answer, and shows how well that would do.

  fit-refusal.py --embedder NAME [--generator NAME] SET SIGNALS [SET SIGNALS …] [--write src/library/refusal.json]

SET is an evaluation set, SIGNALS what `premise eval SET --scoped --stage evidence --run SIGNALS` wrote for it (with
`--without-model` where no generator is named). A logistic regression over the signals; its figures come from
cross-validation in which no document, and then no wording of a question, is in both halves. Standard library only.

Printed: AUC; precision, recall and F1 of refusing at the threshold that refuses at most 15 % of the answerable
questions; and risk and coverage: of the questions that are answered at each threshold, the share that the files do not
answer. --write puts the coefficients fitted on everything into the file, in place of those of the same models."""
import argparse
import json
import math
import random
import re

NAMES = ['nearest', 'third', 'above_mean', 'words', 'words_anywhere', 'passage', 'yes_no', 'model_holds', 'model_yes']
FALSE_REFUSALS = .15
RIDGE = 3.0


def log_odds(p):
    if p is None:
        return 0.0
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))


def read(folder, path):
    queries = {}
    with open(f'{folder}/queries.jsonl', encoding='utf8') as lines:
        for line in lines:
            query = json.loads(line)
            queries[query['id']] = query
    rows = []
    with open(path, encoding='utf8') as lines:
        for line in lines:
            row = json.loads(line)
            query, signals = queries[row['id']], row['signals']
            values = [float(signals.get(name) or 0) for name in NAMES[:7]]
            values += [log_odds(signals.get(name)) for name in NAMES[7:]]
            scope = query.get('scope') or ['']
            asked = re.split(r';|": ', query['question'])[-1].strip()
            rows.append({'x': values, 'y': bool(query['answerable']), 'document': scope[0], 'wording': asked})
    return rows


def solve(matrix, right):
    size = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for row in range(at + 1, size):
            factor = rows[row][at] / rows[at][at]
            rows[row] = [a - factor * b for a, b in zip(rows[row], rows[at])]
    solution = [0.0] * size
    for at in reversed(range(size)):
        rest = sum(rows[at][k] * solution[k] for k in range(at + 1, size))
        solution[at] = (rows[at][size] - rest) / rows[at][at]
    return solution


def fit(rows):
    """Intercept and weights by Newton's method on standardised signals, with a ridge on the weights."""
    columns = list(zip(*(row['x'] for row in rows)))
    means = [sum(column) / len(column) for column in columns]
    scales = [math.sqrt(sum((v - m) ** 2 for v in column) / len(column)) or 1.0 for column, m in zip(columns, means)]
    inputs = [[1.0] + [(v - m) / s for v, m, s in zip(row['x'], means, scales)] for row in rows]
    size = len(means) + 1
    weights = [0.0] * size
    for _ in range(25):
        gradient = [0.0] + [RIDGE * w for w in weights[1:]]
        hessian = [[RIDGE if i == j and i else 1e-9 if i == j else 0.0 for j in range(size)] for i in range(size)]
        for x, row in zip(inputs, rows):
            p = 1 / (1 + math.exp(-sum(a * b for a, b in zip(weights, x))))
            for i in range(size):
                gradient[i] += (p - row['y']) * x[i]
                for j in range(size):
                    hessian[i][j] += p * (1 - p) * x[i] * x[j]
        weights = [w - step for w, step in zip(weights, solve(hessian, gradient))]
    plain = [w / s for w, s in zip(weights[1:], scales)]
    return weights[0] - sum(w * m for w, m in zip(plain, means)), plain


def probability(model, row):
    intercept, weights = model
    return 1 / (1 + math.exp(-intercept - sum(w * v for w, v in zip(weights, row['x']))))


def held_out(rows, group, folds=5):
    groups = sorted({row[group] for row in rows})
    random.Random(13).shuffle(groups)
    fold = {name: at % folds for at, name in enumerate(groups)}
    given = [0.0] * len(rows)
    for number in range(folds):
        model = fit([row for row in rows if fold[row[group]] != number])
        for at, row in enumerate(rows):
            if fold[row[group]] == number:
                given[at] = probability(model, row)
    return given


def auc(rows, given):
    pairs = [(a > b) + .5 * (a == b) for a, x in zip(given, rows) if x['y'] for b, z in zip(given, rows) if not z['y']]
    return sum(pairs) / max(1, len(pairs))


def threshold(rows, given):
    """The highest one that refuses at most FALSE_REFUSALS of the answerable questions."""
    answerable = sorted(p for p, row in zip(given, rows) if row['y'])
    return answerable[int(FALSE_REFUSALS * len(answerable))]


def show(name, rows, given):
    limit = threshold(rows, given)
    refused = [row for p, row in zip(given, rows) if p < limit]
    right = sum(not row['y'] for row in refused)
    unanswerable = sum(not row['y'] for row in rows)
    precision, recall = right / max(1, len(refused)), right / max(1, unanswerable)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    wrong = (len(refused) - right) / max(1, len(rows) - unanswerable)
    print(f'{name}: AUC {auc(rows, given):.3f}; refusing below {limit:.3f}: precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}, '
          f'{wrong:.0%} of the answerable refused')
    best = sorted(zip(given, rows), key=lambda pair: -pair[0])
    cells = []
    for coverage in (.2, .4, .6, .8, 1.0):
        answered = [row for _, row in best[:max(1, round(coverage * len(best)))]]
        cells.append(f'{coverage:.0%} {sum(not row["y"] for row in answered) / len(answered):.2f}')
    print('  coverage and risk:', ', '.join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--embedder', required=True)
    parser.add_argument('--generator')
    parser.add_argument('--write')
    parser.add_argument('pairs', nargs='+')
    args = parser.parse_args()
    rows = []
    for folder, path in zip(args.pairs[::2], args.pairs[1::2]):
        mine = read(folder, path)
        print(f'{folder}: {len(mine)} questions, {sum(row["y"] for row in mine)} answerable')
        for group in ('document', 'wording'):
            show(f'  no {group} in both halves', mine, held_out(mine, group))
        rows += mine
    for group in ('document', 'wording'):
        given = held_out(rows, group)
        show(f'together, no {group} in both halves', rows, given)
    model = fit(rows)
    limit = threshold(rows, given)
    middle = sorted(given)[len(given) // 2]
    fitted = {
        'embedder': args.embedder,
        'generator': args.generator,
        'intercept': round(model[0], 4),
        'weights': {name: round(w, 4) for name, w in zip(NAMES, model[1]) if args.generator or not name.startswith('model')},
        'refuse_below': round(limit, 4),
        'partly_below': round(max(limit, middle), 4),
    }
    print(json.dumps(fitted))
    if args.write:
        with open(args.write, encoding='utf8') as file:
            known = json.load(file)
        same = (fitted['embedder'], fitted['generator'])
        known = [one for one in known if (one['embedder'], one.get('generator')) != same] + [fitted]
        with open(args.write, 'w', encoding='utf8') as file:
            json.dump(known, file, indent=2)
            file.write('\n')


main()
