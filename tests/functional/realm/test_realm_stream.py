#!/usr/bin/env python3
"""A captured stream of a Realm can be taken apart without its keys.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import json
import subprocess
import sys
from pathlib import Path

from realm_case import RealmTest, guest_arguments, incoming
from realm_case import MIGRATION_SECONDS, Migration
from realm_relay import Relay

TOP = Path(__file__).resolve().parents[3]
ANALYZE = 'scripts/analyze-migration.py'


class Stream(RealmTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.captured = None

    def capture(self):
        """The file with a migration's stream, and what QMP says of it."""
        arguments = guest_arguments(cpus=2, memory='256M')
        source = self.boot(arguments)
        dest = self.start(incoming(arguments))
        with Relay(self.path('relay'), self.path('dest')) as relay:
            migration = Migration(source.qmp, dest.qmp,
                                  f'unix:{self.path("dest")}',
                                  timeout=MIGRATION_SECONDS)
            migration.source_uri = relay.uri
            report = migration.run()
            relay.wait()
        path = Path(self.path('stream'))
        path.write_bytes(relay.recorded)
        return path, report['realm']

    def run_script(self, script, *arguments):
        return subprocess.run([sys.executable, TOP / script, *arguments],
                              capture_output=True, text=True, check=False)

    def setUp(self):
        super().setUp()
        if not type(self).captured:
            type(self).captured = self.capture()
        self.stream, self.realm = self.captured

    def test_realm_stream_counts_what_qemu_counted(self):
        shown = self.run_script('scripts/realm-stream', '--json', self.stream)
        self.assertEqual(shown.stderr, '')
        figures = json.loads(shown.stdout)
        records = figures['records']
        self.assertEqual(figures['bytes'], self.stream.stat().st_size)
        self.assertEqual(figures['pages'], self.realm['private-pages'])
        self.assertEqual(records['rec']['count'], 2)
        self.assertEqual(records['start']['count'], 1)
        self.assertTrue(figures['complete'])
        self.assertLess(figures['overhead-percent'], 1)
        # Only the start token is not in QEMU's count.
        self.assertEqual(sum(row['bytes'] for row in records.values()),
                         self.realm['bytes'] + records['start']['bytes'])
        counters = collections.defaultdict(list)
        for record in figures['records-in-order']:
            if record['counter']:
                counters[record['stream']].append(record['counter'])
        self.assertEqual(sorted(counters), figures['streams'])
        self.assertGreater(len(counters), 1)
        for of_stream in counters.values():
            self.assertEqual(of_stream, list(range(1, len(of_stream) + 1)))

    def test_realm_stream_says_where_a_cut_stream_ends(self):
        cut = Path(self.path('cut'))
        cut.write_bytes(self.stream.read_bytes()[:10 << 20])
        shown = self.run_script('scripts/realm-stream', cut)
        self.assertEqual(shown.returncode, 1)
        self.assertRegex(shown.stderr, 'realm-stream: .*: 0x[0-9a-f]+: the '
                         'stream ends there')
        self.assertIn('no start token: the source can go on', shown.stdout)

    def test_analyze_migration_reads_the_stream(self):
        if not (TOP / ANALYZE).exists():
            analyze = 'qemu/' + ANALYZE
        else:
            analyze = ANALYZE
        shown = self.run_script(analyze, '-f', self.stream)
        self.assertEqual(shown.returncode, 0, shown.stderr[-1000:])
        sections = json.loads(shown.stdout)
        realm = next(value for key, value in sections.items()
                     if key.startswith('realm ('))
        self.assertEqual(realm['records'][0]['kind'], 'session')


if __name__ == '__main__':
    RealmTest.main()
