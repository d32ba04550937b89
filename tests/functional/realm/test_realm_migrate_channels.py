#!/usr/bin/env python3
"""A Realm migrates on several channels, and over TLS.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import signal
import time

from realm_case import QmpError, guest_arguments, wait_until
from realm_failing import SMALL, FailureTest
from realm_relay import CHANNEL, MAIN, Crossing

KEY = 'qemu:0123456789abcdef0123456789abcdef\n'


class MigrateChannels(FailureTest):

    def keys(self):
        """A folder with the key that both sides know."""
        folder = self.path('keys')
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'keys.psk'), 'w',
                  encoding='ascii') as file:
            file.write(KEY)
        return folder

    def move(self, channels, psk='', compression='none'):
        """Returns how many bytes went on channels, and how many of the
        Realm's memory were sent at all."""
        dest, report = self.migrate(
            self.source(), guest_arguments(**SMALL), shared=True,
            channels=channels, psk=psk, compression=compression)
        self.assertGreater(report['realm']['tag-pages'], 0)
        self.assertEqual(report['realm']['channels'],
                         channels if compression == 'none' else 0)
        self.assert_moved_to(dest)
        return report['ram']['multifd-bytes'], report['realm']['bytes']

    def assert_on_channels(self, on_channels, of_realm):
        # Map and state of the Realm are not, RAM that is shared is.
        self.assertGreater(on_channels, of_realm * 95 // 100)

    def test_one_two_and_four_channels(self):
        for channels in 1, 2, 4:
            self.assert_on_channels(*self.move(channels))

    def test_two_channels_with_tls(self):
        self.assert_on_channels(*self.move(2, self.keys()))

    def test_main_channel_with_tls(self):
        on_channels, _ = self.move(0, self.keys())
        self.assertEqual(on_channels, 0)

    def test_compression_leaves_the_main_channel_to_the_realm(self):
        on_channels, of_realm = self.move(2, compression='zlib')
        self.assertGreater(on_channels, 0)
        self.assertLess(on_channels, of_realm // 2)
        on_channels, of_realm = self.move(2)
        self.assert_on_channels(on_channels, of_realm)


class Broken(FailureTest):
    """Destinations end a migration of which a part does not come."""

    def begin(self, crossing, dest, channels=2, **options):
        migration = self.migration(dest, channels=channels, **options)
        migration.source_uri = crossing.uri
        migration.start()
        wait_until(lambda: len(crossing.valves[CHANNEL]) == channels
                   and crossing.valves[MAIN], 'all are connected')
        return migration

    def crossing(self, dest):
        return Crossing(self.path('crossing'), self.path(dest.name))

    def begin_and_load(self, crossing, dest, **options):
        """... until the destination loads.  Before that it has no thread that
        could give anything up: QEMU says "failed", and that is all."""
        migration = self.begin(crossing, dest, **options)
        wait_until(lambda: dest.qmp.cmd('query-realm-migration')['phase']
                   == 'importing', 'the destination loads')
        return migration

    def told(self, dest):
        """What its events say of the failure."""
        return [event['data'] for event in dest.qmp.events
                if event['event'] == 'REALM_MIGRATION_FAILED']

    def assert_gives_up(self, dest):
        """... soon, says so, and still takes commands."""
        self.assert_never_runs(dest)
        # A thread of multifd says that it failed, before the main one does.
        wait_until(lambda: dest.qmp.cmd('query-realm-migration')['phase']
                   == 'failed' and self.told(dest), 'it is given up')
        self.assertEqual(len(self.told(dest)), 1)
        self.assertIn('token', self.told(dest)[0])

    def test_bundles_wait_for_a_main_channel_that_is_cut(self):
        dest = self.destination()
        with self.crossing(dest) as crossing:
            crossing.closed.add(MAIN)
            self.begin(crossing, dest)
            # As many bundles as the sockets have room for, and no START.
            wait_until(lambda: all(valve.passed > 64 << 10 for valve
                                   in crossing.valves[CHANNEL]),
                       'each channel has bundles')
            time.sleep(2)
            crossing.valves[MAIN][0].cut()
            self.assertEqual(self.wait_for_end(), 'failed')
            self.assert_gives_up(dest)
        self.assert_moves_on()

    def test_channel_that_is_cut_ends_it(self):
        dest = self.destination()
        with self.crossing(dest) as crossing:
            self.begin_and_load(crossing, dest, bandwidth=16 << 20)
            crossing.valves[CHANNEL][1].cut()
            self.assertEqual(self.wait_for_end(), 'failed')
            self.assert_gives_up(dest)
        self.assert_moves_on()

    def phase(self):
        return self.source().qmp.cmd('query-realm-migration')['phase']

    def test_cut_channels_leave_nobody_waiting(self):
        # Threads wait for channels now and then: one cut may miss that.
        for number in range(12):
            dest = self.destination()
            with self.crossing(dest) as crossing:
                self.begin_and_load(crossing, dest, channels=4,
                                    bandwidth=16 << 20)
                time.sleep(0.02 * number)
                crossing.valves[CHANNEL][3 - number % 4].cut()
                self.assertEqual(self.wait_for_end(), 'failed')
                self.assert_gives_up(dest)
            wait_until(lambda: self.phase() == 'here', 'it is given up')
        self.assert_moves_on()

    def test_source_that_is_killed_ends_it(self):
        dest = self.destination()
        with self.crossing(dest) as crossing:
            migration = self.begin_and_load(crossing, dest,
                                            bandwidth=16 << 20)
            crossing.valves[CHANNEL][1].close()
            time.sleep(1)
            self.assertFalse(migration.poll())
            self.source().process.send_signal(signal.SIGKILL)
            for valve in crossing.valves[CHANNEL]:
                valve.cut()
            self.assert_gives_up(dest)
        type(self).realm = None

    def test_channel_that_is_late_is_waited_for(self):
        dest = self.destination(shared=True)
        with self.crossing(dest) as crossing:
            migration = self.begin(crossing, dest)
            late = crossing.valves[CHANNEL][1]
            late.close()
            time.sleep(2)
            self.assertFalse(migration.poll())
            late.open()
            migration.wait_for_end()
        self.assert_moved_to(dest)

    def test_who_waits_for_a_channel_can_give_up(self):
        dest = self.destination()
        with self.crossing(dest) as crossing:
            self.begin_and_load(crossing, dest, channels=4,
                                bandwidth=16 << 20)
            crossing.valves[CHANNEL][3].close()
            time.sleep(2)
            self.assertIn('token', dest.qmp.cmd('realm-migration-abort'))
            crossing.valves[CHANNEL][3].cut()
            self.assertEqual(self.wait_for_end(), 'failed')
            self.assert_never_runs(dest)
        self.assert_moves_on()

    def assert_source_hears_of_an_abort(self, kind, channels):
        """... while no byte arrives that the destination could wait for."""
        dest = self.destination()
        with self.crossing(dest) as crossing:
            self.begin_and_load(crossing, dest, channels=channels,
                                bandwidth=16 << 20)
            for valve in crossing.valves[kind]:
                valve.close()
            time.sleep(2)
            self.assertIn('token', dest.qmp.cmd('realm-migration-abort'))
            self.assertEqual(self.wait_for_end(), 'failed')
            self.assert_never_runs(dest)
            # Who gave it up need not be told.
            self.assertEqual(self.told(dest), [])
        self.assert_moves_on()

    def test_source_hears_of_an_abort_beside_channels_that_stand_still(self):
        self.assert_source_hears_of_an_abort(CHANNEL, 4)

    def test_source_hears_of_an_abort_if_its_stream_stands_still(self):
        self.assert_source_hears_of_an_abort(MAIN, 0)

    def test_token_of_a_destination_that_ends_is_in_its_log(self):
        """It ends since it is given up, maybe before it has answered."""
        dest = self.destination()
        self.switch('multifd', False)
        with self.crossing(dest) as crossing:
            self.accept(self.offer(self.source(), dest))
            dest.qmp.cmd('migrate-incoming',
                         uri=f'unix:{self.path(dest.name)}')
            self.source().qmp.cmd('migrate-set-parameters',
                                  max_bandwidth=16 << 20)
            self.source().qmp.cmd('migrate', uri=crossing.uri)
            wait_until(lambda: dest.qmp.cmd('query-realm-migration')['phase']
                       == 'importing', 'it moves')
            crossing.valves[MAIN][0].close()
            with contextlib.suppress(QmpError, OSError):
                dest.qmp.cmd('realm-migration-abort')
            self.assertEqual(dest.wait(), 1)
            self.assertEqual('\n'.join(dest.errors()).count(
                'give this token to its realm-migration-resume'), 1)
            self.assertEqual(self.wait_for_end(), 'failed')
        self.assert_moves_on()

    def test_main_channel_that_is_late_is_waited_for(self):
        dest = self.destination(shared=True)
        with self.crossing(dest) as crossing:
            crossing.closed.add(MAIN)
            migration = self.begin(crossing, dest)
            time.sleep(2)
            self.assertFalse(migration.poll())
            self.assertEqual(dest.qmp.cmd('query-realm-migration')
                             ['private-pages'], 0)
            crossing.valves[MAIN][0].open()
            migration.wait_for_end()
        self.assert_moved_to(dest)


if __name__ == '__main__':
    FailureTest.main()
