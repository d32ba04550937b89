#!/usr/bin/env python3
"""What is refused before anything of a Realm has moved, and why.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import base64
import subprocess
import sys
from pathlib import Path

from realm_case import (MIGRATION_SECONDS, guest_arguments, incoming,
                        wait_until)
from realm_failing import MIB, SMALL, FailureTest


NONCE = base64.b64encode(bytes(32)).decode()


class Refused(FailureTest):

    def test_migration_needs_an_accepted_offer(self):
        self.switch('return-path', True)
        self.assert_refused('realm-migration-accept', self.source().qmp.cmd,
                            'migrate', uri='unix:/nowhere')
        self.assert_goes_on(self.source())

    def test_migration_needs_the_return_path(self):
        dest = self.destination(shared=True)
        self.accept(self.offer(self.source(), dest))
        self.switch('return-path', False)
        self.assert_refused('turn the capability return-path on',
                            self.source().qmp.cmd, 'migrate',
                            uri='unix:/nowhere')
        self.assert_goes_on(self.source())
        # The offer is not used up.
        self.switch('return-path', True)
        uri = f'unix:{self.path(dest.name)}'
        dest.qmp.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        self.source().qmp.cmd('migrate', uri=uri)
        self.assertEqual(self.wait_for_end(), 'completed')
        self.assert_moved_to(dest)

    def test_realm_created_with_migration_off_stays(self):
        stays = self.start(guest_arguments(cpus=1, memory='384M',
                                           migratable=False))
        wait_until(lambda: 'rim' in stays.qmp.cmd('query-realm'), 'it runs')
        self.assert_refused('migration=on', stays.qmp.cmd, 'migrate',
                            uri='unix:/nowhere')
        offer = self.offer(self.source(), self.destination())
        for command, arguments in (('prepare', {}),
                                   ('accept', {'offer': offer})):
            self.assert_refused('migration=on', stays.qmp.cmd,
                                f'realm-migration-{command}', **arguments)
        self.assertTrue(stays.qmp.cmd('query-status')['running'])

    def test_offer_serves_one_migration(self):
        migration = self.start_slowly(self.destination())
        migration.cancel()
        source = self.source().qmp
        self.assert_refused('realm-migration-accept', source.cmd, 'migrate',
                            uri='unix:/nowhere')
        for _ in range(2):
            self.assert_refused('not for the nonce .* or was used before',
                                source.cmd, 'realm-migration-accept',
                                offer=migration.offer)
            source.cmd('realm-migration-prepare')
        self.assert_moves_on()

    def test_offer_of_a_lost_destination_does_not_block_the_next(self):
        dest = self.destination()
        self.accept(self.offer(self.source(), dest))
        dest.stop()
        self.source().qmp.cmd('migrate', uri=f'unix:{self.path("nowhere")}')
        self.assertEqual(self.wait_for_end(), 'failed')
        self.assert_moves_on()

    def test_offer_that_was_not_used_gives_way_to_the_next(self):
        lost, dest = self.destination(), self.destination(shared=True)
        self.accept(self.offer(self.source(), lost))
        lost.stop()
        self.assertEqual(self.send(dest), 'completed')
        self.assert_moved_to(dest)

    def test_offer_for_another_nonce_is_left_alone(self):
        nonce = self.source().qmp.cmd('realm-migration-prepare')['nonce']
        dest = self.destination()
        dest.qmp.cmd('realm-migration-offer', nonce=nonce)
        self.accept(self.offer(self.source(), self.destination()))
        self.assert_refused('made here is for another nonce',
                            self.migration(dest).run)
        there = dest.qmp.cmd('query-realm-migration')
        self.assertEqual((there['phase'], there['nonce']), ('offered', nonce))
        self.assert_goes_on(self.source())

    def test_offer_that_is_none_is_refused(self):
        for offer, message in (
                ('no!', 'an offer is base64'), ('AAAA', 'no offer'),
                ('', 'no offer'), ('A' * 172, 'no offer')):
            self.assert_refused(message, self.source().qmp.cmd,
                                'realm-migration-accept', offer=offer)
        self.assert_goes_on(self.source())

    def assert_not_used_up(self, message, migration):
        text = self.assert_refused(message, migration.run)
        self.assertNotIn('cannot be used again', text)
        self.assert_goes_on(self.source())

    def test_try_that_failed_early_does_not_use_up_the_destination(self):
        dest = self.destination(shared=True)
        migration = self.migration(dest)
        migration.uri = migration.source_uri = 'nowhere:1'
        self.assert_not_used_up('unknown migration protocol', migration)
        self.switch('xbzrle', True)
        self.assert_not_used_up('xbzrle does not work', self.migration(dest))
        self.switch('xbzrle', False)
        migration = self.migration(dest)
        migration.source_uri = f'unix:{self.path("nobody")}'
        self.assert_not_used_up('migration failed.*nobody', migration)
        migration = self.migration(dest)
        migration.uri = migration.source_uri = f'unix:{self.path("other")}'
        self.assert_not_used_up(
            f'it listens at unix:{self.path(dest.name)}: use that, or end it',
            migration)
        self.migration(dest).run()
        self.assert_moved_to(dest)

    def assert_used_up(self, message, dest, uri=None):
        migration = self.migration(dest)
        migration.uri = uri or migration.uri
        text = self.assert_refused(message, migration.run)
        self.assertIn('the destination cannot be used again: end it, and '
                      'start another one with -incoming defer', text)
        self.assert_goes_on(self.source())

    def test_tls_on_the_destination_only_says_whether_it_is_used_up(self):
        """The connection ends before the source has begun, or just after:
        then the nonce of the offer has served."""
        tls = ['-object', 'tls-creds-anon,id=tls0,endpoint=server']
        dest = self.start(incoming(guest_arguments(**SMALL)) + tls,
                          shared=True)
        dest.qmp.cmd('migrate-set-parameters', tls_creds='tls0')
        text = self.assert_refused('migration failed',
                                   self.migration(dest).run)
        self.assert_goes_on(self.source())
        if 'cannot be used again' in text:
            self.assert_moves_on()
            return
        dest.qmp.cmd('migrate-set-parameters', tls_creds='')
        self.migration(dest).run()
        self.assert_moved_to(dest)

    def test_destination_that_could_not_listen_is_used_up(self):
        """As one of an ordinary guest is."""
        dest = self.destination()
        self.assert_used_up('no/folder', dest,
                            f'unix:{self.path("no/folder")}')
        self.assert_used_up('incoming state: setup', dest)
        self.assert_moves_on()

    def test_tls_on_the_source_only_uses_the_destination_up(self):
        source, dest = self.source().qmp, self.destination()
        source.cmd('object-add', qom_type='tls-creds-anon', id='tls1',
                   endpoint='client')
        source.cmd('migrate-set-parameters', tls_creds='tls1')
        self.assert_used_up('migration failed', dest)
        source.cmd('migrate-set-parameters', tls_creds='')
        source.cmd('object-del', id='tls1')
        self.assert_used_up('already been started', dest)
        self.assert_moves_on()

    def test_destination_that_is_to_stay_paused_has_the_realm(self):
        dest = self.start(incoming(guest_arguments(**SMALL)) + ['-S'],
                          shared=True)
        uri = f'unix:{self.path(dest.name)}'
        program = Path(__file__).parents[3] / 'scripts' / 'realm-migrate'
        for vm in self.source(), dest:
            vm.hang_up()
        result = subprocess.run([sys.executable, program,
                                 self.source().qmp_path, dest.qmp_path, uri],
                                timeout=MIGRATION_SECONDS, text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn('the guest is paused on the destination; cont runs it',
                      result.stdout)
        self.assertEqual(dest.qmp.cmd('query-status')['status'], 'paused')
        self.assertEqual(dest.qmp.cmd('query-realm-migration')['phase'],
                         'here')
        dest.qmp.cmd('cont')
        self.assert_moved_to(dest)

    def destination_with(self, *capabilities):
        """A destination; both sides have these on."""
        dest = self.destination(shared=True)
        off = [{'capability': name, 'state': False} for name in capabilities]
        on = [{'capability': name, 'state': True}
              for name in ('return-path', *capabilities)]
        for vm in self.source(), dest:
            vm.qmp.cmd('migrate-set-capabilities', capabilities=on)
            self.addCleanup(vm.qmp.try_cmd, 'migrate-set-capabilities',
                            capabilities=off)
        return dest

    def test_realm_moves_with_every_proven_capability(self):
        dest = self.destination_with(
            'auto-converge', 'events', 'late-block-activate',
            'switchover-ack', 'validate-uuid')
        self.assertEqual(self.send(dest), 'completed')
        self.assert_moved_to(dest)

    def test_realm_moves_after_a_pause_before_the_switchover(self):
        dest = self.destination_with('pause-before-switchover')
        self.accept(self.offer(self.source(), dest))
        uri = f'unix:{self.path(dest.name)}'
        dest.qmp.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        source = self.source().qmp
        source.cmd('migrate', uri=uri)
        wait_until(lambda: source.cmd('query-migrate')['status']
                   == 'pre-switchover', 'the source pauses')
        source.cmd('migrate-continue', state='pre-switchover')
        self.assertEqual(self.wait_for_end(), 'completed')
        self.assert_moved_to(dest)

    def test_offer_takes_a_waiting_realm(self):
        for arguments, message in (
                (incoming(guest_arguments(realm=False, memory='384M')),
                 'not a Realm.*rme-guest'),
                (guest_arguments(**SMALL), '-incoming defer')):
            vm = self.start(arguments)
            self.assert_refused(message, vm.qmp.cmd, 'realm-migration-offer',
                                nonce=NONCE)
            vm.stop()

    def test_realm_is_not_saved_to_a_file(self):
        qmp = self.source().qmp
        self.accept(self.offer(self.source(), self.destination()))
        qmp.cmd('migrate', uri=f'file:{self.path("file")}')
        self.assertEqual(self.wait_for_end(), 'failed')
        self.assertRegex(qmp.cmd('query-migrate')['error-desc'],
                         'Realm: .*file')
        self.assert_moves_on()

    def assert_no_snapshot(self):
        """Neither as it is, nor as soon as it may migrate, and for no other
        reason."""
        self.switch('return-path', False)
        errors = self.snapshot_errors()
        self.accept(self.offer(self.source(), self.destination()))
        for error in errors + self.snapshot_errors():
            self.assertIn('Realm: it can neither be saved to a snapshot nor '
                          'come from one', error)

    def test_realm_is_not_saved_to_a_snapshot(self):
        self.assert_no_snapshot()
        self.assert_moves_on()

    def test_paused_realm_is_not_saved_to_a_snapshot(self):
        qmp = self.source().qmp
        qmp.cmd('stop')
        self.assert_no_snapshot()
        self.assertEqual(qmp.cmd('query-status')['status'], 'paused')
        qmp.cmd('cont')
        self.assert_moves_on()

    def snapshot_errors(self):
        """Tries each command about snapshots on a new qcow2; returns what
        they say."""
        qmp = self.source().qmp
        path = self.path('qcow2')
        open(path, 'wb').close()
        qmp.cmd('blockdev-add', node_name='file', driver='file', filename=path)
        self.job('blockdev-create', options={
            'driver': 'qcow2', 'file': 'file', 'size': 512 * MIB})
        qmp.cmd('blockdev-add', node_name='disk', driver='qcow2', file='file')
        where = {'tag': 'x', 'vmstate': 'disk', 'devices': ['disk']}
        errors = [qmp.hmp('savevm x'), qmp.hmp('loadvm x'),
                  self.job('snapshot-save', **where),
                  self.assert_refused('snapshot-load', qmp.cmd,
                                      'snapshot-load', job_id='load', **where)]
        for name in 'disk', 'file':
            qmp.cmd('blockdev-del', node_name=name)
        return errors

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

    def test_mode_that_cannot_carry_a_realm_is_refused(self):
        qmp = self.source().qmp
        qmp.cmd('migrate-set-parameters', mode='cpr-reboot')
        self.assert_refused('Realm: mode cpr-reboot .*set it to normal',
                            qmp.cmd, 'migrate', uri=f'file:{self.path("cpr")}')
        qmp.cmd('migrate-set-parameters', mode='normal')
        self.assert_moves_on()

    def test_what_cannot_carry_a_realm_is_refused(self):
        for name in 'postcopy-ram', 'xbzrle', 'release-ram':
            self.switch(name, True)
            self.assert_refused(f'Realm: {name} .*turn it off',
                                self.source().qmp.cmd, 'migrate',
                                uri='unix:/nowhere')
            self.switch(name, False)
        self.assert_goes_on(self.source())


if __name__ == '__main__':
    FailureTest.main()
