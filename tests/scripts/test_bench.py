# Tests of what tests/bench concludes from figures: the floor, the aims and the
# tables. The figures are given here, and the conclusions follow from the aims'
# own words.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / 'bench'
sys.path.insert(0, str(BENCH))

import report  # noqa: E402
import floor  # noqa: E402
import profiling  # noqa: E402


def program(name):
    """A program of tests/bench as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(BENCH / name))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def run(**figures):
    """A run of 1 GiB in one second, but for what is given."""
    return {'seconds': 1.0, 'throughput': 1.0, 'downtime': 10,
            'bytes-per-page': 4100, 'memory': 2048, 'source-memory': 0,
            'destination-memory': 0, 'source-cpu': 0, 'destination-cpu': 0,
            'pages': 262144, 'bytes': 1 << 30, **figures}


def aims(idle, load='idle', **rest):
    """{name of an aim: its row}"""
    out = {'migration': {load: idle}, **rest}
    return {row['name']: row for row in report.judge(out)}


class Aims(unittest.TestCase):
    def test_as_fast_as_an_ordinary_guest_is_met_and_slower_is_not(self):
        name = '(e) / (a), throughput'
        for speed, met in (1.0, True), (0.99, False):
            row = aims({'a': [run()], 'e': [run(throughput=speed)]})[name]
            self.assertEqual(row['met'], met)

    def test_a_guest_that_writes_is_judged_as_an_idle_one(self):
        row = aims({'a': [run()], 'e': [run(throughput=0.9)]},
                   load='dirty')['(e) / (a), throughput, dirty']
        self.assertFalse(row['met'])

    def test_medians_are_compared(self):
        runs = [run(throughput=speed) for speed in (0.1, 1.2, 1.3)]
        row = aims({'a': [run()], 'e': runs})['(e) / (a), throughput']
        self.assertEqual(row['value'], '1.200')

    def test_what_is_beyond_the_floor_has_the_floor_as_its_aim(self):
        floors = {'steps': {}, 'composed': {'e': {'throughput': 2.0}}}
        for speed, verdict in (1.9, 'is the aim: met'), (1.7, 'missed'):
            rows = aims({'a': [run(throughput=3.0)],
                         'e': [run(throughput=speed)]}, floor=floors)
            row = rows['(e) / (a), throughput']
            self.assertFalse(row['met'])
            self.assertTrue(row['verdict'].endswith(verdict), row)

    def test_what_the_floor_allows_is_no_excuse(self):
        floors = {'steps': {}, 'composed': {'e': {'throughput': 2.0}}}
        row = aims({'a': [run(throughput=1.5)], 'e': [run()]},
                   floor=floors)['(e) / (a), throughput']
        self.assertNotIn('beyond', row['verdict'])

    def test_a_downtime_of_30_ms_is_enough_and_else_a_fifth_more(self):
        for plain, realm, met in ((5, 30, True), (5, 31, False),
                                  (100, 120, True), (100, 121, False)):
            rows = aims({'a': [run(downtime=plain)],
                         'e': [run(downtime=realm)]})
            row = next(row for name, row in rows.items() if 'downtime' in name)
            self.assertEqual(row['met'], met, (plain, realm))

    def test_extra_memory_is_32_mib_and_a_hundredth_of_the_guest(self):
        limit = (32 + 20.48) * (1 << 20)
        for size, met in (limit - 1, True), (limit + 1, False):
            rows = aims({'e': [run(**{'source-memory': size})]})
            self.assertEqual(rows['extra memory (e), source']['met'], met)

    def test_tags_may_cost_4_percent_of_time_if_all_are_random(self):
        for seconds, met in (1.039, True), (1.05, False):
            tags = {'mte=off': [run()],
                    '100 % random': [run(seconds=seconds)]}
            row = aims({}, tags=tags)['tags: all random, of time']
            self.assertEqual(row['met'], met)

    def test_tags_that_the_load_made_are_no_overhead(self):
        data, tags = 262144 * 4096, 262144 * 128
        for size, met in (1.009, True), (1.011, False):
            row = aims({}, options={'fill': 1024}, tags={'100 % random': [
                run(bytes=(data + tags) * size)]})
            self.assertEqual([r['met'] for r in row.values()], [met])

    def test_an_idle_realm_of_8_gib_takes_at_most_three_tenths(self):
        for seconds, met in (0.3, True), (0.31, False):
            sides = {kind: {'memory': 8192, 'cpus': 2, 'seconds': s}
                     for kind, s in (('realm', seconds), ('plain', 1.0))}
            row = aims({}, others={'idle': {'idle': [sides]}})[
                'idle, 8 GiB: time of (e) / (a)']
            self.assertEqual(row['met'], met)

    def test_what_was_not_measured_has_no_aim(self):
        self.assertEqual(aims({'a': [run()]}), {})


class Wire(unittest.TestCase):
    def test_a_downtime_is_judged_by_the_same_limit_as_without_a_link(self):
        wire = program('wire')
        for plain, realm, text in ((10, 30, '3.00, yes'), (10, 31, '3.10, NO'),
                                   (100, 121, '1.21, NO')):
            kinds = {'a': [run(downtime=plain)], 'e': [run(downtime=realm)]}
            self.assertEqual(wire.downtime_ratio(kinds, 'e'), text)


class Floor(unittest.TestCase):
    STEPS = {'encrypt': 800, 'decrypt': 800, 'send': 200, 'receive': 200,
             'clear-huge': 200}

    def test_two_cores_share_what_both_sides_do(self):
        composed = floor.compose(self.STEPS, 2)
        self.assertEqual(composed['e']['elapsed'], (1000 + 1200) / 2)
        self.assertEqual(composed['a']['elapsed'], (200 + 400) / 2)

    def test_copies_of_one_channel_follow_each_other(self):
        composed = floor.compose(self.STEPS, 1000)
        self.assertEqual(composed['e']['elapsed'], 200)
        self.assertEqual(composed['f']['elapsed'], 100)


class Tables(unittest.TestCase):
    def test_a_table_of_rest_has_rules_as_wide_as_its_cells(self):
        self.assertEqual(report.rst_table([('', 1)], ('head', 'x')),
                         '====  =\nhead  x\n====  =\n..    1\n====  =')

    def test_a_median_stands_with_the_least_and_the_most(self):
        runs = [run(seconds=s) for s in (3, 1, 2)]
        self.assertEqual(report.spread(runs, 'seconds'), '2.00 (1.00-3.00)')


class Profiles(unittest.TestCase):
    def test_what_has_no_name_is_summed_up_by_library(self):
        shares = profiling.summed('''
    20.50%  [kernel.kallsyms]    [k] clear_page_erms
     1.50%  libgnutls.so.30.34.3  [.] 0x000000000013db8e
     1.25%  libgnutls.so.30.34.3  [.] 0x000000000013db19
     0.50%  [JIT] tid 4711        [.] 0x00007f352ca236f7
''')
        self.assertEqual(dict(shares), {'clear_page_erms': 20.5,
                                        'libgnutls.so.30.34.3': 2.75,
                                        'translated code': 0.5})


class Instructions(unittest.TestCase):
    PROFILE = '''fn=(1) move_pages
4 10
cfn=(2) mig_export_memory
calls=3 0
5 300
cfn=(3) other
calls=1 0
6 7
fn=(2)
7 50
cfn=(4) bundle_seal
calls=3 0
8 250
fn=(5) elsewhere
cfn=(2)
calls=2 0
9 100
'''

    def test_calls_from_everywhere_are_summed(self):
        sums = program('instructions').called(self.PROFILE)
        self.assertEqual(sums['mig_export_memory'], [5, 400])
        self.assertEqual(sums['bundle_seal'], [3, 250])

    def test_other_bundles_than_expected_are_refused(self):
        module = program('instructions')
        with self.assertRaises(module.CountError):
            list(module.rows(module.called(self.PROFILE), 512))


if __name__ == '__main__':
    unittest.main()
