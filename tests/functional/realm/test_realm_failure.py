#!/usr/bin/env python3
"""Whatever goes wrong with a migration that has begun, at most one side runs
the Realm, and until the very end that is the source.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import (Migration, MigrationError, QmpError, guest_arguments,
                        incoming, wait_until)
from realm_failing import SMALL, FailureTest
from realm_relay import MEMORY, REC, START, Cut, Flip, Relay
from realm_vm import VmError, verdict


class Interrupted(FailureTest):
    """A migration that has begun, and then fails."""

    def test_cancelled_migration_leaves_the_source_running(self):
        dest = self.destination()
        migration = self.start_slowly(dest)
        migration.cancel()
        self.assertEqual(self.source().qmp.cmd('query-migrate')['status'],
                         'cancelled')
        self.assert_never_runs(dest)
        self.assert_moves_on()

    def test_killed_destination_leaves_the_source_running(self):
        dest = self.destination()
        migration = self.start_slowly(dest)
        dest.stop()
        with self.assertRaises(MigrationError):
            wait_until(migration.poll, 'the source sees that')
        self.assert_moves_on()

    def test_altered_or_truncated_stream_is_refused(self):
        for change, message in {
                Flip(MEMORY): 'memory record of .* sealed',
                Flip(MEMORY, 20): 'memory record of .* sealed',
                Cut(MEMORY, 10): 'the stream ends within a memory record',
        }.items():
            self.log.info('with %s', type(change).__name__)
            self.assert_fails(f'realm section: {message}',
                              self.destination(), change)
            self.assertTrue(change.done)
        self.assert_moves_on()

    def test_stream_for_another_destination_is_refused(self):
        dest, other = self.destination(), self.destination()
        dest.qmp.cmd('realm-migration-offer')
        self.send(dest, other.qmp.cmd('realm-migration-offer')['offer'])
        self.assert_never_runs(dest)
        self.assertRegex('\n'.join(dest.errors()), 'sealed for this offer')
        self.assert_moves_on()

    def test_destination_has_to_be_the_same_machine(self):
        rpv = 'personalization-value=' + 'A' * 84 + 'AQ=='
        for message, options in {
                'personalization-value differs': {'properties': rpv},
                'measurement-algorithm differs': {
                    'properties': 'measurement-algorithm=sha256'},
                'numbers of vCPUs differ': {'cpus': 1},
                # Shared memory and its tags are noticed first, by upstream.
                'mach-virt.tag|mte differs': {'mte': False},
                'Size mismatch: mach-virt.ram': {'memory': '512M'},
        }.items():
            self.log.info('with %s', options)
            self.assert_fails(message, self.destination(**options))
        self.assert_moves_on()

    def test_ordinary_guest_never_starts_in_a_realm(self):
        ordinary = self.start(guest_arguments(**SMALL, realm=False))
        dest = self.destination()
        dest.qmp.cmd('realm-migration-offer')
        migration = Migration(ordinary.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              timeout=60)
        self.assert_refused('migration failed', migration.run)
        self.assert_never_runs(dest)
        # A Realm takes registers from its RMM only.
        self.assertIn("section or instance 'cpu'", dest.errors()[0])

    def test_realm_never_starts_in_an_ordinary_guest(self):
        dest = self.start(incoming(guest_arguments(**SMALL, realm=False)))
        other = self.destination()
        self.send(dest, other.qmp.cmd('realm-migration-offer')['offer'])
        self.assertFalse(dest.qmp.cmd('query-status')['running'])
        self.assert_moves_on()


class Last(FailureTest):
    """The end of a migration, and what is behind it."""

    def assert_does_not_run_again(self, vm):
        try:
            vm.qmp.cmd('cont')
        except QmpError as err:
            said = str(err)
        else:
            said = ' '.join(wait_until(vm.errors, 'QEMU says why'))
        self.assertRegex(said, 'has left for the destination')
        wait_until(lambda: not vm.qmp.cmd('query-status')['running'],
                   'the source stays stopped')
        self.assert_silent(vm)

    def assert_silent(self, vm):
        """No vCPU of it executes anything."""
        mark = vm.console.mark()
        vm.console.send('echo I run')
        with self.assertRaises(VmError):
            vm.console.wait_for('.', timeout=2, after=mark)

    def test_source_does_not_run_again_after_its_migration(self):
        source = self.source()
        dest, _ = self.migrate(source, guest_arguments(**SMALL))
        self.assert_does_not_run_again(source)
        self.assert_goes_on(dest)
        ok, line = verdict(dest.console)
        self.assertTrue(ok, line)
        type(self).realm = None

    def test_altered_last_records_start_no_second_copy(self):
        for kind in REC, START:
            self.log.info('with %s', kind)
            source, dest = self.source(), self.destination()
            change = Flip(kind)
            migration = self.migration(dest)
            path = self.path(dest.name)
            with Relay(self.path('relay'), path, change) as relay:
                migration.source_uri = relay.uri
                self.assert_refused('realm.* section: ', migration.run)
            self.assertTrue(change.done)
            self.assert_never_runs(dest)
            if source.qmp.cmd('query-status')['running']:
                self.assert_moves_on()
            else:
                self.assert_does_not_run_again(source)
                type(self).realm = None


if __name__ == '__main__':
    FailureTest.main()
