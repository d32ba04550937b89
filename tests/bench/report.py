"""What the benchmark of migration says: tables as text or as reStructuredText,
and the aims with what they were measured against.

Works on the JSON of tests/bench/run alone, so that a table can be printed
again without measuring again.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import statistics

from migrating import KINDS, PAGE
from realm_vm import table

MIB = 1 << 20
BASE_MEMORY = 32 * MIB
DOWNTIME_MS = 30
FLOOR_SHARE = 0.9

# Key of a run, what it is, unit's divisor, digits.
FIGURES = (
    ('seconds', 'time, s', 1, 2),
    ('throughput', 'GiB/s', 1, 2),
    ('downtime', 'downtime, ms', 1, 0),
    ('bytes-per-page', 'bytes a page', 1, 0),
    ('source-cpu', 'CPU source, s', 1, 2),
    ('destination-cpu', 'CPU dest., s', 1, 2),
    ('source-memory', 'extra source, MiB', MIB, 1),
    ('destination-memory', 'extra dest., MiB', MIB, 1),
)
LOAD_TEXTS = {'idle': 'idle guest', 'dirty': 'guest that dirties 100 MB/s',
              'cold': 'idle guest, memory that is new to the machine'}
TAG_FIGURES = FIGURES[:6]


def middle(runs, key, scale=1):
    return statistics.median(run[key] for run in runs) / scale


def spread(runs, key, scale=1, digits=2):
    """The median, and in brackets the least and the most."""
    values = [run[key] / scale for run in runs]
    text = f'{statistics.median(values):.{digits}f}'
    if len(values) > 1:
        text += f' ({min(values):.{digits}f}-{max(values):.{digits}f})'
    return text


# ---- Tables ----

def rst_table(rows, head):
    """A simple table of reStructuredText."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    rows = [[cell or '..' if not i else cell for i, cell in enumerate(row)]
            for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    rule = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths))
             .rstrip() for row in rows]
    return '\n'.join([rule, lines[0], rule, *lines[1:], rule])


def runs_table(series, names, figures):
    """Rows are the figures, columns what was measured: short enough to print
    with least and most."""
    head = ('', *(name for name in names))
    rows = [(text, *(spread(series[name], key, scale, digits)
                     for name in names))
            for key, text, scale, digits in figures]
    return rows, head


def turned(rows, head):
    """The same with rows for columns."""
    columns = list(zip(head, *rows))
    return columns[1:], columns[0]


def kind_names(names):
    return [f'({name}) {KINDS[name].text}' for name in names]


def migration_tables(out):
    """(title, rows, head) of each load."""
    for load, series in out['migration'].items():
        names = [name for name in KINDS if series.get(name)]
        named = dict(zip(kind_names(names), (series[n] for n in names)))
        yield (LOAD_TEXTS[load],
               *turned(*runs_table(named, list(named), FIGURES)))


def other_tables(out):
    if out.get('boot'):
        yield ('boot', *turned(*runs_table(out['boot'], list(out['boot']),
                                           FIGURES[:1])))
    if out.get('tags'):
        yield ('tags of a Realm', *turned(*runs_table(
            out['tags'], list(out['tags']), TAG_FIGURES)))
    if out.get('growth'):
        kinds = sorted({kind for series in out['growth'].values()
                        for kind in series})
        rows = [(name, *(spread(series[kind], 'seconds')
                         if series.get(kind) else '-' for kind in kinds))
                for name, series in out['growth'].items()]
        yield 'growth, a quarter of the guest filled: time, s', rows, (
            'guest', *(f'({kind})' for kind in kinds))
    if out.get('floor'):
        yield from floor_tables(out)


def beside(floor_ns, measured):
    return f'{floor_ns:.0f}' + (f' / {measured:.0f}' if measured else '')


def floor_tables(out):
    """The floor, and what an idle guest's migration took a page."""
    idle = out['migration'].get('idle', {})
    rows = []
    for name, least in out['floor']['composed'].items():
        took = a_page(idle[name]) if idle.get(name) else {}
        rows.append((f'({name}) {KINDS[name].text}',
                     *(beside(least[key], took.get(key))
                       for key in ('source', 'destination', 'elapsed')),
                     f'{least["throughput"]:.2f}'))
    yield ('floor: CPU time a page, each step alone',
           [(name, f'{value:.0f}')
            for name, value in out['floor']['steps'].items()],
           ('step', 'ns'))
    yield ('floor / measured, idle guest: ns a page', rows,
           ('kind', 'source, CPU', 'destination, CPU', 'elapsed',
            'floor, GiB/s'))


def a_page(runs):
    """Nanoseconds of the median run, by the names of the floor."""
    pages = middle(runs, 'pages')
    return {name: middle(runs, key) / pages * 1e9
            for name, key in (('source', 'source-cpu'),
                              ('destination', 'destination-cpu'),
                              ('elapsed', 'seconds'))}


def idle_tables(result):
    """Of tests/bench/idle, which has pairs of a Realm and an ordinary guest."""
    pairs = result.get('idle', [])
    yield ('idle guests, by their size', [
        (f'{realm["memory"]} MiB, {realm["cpus"]} vCPUs',
         f'{realm["seconds"]:.2f}', f'{plain["seconds"]:.2f}',
         f'{realm["seconds"] / plain["seconds"]:.2f}',
         f'{realm["moved"]:.0f}', f'{plain["moved"]:.0f}')
        for realm, plain in ((p['realm'], p['plain']) for p in pairs)],
           ('guest', 'Realm, s', 'ordinary, s', 'ratio', 'Realm, MiB',
            'ordinary, MiB'))
    yield ('512 MiB in use, of much and of little memory', [
        (row['name'], f'{row["seconds"]:.2f}', f'{row["source-mib"]:.0f}',
         f'{row["destination-mib"]:.0f}')
        for row in result.get('sparse', {}).values()],
           ('guest', 'time, s', 'peak of source, MiB', 'of destination, MiB'))


def census_table(result):
    """Of tests/bench/tag-census: how many pages have which tags."""
    counts = {(guest, what): kinds[what] for guest, kinds in
              result.get('guests', {}).items() for what in ('data', 'zero')}
    kinds = list(dict.fromkeys(kind for found in counts.values()
                               for kind in found))
    rows = [(f'{guest}, {what}', sum(found.values()),
             *(f'{100 * found.get(kind, 0) / (sum(found.values()) or 1):.2f} %'
               for kind in kinds))
            for (guest, what), found in counts.items()]
    yield 'tags of a userland', rows, ('pages', 'number', *kinds)


def pairs_table(result):
    """Of tests/bench/tags: ordinary guests, each beside another one."""
    yield ('tags of an ordinary guest (tagged: beside tag memory that is a '
           'block of RAM; untagged: beside a guest without MTE)',
           [(row['name'], *row['columns'], row['ratio'])
            for row in result.get('rows', [])],
           ('', 'tags with pages', 'beside it', 'ratio'))


OTHER_FORMS = {'idle': idle_tables, 'tag-census': census_table,
               'tags': pairs_table}


def counted_tables(out):
    """Of the other programs: rows with a name and figures."""
    for program, result in out.get('others', {}).items():
        if program in OTHER_FORMS:
            yield from OTHER_FORMS[program](result)
            continue
        rows = [row for row in result.get('rows', []) if 'name' in row]
        keys = [key for key in (rows[0] if rows else {}) if key != 'name']
        yield (program, [(row['name'], *(cell(row.get(key)) for key in keys))
                         for row in rows], ('', *keys))


def cell(value):
    if isinstance(value, dict):
        return f'{value["median"]} ({value["min"]}-{value["max"]})'
    return '-' if value is None else str(value)


def tables(out):
    yield from migration_tables(out)
    yield from other_tables(out)
    yield from counted_tables(out)
    if out.get('aims'):
        yield ('aims', [(aim['name'], aim['value'], aim['aim'], aim['verdict'])
                        for aim in out['aims']],
               ('figure', 'measured', 'aim', ''))


def profiles(out):
    for kind, sides in out.get('profiles', {}).items():
        for side, lines in sides.items():
            yield (f'profile of ({kind}), {side}',
                   [(symbol, share) for share, symbol in lines],
                   ('function', 'share'))


def as_text(out):
    return '\n\n'.join(f'{title}\n{table(rows, head=head)}' for
                       title, rows, head in [*tables(out), *profiles(out)]
                       if rows)


def as_rst(out):
    machine = out['machine']
    text = (f'Measured on {out["date"]}: {machine["cpu"]}, '
            f'{machine["cores"]} cores, {machine["memory-gib"]} GiB, Linux '
            f'{machine["kernel"]}; guest kernel {out["kernel"]}; '
            f'{out["options"]["memory"]} MiB of which '
            f'{out["options"]["fill"]} MiB cannot be compressed; medians of '
            f'{out["options"]["runs"]} runs, with the least and the most.')
    parts = [text] + [f'{title[0].upper()}{title[1:]}:\n\n'
                      f'{rst_table(rows, head)}'
                      for title, rows, head in [*tables(out), *profiles(out)]
                      if rows]
    return '\n\n'.join(parts)


def put_into(path, name, text):
    """Puts the text between the two comments of that name in a chapter."""
    begin, end = f'.. begin: {name}\n', f'.. end: {name}\n'
    with open(path, encoding='utf-8') as file:
        before, found, rest = file.read().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f'{path} has no lines "{begin.strip()}" and '
                         f'"{end.strip()}" to put figures between')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{before}{begin}\n{text}\n\n{end}{after}')


# ---- Aims ----

def downtime_limit(reference):
    """Milliseconds, where an ordinary guest's are @reference."""
    return max(1.2 * reference, DOWNTIME_MS)


class Aims:
    """The aims of a run; what was not measured has no row."""

    def __init__(self, out):
        self.migration = out['migration']
        self.floor = out.get('floor', {}).get('composed', {})
        self.out, self.rows = out, []

    def add(self, name, value, aim, met, note='', kind=None):
        verdict = 'met' if met else 'MISSED'
        self.rows.append({'name': name, 'value': value, 'aim': aim,
                          'met': met, 'kind': kind,
                          'verdict': verdict + (f': {note}' if note else '')})

    def series(self, load, kind):
        return self.migration.get(load, {}).get(kind)

    def note_on_floor(self, kind, throughput, needed):
        """Of a throughput that was missed: whether it can be had at all."""
        if kind not in self.floor:
            return ''
        floor = self.floor[kind]['throughput']
        share = throughput / floor
        note = f'{share:.2f} of the floor, {floor:.2f} GiB/s'
        if needed > floor:
            verdict = 'met' if share >= FLOOR_SHARE else 'missed'
            note += (f'; {needed:.2f} GiB/s is beyond it, so {FLOOR_SHARE} of '
                     f'it is the aim: {verdict}')
        return note

    def throughput(self, kind, other, aim, load='idle'):
        ours, theirs = self.series(load, kind), self.series(load, other)
        if not ours or not theirs:
            return
        mine, reference = (middle(runs, 'throughput')
                           for runs in (ours, theirs))
        ratio = mine / reference
        note = '' if ratio >= aim else self.note_on_floor(kind, mine,
                                                          aim * reference)
        name = f'({kind}) / ({other}), throughput'
        self.add(name + (f', {load}' if load != 'idle' else ''), f'{ratio:.3f}',
                 f'>= {aim}', ratio >= aim, note, kind)

    def downtime(self, load):
        ours, theirs = self.series(load, 'e'), self.series(load, 'a')
        if not ours or not theirs:
            return
        mine, reference = (middle(runs, 'downtime') for runs in (ours, theirs))
        limit = downtime_limit(reference)
        self.add(f'downtime (e), {load}; (a): {reference:.0f} ms',
                 f'{mine:.0f} ms', f'<= {limit:.0f} ms', mine <= limit,
                 kind='e')

    def tags(self, name, what, limit):
        tags = self.out.get('tags') or {}
        if what not in tags or 'mte=off' not in tags:
            return
        cost = (middle(tags[what], 'seconds')
                / middle(tags['mte=off'], 'seconds') - 1) * 100
        with_tags, times = ([run['seconds'] for run in tags[key]]
                            for key in (what, 'mte=off'))
        noise = (max(times) - min(times)) / statistics.median(times)
        fastest = (min(with_tags) / min(times) - 1) * 100
        self.add(f'tags: {name}, of time', f'{cost:+.1f} %', f'<= {limit} %',
                 cost <= limit, f'one run varies by {noise * 100:.0f} %; the '
                 f'fastest runs: {fastest:+.1f} %'
                 if cost > limit and noise else '', 'e')

    def tag_bytes(self, what, bytes_a_page):
        """Bytes beyond data and tags, in percent of them.  The pages that the
        load fills have tags, and no others."""
        runs = (self.out.get('tags') or {}).get(what)
        if runs:
            tagged = self.out.get('options', {}).get('fill', 0) * MIB // PAGE
            data = middle(runs, 'pages') * PAGE + tagged * bytes_a_page
            over = (middle(runs, 'bytes') / data - 1) * 100
            self.add(f'bytes beyond data and tags, tags {what}',
                     f'{over:.2f} %', '<= 1 %', over <= 1, kind='e')

    def overhead(self, kind):
        runs = self.series('idle', kind)
        if runs:
            over = (middle(runs, 'bytes-per-page') / PAGE - 1) * 100
            self.add(f'bytes beyond data, ({kind})', f'{over:.2f} %',
                     '<= 1 %', over <= 1, kind=kind)

    def extra_memory(self, kind, side):
        runs = self.series('idle', kind)
        if runs:
            limit = BASE_MEMORY / MIB + runs[0]['memory'] * 0.01
            most = middle(runs, f'{side}-memory', MIB)
            self.add(f'extra memory ({kind}), {side}', f'{most:.1f} MiB',
                     f'<= {limit:.1f} MiB', most <= limit, kind=kind)

    def boot(self):
        boot = self.out.get('boot')
        if boot:
            ratio = (middle(boot['Realm'], 'seconds')
                     / middle(boot['ordinary'], 'seconds'))
            self.add('boot, Realm / ordinary', f'{ratio:.3f}', '<= 1.05',
                     ratio <= 1.05)

    def others(self):
        """Of the other programs."""
        results = self.out.get('others', {})
        for row in results.get('speed', {}).get('rows', []):
            self.add(f'speed of a Realm / ordinary: {row["name"]}',
                     f'{row["ratio"]:.3f}', f'>= {row["aim"]:.2f}', row['met'])
        for pair in results.get('idle', {}).get('idle', []):
            realm, plain = pair['realm'], pair['plain']
            if (realm['memory'], realm['cpus']) == (8192, 2):
                ratio = realm['seconds'] / plain['seconds']
                self.add('idle, 8 GiB: time of (e) / (a)', f'{ratio:.2f}',
                         '<= 0.3', ratio <= 0.3)
        sparse = results.get('idle', {}).get('sparse', {})
        if len(sparse) == 2:
            ratio = (sparse['sparse']['seconds'] / sparse['dense']['seconds'])
            self.add('512 MiB in use: time with 64 GiB / with 1 GiB',
                     f'{ratio:.2f}', '<= 1.2', ratio <= 1.2)


def judge(out):
    aims = Aims(out)
    aims.throughput('e', 'a', 1.0)
    aims.throughput('e', 'b', 4)
    aims.throughput('f', 'c', 0.9)
    aims.throughput('f', 'd', 4)
    for load in 'dirty', 'cold':
        aims.throughput('e', 'a', 1.0, load)
        aims.throughput('f', 'c', 0.9, load)
    for load in out['migration']:
        aims.downtime(load)
    aims.tags('none', '0 %', 1)
    aims.tags('all random', '100 % random', 4)
    aims.overhead('e')
    aims.overhead('f')
    aims.tag_bytes('100 % random', 128)
    for kind in 'e', 'f':
        for side in 'source', 'destination':
            aims.extra_memory(kind, side)
    aims.boot()
    aims.others()
    return aims.rows
