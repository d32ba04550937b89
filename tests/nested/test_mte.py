"""An ordinary guest with MTE migrates with KVM: all tags, and state of vCPUs.

In the guest, realm-check's threads write data and tags, and verify each of
them; mte-state keeps the registers of MTE in use.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import time
import unittest

from case import NestedTest
from machine import Guest, kvm_arguments
from realm_qmp import Migration, MigrationError, QmpError
from realm_vm import incoming, verdict

MIB = 1 << 20
# Little, so that a migration has a CPU, too.
CHECK = 'realm-check --memory 16 --threads 4 --rate 4 --verify 4'
TAGS_ONLY = ('realm-check --memory 16 --threads 2 --rate 8 --verify 4 '
             '--tags-only')
SLOW = 16 * MIB             # bytes/s: the first round takes some seconds
RESENT = 512                # pages of tags-only's 4096, at least
SOCKET = 'unix:/tmp/stream'
SAVED = 'file:/tmp/saved'   # in the machine
UNKNOWN = "Unknown savevm section or instance 'mte-tags'"


def arguments(machine='mte=on'):
    return [*kvm_arguments(machine, memory='256M'), '-smp', '2']


class MteTest(NestedTest):

    def setUp(self):
        self.started = 0

    def start(self, args):
        self.started += 1
        name = f'{self._testMethodName}-{self.started}'
        return self.enterContext(Guest(self.machine, name, args))

    def waiting(self, args=None):
        return self.start(incoming(args or arguments()))

    def boot(self, *commands):
        """A guest that has MTE and runs commands in the background."""
        guest = self.start(arguments())
        guest.console.wait_for('guest: realm=no mte=yes', 180)
        guest.console.wait_for('guest: ready')
        for command in commands:
            guest.console.send(f'{command} < /dev/null &')
        if any('realm-check' in command for command in commands):
            guest.console.wait_for('realm-check: t=')
        return guest

    def capabilities(self, names, *guests):
        for guest in guests:
            guest.qmp.cmd('migrate-set-capabilities', capabilities=[
                {'capability': name, 'state': True} for name in names])

    def migration(self, source, dest, **options):
        return Migration(source.qmp, dest.qmp, SOCKET, plain=True,
                         timeout=120, **options)

    def assert_checks_still(self, guest):
        """realm-check runs, and finds nothing wrong."""
        line = guest.console.wait_for('realm-check: t=.*')[0]
        self.assertRegex(line, ' wrong_bytes=0 wrong_tags=0$')

    def assert_every_tag_is_right(self, guest):
        ok, line = verdict(guest.console)
        self.assertTrue(ok, line)
        self.assertNotIn(' tags=0 ', line)

    def assert_vcpu_state_is_right(self, guest):
        start = guest.console.mark()
        guest.console.send('killall -TERM mte-state')
        line = guest.console.wait_for('mte-state: verdict .*', 60, start)[0]
        self.assertRegex(line, 'verdict OK')

    # ---- What migrates ----

    def migrate_five_times(self, *names):
        guest = self.boot('mte-state', CHECK)
        begin, times = time.monotonic(), []
        for _ in range(5):
            dest = self.waiting()
            self.capabilities(names, guest, dest)
            report = self.migration(guest, dest).run()
            times.append(f'{report["total-time"] / 1000:.1f}')
            guest.stop()
            guest = dest
            self.assert_checks_still(guest)
        self.figure(f'{" ".join(times)} s, with all around them '
                    f'{time.monotonic() - begin:.1f} s')
        self.assert_vcpu_state_is_right(guest)
        self.assert_every_tag_is_right(guest)

    def test_five_migrations(self):
        self.migrate_five_times('return-path')

    def test_five_migrations_with_multifd(self):
        self.migrate_five_times('return-path', 'multifd')

    def test_page_dirtied_by_tag_stores_alone_is_sent_again(self):
        source, dest = self.boot(TAGS_ONLY), self.waiting()
        migration = self.migration(source, dest, bandwidth=SLOW)
        migration.start()
        while (not migration.poll()
               and migration.report()['rounds'] < 2):
            time.sleep(0.1)
        before = migration.report()['pages']
        source.qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        while not migration.poll():
            time.sleep(0.1)
        migration.wait_for_destination()
        again = migration.report()['pages'] - before
        self.figure(f'{again} pages again')
        self.assertGreater(again, RESENT)
        self.assert_every_tag_is_right(dest)

    def test_saved_to_a_file_and_restored(self):
        source, dest = self.boot('mte-state', CHECK), self.waiting()
        source.qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        source.qmp.cmd('migrate', uri=SAVED)
        while source.qmp.cmd('query-migrate')['status'] != 'completed':
            time.sleep(0.1)
        source.stop()
        dest.qmp.cmd('migrate-incoming', uri=SAVED)
        self.assert_checks_still(dest)
        self.assert_vcpu_state_is_right(dest)
        self.assert_every_tag_is_right(dest)

    # ---- What is refused ----

    def test_destination_without_mte_refuses_before_any_page(self):
        source = self.start(arguments())
        dest = self.waiting(arguments('mte=off'))
        self.capabilities(['return-path'], source, dest)
        with self.assertRaises(MigrationError):
            self.migration(source, dest).run()
        self.assertIn(UNKNOWN, dest.says())
        ram = source.qmp.cmd('query-migrate').get('ram', {})
        self.assertEqual(ram.get('normal', 0) + ram.get('duplicate', 0), 0)
        self.assertEqual(source.qmp.cmd('query-status')['status'], 'running')

    def test_xbzrle_is_refused_at_once(self):
        source = self.start(arguments())
        self.capabilities(['xbzrle'], source)
        with self.assertRaisesRegex(QmpError, 'mte-tags: xbzrle does not work'):
            source.qmp.cmd('migrate', uri=SOCKET)

    def test_page_tags_off_forbids_migration(self):
        source = self.start([*arguments(),
                             '-global', 'migration.page-tags=off'])
        with self.assertRaisesRegex(QmpError, 'MTE'):
            source.qmp.cmd('migrate', uri=SOCKET)


if __name__ == '__main__':
    unittest.main(verbosity=2)
