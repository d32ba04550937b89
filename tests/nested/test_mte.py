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
from realm_vm import VmError, incoming, verdict

MIB = 1 << 20
# Little, so that a migration has a CPU, too.
CHECK = 'realm-check --memory 16 --threads 4 --rate 4 --verify 4'
TAGS_ONLY = ('realm-check --memory 16 --threads 2 --rate 8 --verify 4 '
             '--tags-only')
SLOW = 16 * MIB             # bytes/s: the first round takes some seconds
RESENT = 512                # pages of tags-only's 4096, at least
RING = 'kvm,dirty-ring-size=4096'
SOCKET = 'unix:/tmp/stream'
SAVED = 'file:/tmp/saved'   # in the machine
# A source says when it has set up, and when it begins to send pages.
TRACE = ['-trace', 'savevm_state_setup', '-trace', 'savevm_state_iterate']
UNKNOWN = "Unknown savevm section or instance 'mte-tags'"


def arguments(machine='mte=on', accel='kvm', cpu='host'):
    args = [*kvm_arguments(machine, memory='256M'), '-smp', '2']
    args[args.index('-accel') + 1] = accel
    args[args.index('-cpu') + 1] = cpu
    return args


def tcg_arguments():
    return [*arguments(accel='tcg', cpu='max'),
            '-global', 'migration.page-tags=on']


class MteTest(NestedTest):

    def setUp(self):
        self.started = 0

    def start(self, args):
        self.started += 1
        name = f'{self._testMethodName}-{self.started}'
        return self.enterContext(Guest(self.machine, name, args))

    def waiting(self, args=None):
        return self.start(incoming(args or arguments()))

    def boot(self, *commands, args=None):
        """A guest that has MTE and runs commands in the background."""
        guest = self.start(args or arguments())
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

    def fail_to_send(self, source, dest):
        with self.assertRaises(MigrationError) as caught:
            self.migration(source, dest).run()
        return str(caught.exception)

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
        migration.wait_for_round(2)
        before = migration.report()['pages']
        migration.finish()
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

    def test_dirty_ring(self):
        source = self.boot(CHECK, args=arguments(accel=RING))
        dest = self.waiting()
        self.capabilities(['return-path'], source, dest)
        self.migration(source, dest).run()
        self.assert_every_tag_is_right(dest)

    # ---- To another accelerator: tags go there, vCPUs and GIC do not ----

    def test_from_kvm_to_tcg_the_vcpu_is_refused_behind_the_tags(self):
        source = self.boot(CHECK, args=[
            *arguments(cpu='host,kvm-steal-time=off'), *TRACE])
        dest = self.waiting(tcg_arguments())
        self.capabilities(['return-path'], source, dest)
        self.fail_to_send(source, dest)
        self.assertIn('savevm_state_iterate', source.says())
        self.assertRegex(dest.says(), "of device 'cpu'$")
        self.assert_checks_still(source)

    def test_from_tcg_to_kvm_the_gic_is_refused_behind_the_tags(self):
        source = self.start([*tcg_arguments(), *TRACE])
        dest = self.waiting()
        self.capabilities(['return-path'], source, dest)
        self.fail_to_send(source, dest)
        self.assertIn('savevm_state_iterate', source.says())
        self.assertIn('KVM_SET_DEVICE_ATTR failed', dest.says())

    # ---- What is refused ----

    def test_tags_are_not_written_while_a_dirty_log_is_on(self):
        source, dest = self.boot(CHECK), self.waiting()
        dest.qmp.cmd('calc-dirty-rate', calc_time=60, mode='dirty-bitmap')
        self.capabilities(['return-path'], source, dest)
        said = self.fail_to_send(source, dest)
        self.figure(said)
        self.assertRegex(
            f'{said} {dest.says()}',
            'cannot copy the memory tags of 0x[0-9a-f]+ bytes at '
            '0x4[0-9a-f]{7} to the guest: KVM_ARM_MTE_COPY_TAGS: .*busy')
        dest.stop()
        self.assert_checks_still(source)
        again = self.waiting()
        self.capabilities(['return-path'], again)
        self.migration(source, again).run()
        self.assert_every_tag_is_right(again)

    def test_destination_without_mte_refuses_before_any_page(self):
        source = self.start([*arguments(), *TRACE])
        dest = self.waiting(arguments('mte=off'))
        self.capabilities(['return-path'], source, dest)
        self.fail_to_send(source, dest)
        self.assertIn(UNKNOWN, dest.says())
        self.assertIn('savevm_state_setup', source.says())
        self.assertNotIn('savevm_state_iterate', source.says())
        self.assertEqual(source.qmp.cmd('query-status')['status'], 'running')

    def test_xbzrle_is_refused_at_once(self):
        source = self.start(arguments())
        self.capabilities(['xbzrle'], source)
        with self.assertRaisesRegex(QmpError, 'mte-tags: xbzrle does not work'):
            source.qmp.cmd('migrate', uri=SOCKET)

    def test_page_tags_off_forbids_migration(self):
        off = [*arguments(), '-global', 'migration.page-tags=off']
        with self.assertRaisesRegex(QmpError, 'MTE'):
            self.start(off).qmp.cmd('migrate', uri=SOCKET)
        with self.assertRaisesRegex(VmError, 'status 1: .*page-tags to auto'):
            self.start([*off, '--only-migratable'])

    def test_only_migratable_has_tags(self):
        guest = self.start([*arguments(), '--only-migratable'])
        self.assertTrue(guest.qmp.cmd('query-status')['running'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
