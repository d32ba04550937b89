#!/usr/bin/env python3
"""Whatever goes wrong with a migration, at most one side runs the Realm, and
until the very end that is the source.

One Realm is used by all tests: it has to survive each failure, and each test
ends by moving it on, with a program in it that checks its memory.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import (Migration, MigrationError, RealmTest, guest_arguments,
                        incoming, wait_until)
from realm_relay import EPOCH, MEMORY, REC, START, Cut, Flip, Relay
from realm_vm import VmError, verdict

MIB = 1 << 20
SMALL = {'cpus': 2, 'memory': '384M', 'append': 'realm.check=16,2,4'}
ENDED = ('failed', 'completed', 'cancelled')


class FailureTest(RealmTest):

    realm = None

    def source(self):
        """The Realm, wherever it is now."""
        cls = type(self)
        if cls.realm is None:
            cls.realm = self.boot(guest_arguments(**SMALL), shared=True)
            cls.realm.console.wait_for('realm-check: start')
        return cls.realm

    def destination(self, **options):
        return self.start(incoming(guest_arguments(**{**SMALL, **options})))

    def tearDown(self):
        # A Realm that a failed test broke is not used again.
        if self._outcome.result.errors or self._outcome.result.failures:
            type(self).realm = None
        super().tearDown()

    def assert_moves_on(self):
        """The source runs on, and a later migration of it works."""
        source = self.source()
        self.assert_goes_on(source)
        type(self).realm, _ = self.migrate(
            source, guest_arguments(**SMALL), shared=True)
        source.stop()
        self.assert_goes_on(self.realm)
        line = self.realm.console.wait_for(
            'realm-check: t=.*', after=self.realm.console.mark())[0]
        self.assertIn(' wrong_bytes=0 wrong_tags=0', line)

    def migration(self, dest, **options):
        return Migration(self.source().qmp, dest.qmp,
                         f'unix:{self.path(dest.name)}', timeout=60, **options)

    def start_slowly(self, dest):
        """A migration that is well in its first round, and stays there."""
        migration = self.migration(dest, bandwidth=16 * MIB)
        migration.start()
        wait_until(lambda: self.source().qmp.cmd('query-realm-migration')
                   ['private-pages'] > 1000, 'pages are moved')
        self.assertFalse(migration.poll())
        return migration

    def assert_never_runs(self, dest):
        """A destination with a failed migration cannot be made to run."""
        wait_until(lambda: dest.qmp.cmd('query-migrate').get('status')
                   == 'failed', 'the destination says that it failed')
        dest.qmp.try_cmd('cont')
        self.assertFalse(dest.qmp.cmd('query-status')['running'])
        self.assertEqual(dest.console.lines, [])

    def assert_fails(self, message, dest, change=None, runs_on=True):
        """A migration to @dest fails, for a reason that its error names."""
        migration = self.migration(dest)
        with Relay(self.path('relay'), self.path(dest.name), change) as relay:
            migration.source_uri = relay.uri
            self.assert_refused(message, migration.run)
        self.assert_never_runs(dest)
        reason = dest.qmp.cmd('query-migrate')['error-desc']
        self.assertRegex(reason, message)
        self.assertNotIn('\n', reason)
        if runs_on:
            self.assert_goes_on(self.source())


class Refused(FailureTest):
    """What is refused before anything has moved."""

    def test_migration_needs_an_accepted_offer(self):
        self.assert_refused('realm-migration-accept', self.source().qmp.cmd,
                            'migrate', uri='unix:/nowhere')
        self.assert_goes_on(self.source())

    def test_realm_created_with_migration_off_stays(self):
        stays = self.start(guest_arguments(cpus=1, memory='384M',
                                           migratable=False))
        wait_until(lambda: 'rim' in stays.qmp.cmd('query-realm'), 'it runs')
        self.assert_refused('migration=on', stays.qmp.cmd, 'migrate',
                            uri='unix:/nowhere')
        offer = self.destination().qmp.cmd('realm-migration-offer')['offer']
        self.assert_refused('migration=on', stays.qmp.cmd,
                            'realm-migration-accept', offer=offer)
        self.assertTrue(stays.qmp.cmd('query-status')['running'])

    def test_offer_serves_one_migration(self):
        dest = self.destination()
        offer = dest.qmp.cmd('realm-migration-offer')['offer']
        source = self.source().qmp
        source.cmd('realm-migration-accept', offer=offer)
        source.cmd('migrate', uri='unix:/nowhere')
        wait_until(lambda: source.cmd('query-migrate').get('status') in ENDED,
                   'the migration to nowhere ends')
        try:
            source.cmd('migrate', uri='unix:/nowhere')
        except Exception:                       # used up already: fine
            pass
        self.assert_refused('offer was used before', source.cmd,
                            'realm-migration-accept', offer=offer)
        self.assert_moves_on()

    def test_offer_that_is_none_is_refused(self):
        for offer, message in (('no!', 'base64'), ('AAAA', 'no offer'),
                               ('', 'offer'), ('A' * 12000000, 'at most')):
            with self.subTest(offer=offer[:20]):
                self.assert_refused(message, self.source().qmp.cmd,
                                    'realm-migration-accept', offer=offer)
        self.assert_goes_on(self.source())

    def test_offer_takes_a_waiting_realm(self):
        for arguments, message in (
                (incoming(guest_arguments(realm=False, memory='384M')),
                 'not a Realm.*rme-guest'),
                (guest_arguments(**SMALL), '-incoming defer')):
            vm = self.start(arguments)
            self.assert_refused(message, vm.qmp.cmd, 'realm-migration-offer')
            vm.stop()

    def test_realm_is_saved_neither_to_a_snapshot_nor_to_a_file(self):
        qmp = self.source().qmp
        self.assertIn('Realm', self.snapshot_error())
        dest = self.destination()
        offer = dest.qmp.cmd('realm-migration-offer')['offer']
        qmp.cmd('realm-migration-accept', offer=offer)
        qmp.try_cmd('migrate', uri=f'file:{self.path("file")}')
        wait_until(lambda: qmp.cmd('query-migrate').get('status') in ENDED,
                   'the migration to a file ends')
        info = qmp.cmd('query-migrate')
        self.assertEqual(info['status'], 'failed')
        self.assertRegex(info['error-desc'], 'Realm: .*file')
        self.assert_moves_on()

    def snapshot_error(self):
        """Tries snapshot-save to a new qcow2; returns what it says."""
        qmp = self.source().qmp
        path = self.path('qcow2')
        open(path, 'wb').close()
        qmp.cmd('blockdev-add', node_name='file', driver='file', filename=path)
        self.job('blockdev-create', options={
            'driver': 'qcow2', 'file': 'file', 'size': 512 * MIB})
        qmp.cmd('blockdev-add', node_name='disk', driver='qcow2', file='file')
        error = self.job('snapshot-save', tag='x', vmstate='disk',
                         devices=['disk'])
        for name in 'disk', 'file':
            qmp.cmd('blockdev-del', node_name=name)
        return error

    def job(self, command, **arguments):
        """Runs a job; returns its error, if any."""
        qmp = self.source().qmp
        qmp.cmd(command, job_id='job', **arguments)

        def ended():
            return [job for job in qmp.cmd('query-jobs')
                    if job['status'] == 'concluded']
        error = wait_until(ended, f'{command} ends')[0].get('error')
        qmp.cmd('job-dismiss', id='job')
        return error

    def test_what_cannot_carry_a_realm_is_refused(self):
        qmp = self.source().qmp
        for name in 'postcopy-ram', 'xbzrle', 'multifd', 'release-ram':
            with self.subTest(capability=name):
                def switch(on, name=name):
                    qmp.cmd('migrate-set-capabilities', capabilities=[
                        {'capability': name, 'state': on}])
                switch(True)
                self.assert_refused(f'Realm: {name} ', qmp.cmd, 'migrate',
                                    uri='unix:/nowhere')
                switch(False)
        self.assert_goes_on(self.source())


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
            with self.subTest(change=type(change).__name__):
                self.assert_fails(f'realm section: {message}',
                                  self.destination(), change)
                self.assertTrue(change.done)
        self.assert_moves_on()

    def test_stream_for_another_destination_is_refused(self):
        dest, other = self.destination(), self.destination()
        offer = other.qmp.cmd('realm-migration-offer')['offer']
        migration = self.migration(dest)
        real = self.source().qmp.cmd

        class Confused:
            """A source that is given the other destination's offer."""

            def cmd(self, command, **arguments):
                if command == 'realm-migration-accept':
                    arguments = {'offer': offer}
                return real(command, **arguments)

            def try_cmd(self, command, **arguments):
                return None
        migration.source = Confused()
        with self.assertRaises((MigrationError, AttributeError)):
            migration.run()
        self.assert_never_runs(dest)
        self.assertRegex(dest.qmp.cmd('query-migrate')['error-desc'],
                         'sealed for this offer')
        self.assert_moves_on()

    def test_destination_has_to_be_the_same_machine(self):
        rpv = 'personalization-value=' + 'A' * 84 + 'AQ=='
        for message, options in {
                'personalization-value differs': {'properties': rpv},
                'measurement-algorithm differs': {
                    'properties': 'measurement-algorithm=sha256'},
                'mte differs': {'mte': False},
                'numbers of vCPUs differ': {'cpus': 1},
                "Size mismatch|'ram'|-m of the source": {'memory': '512M'},
        }.items():
            with self.subTest(options=options):
                self.assert_fails(message, self.destination(**options))
        self.assert_moves_on()

    def test_ordinary_guest_never_starts_in_a_realm(self):
        ordinary = self.start(guest_arguments(**SMALL, realm=False))
        dest = self.destination()
        dest.qmp.cmd('realm-migration-offer')
        migration = Migration(ordinary.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', plain=True,
                              timeout=60)
        self.assert_refused('.', migration.run)
        self.assert_never_runs(dest)

    def test_realm_never_starts_in_an_ordinary_guest(self):
        dest = self.start(incoming(guest_arguments(**SMALL, realm=False)))
        other = self.destination()
        offer = other.qmp.cmd('realm-migration-offer')['offer']
        source = self.source().qmp
        source.cmd('realm-migration-accept', offer=offer)
        uri = f'unix:{self.path(dest.name)}'
        dest.qmp.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        source.cmd('migrate', uri=uri)
        wait_until(lambda: source.cmd('query-migrate').get('status') in ENDED,
                   'the migration ends')
        self.assertEqual(source.cmd('query-migrate')['status'], 'failed')
        self.assertFalse(dest.qmp.cmd('query-status')['running'])
        self.assert_moves_on()


class Last(FailureTest):
    """The end of a migration, and what is behind it."""

    def assert_does_not_run_again(self, vm):
        try:
            vm.qmp.cmd('cont')
        except Exception as err:                # pylint: disable=W0718
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
            with self.subTest(kind=kind):
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
    RealmTest.main()
