#!/usr/bin/env python3
"""Whatever goes wrong with a migration that has begun, at most one side runs
the Realm, and until the very end that is the source.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import base64
import struct

from realm_case import (MIGRATION_SECONDS, Migration, MigrationError, QmpError,
                        guest_arguments, incoming, wait_until)
from realm_failing import SMALL, FailureTest
from realm_gdb import Gdb
from realm_relay import (MEMORY, REC, START, STATE, Cut, Flip, Relay,
                         Replace, Sink)
from realm_vm import VmError, verdict

RPV = b'\1' * 64
OTHER_RPV = {'properties': 'personalization-value='
                           + base64.b64encode(RPV).decode()}
SHA256 = {'properties': 'measurement-algorithm=sha256'}


class Interrupted(FailureTest):
    """A migration that has begun, and then fails."""

    def test_cancelled_migration_leaves_the_source_running(self):
        dest = self.destination()
        migration = self.start_slowly(dest)
        migration.cancel()
        self.assert_cancelled(self.source().qmp)
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
        self.assert_moves_on()

    def wait_in_silence(self, sink):
        """Until the source waits for an answer, which does not come; its
        monitor answers meanwhile."""
        qmp = self.source().qmp
        qmp.cmd('migrate-set-parameters', downtime_limit=60000)     # ms
        self.accept(self.offer(self.source(), self.destination()))
        qmp.cmd('migrate', uri=sink.uri)
        wait_until(lambda: b'realm-ready' in sink.received,
                   'all but the start token is sent', MIGRATION_SECONDS)
        for _ in range(5):
            self.assertEqual(qmp.cmd('query-migrate')['status'], 'device')
            self.assertEqual(qmp.cmd('query-realm-migration')['phase'],
                             'paused')
        self.assertIn('Migration is not finalized yet',
                      self.assert_refused('.', qmp.cmd, 'cont'))

    def assert_no_token(self, stream):
        """It ends with the header of the section that has the token."""
        name = b'realm-start'
        self.assertEqual(len(stream) - stream.index(name), len(name) + 8)

    def test_silent_destination_is_ended_by_yank(self):
        with Sink(self.path('sink')) as sink:
            self.wait_in_silence(sink)
            self.source().qmp.cmd('yank', instances=[{'type': 'migration'}])
            self.assertEqual(self.wait_for_end(), 'failed')
        self.assert_no_token(sink.received)
        self.assert_moves_on()

    def test_silent_destination_is_ended_by_migrate_cancel(self):
        with Sink(self.path('sink')) as sink:
            self.wait_in_silence(sink)
            self.source().qmp.cmd('migrate_cancel')
            self.wait_for_end()
            self.assert_cancelled(self.source().qmp)
        self.assert_no_token(sink.received)
        self.assert_moves_on()

    def test_debugger_does_not_run_a_realm_that_is_handed_over(self):
        """One that goes lets the machine run."""
        qmp, stub = self.source().qmp, self.path('stub')
        qmp.hmp(f'gdbserver unix:{stub},server=on,wait=off')
        with Sink(self.path('sink')) as sink:
            self.wait_in_silence(sink)
            with Gdb(stub):
                pass
            self.assertEqual(qmp.cmd('query-status')['status'],
                             'finish-migrate')
            self.assertEqual(qmp.cmd('query-realm-migration')['phase'],
                             'paused')
            qmp.cmd('migrate_cancel')
            self.wait_for_end()
            self.assert_cancelled(self.source().qmp)
        qmp.hmp('gdbserver none')
        self.assert_no_token(sink.received)
        self.assert_moves_on()

    def test_stop_and_cont_do_not_end_a_migration(self):
        dest = self.destination(shared=True)
        migration = self.start_slowly(dest)
        qmp = self.source().qmp
        qmp.cmd('stop')
        self.assertFalse(migration.poll())
        self.assertEqual(qmp.cmd('query-status')['status'], 'paused')
        qmp.cmd('cont')
        self.assert_goes_on(self.source())
        self.assertFalse(migration.poll())
        qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        wait_until(migration.poll, 'the migration ends', MIGRATION_SECONDS)
        migration.wait_for_destination()
        self.assert_moved_to(dest)

    def test_paused_realm_moves_and_stays_paused(self):
        self.source().qmp.cmd('stop')
        dest, _ = self.migrate(self.source(), guest_arguments(**SMALL),
                               shared=True)
        self.assertEqual(dest.qmp.cmd('query-status')['status'], 'paused')
        self.assertEqual(dest.console.lines, [])
        dest.qmp.cmd('cont')
        self.assert_moved_to(dest)

    def test_stream_for_another_destination_is_refused(self):
        dest, other = self.destination(), self.destination()
        self.offer(self.source(), dest)
        self.assertEqual(self.send(dest, other), 'failed')
        self.assert_never_runs(dest)
        self.assertRegex('\n'.join(dest.errors()), 'answers another offer')
        self.assert_moves_on()

    def test_destination_has_to_be_the_same_machine(self):
        for option, options in {
                'personalization-value of rme-guest': OTHER_RPV,
                'measurement-algorithm of rme-guest': SHA256,
                '-smp': {'cpus': 1},
                'mte of -machine and rme-guest': {'mte': False},
                '-m': {'memory': '512M'},
        }.items():
            self.log.info('with %s', options)
            self.assert_fails(f'source and destination differ in {option}; '
                              'start the destination with the options',
                              self.destination(**options))
        self.assert_moves_on()

    def test_who_hides_a_difference_from_qemu_meets_the_rmm(self):
        for message, options, offset, value in (
                ('personalization-value differs', OTHER_RPV, 15, RPV),
                ('measurement-algorithm differs', SHA256, 13, b'\0'),
                ('numbers of vCPUs differ', {'cpus': 1}, 8,
                 struct.pack('>I', 1))):
            self.log.info('with %s', options)
            self.assert_fails(f'realm section: .*{message}',
                              self.destination(**options),
                              Replace('realm-config', offset, value))
        self.assert_moves_on()

    def test_ordinary_guest_never_starts_in_a_realm(self):
        ordinary = self.start(guest_arguments(**SMALL, realm=False))
        dest = self.destination()
        self.offer(self.source(), dest)
        migration = Migration(ordinary.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              timeout=MIGRATION_SECONDS)
        self.assert_refused('migration failed', migration.run)
        self.assert_never_runs(dest)
        # A Realm's board has no flash.
        self.assertIn('Unknown ramblock "virt.flash0"', dest.errors()[0])

    def test_realm_never_starts_in_an_ordinary_guest(self):
        dest = self.start(incoming(guest_arguments(**SMALL, realm=False)))
        self.assertEqual(self.send(dest, self.destination()), 'failed')
        self.assertFalse(dest.qmp.cmd('query-status')['running'])
        self.assert_moves_on()


class Last(FailureTest):
    """The end of a migration, and what is behind it."""

    def assert_does_not_run_again(self, vm, message):
        def says_why():
            said = []
            try:
                vm.qmp.cmd('cont')
            except QmpError as err:
                said = [str(err)]               # or QEMU tried it already
            return message in ' '.join(said + vm.errors())
        # Until its migration is at its end, QEMU says that instead.
        wait_until(says_why, 'QEMU says why')
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
        self.assert_does_not_run_again(source, 'never again here')
        self.assert_goes_on(dest)
        ok, line = verdict(dest.console)
        self.assertTrue(ok, line)
        type(self).realm = None

    def test_altered_last_records_leave_the_source_running(self):
        for change, message in {
                Flip(STATE): 'sealed',
                Flip(REC): 'sealed',
                Flip(REC, 2): 'sealed',
                Cut(REC, 2): 'the stream ends within a state record',
        }.items():
            self.log.info('with %s of %s', type(change).__name__,
                          change.begin)
            self.assert_fails(f'realm section: .*{message}',
                              self.destination(), change)
        self.assert_moves_on()

    def test_altered_start_token_seals_the_source_until_it_has_the_abort_token(
            self):
        source, dest = self.source(), self.destination()
        change = Flip(START)
        migration = self.migration(dest)
        migration.take_back = lambda: ''        # that is done below
        with Relay(self.path('relay'), self.path(dest.name), change) as relay:
            migration.source_uri = relay.uri
            self.assert_refused('realm-start section: ', migration.run)
        self.assertTrue(change.done)
        self.assert_never_runs(dest)
        self.assert_does_not_run_again(source,
                                       'it has left for the destination')
        token = dest.qmp.cmd('realm-migration-abort')['token']
        self.assert_refused('is no abort token', source.qmp.cmd,
                            'realm-migration-resume', token='AAAA')
        source.qmp.cmd('realm-migration-resume', token=token)
        mark = source.console.mark()
        source.qmp.cmd('cont')
        source.console.wait_for('^I run', after=mark)   # typed while sealed
        self.assert_moves_on()


if __name__ == '__main__':
    FailureTest.main()
