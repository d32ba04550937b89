"""An ordinary guest with MTE migrates with KVM: all tags, and state of vCPUs.

In the guest, realm-check's threads write data and tags, and verify each of
them; mte-state keeps the registers of MTE in use.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import time
import unittest

from case import NestedTest
from machine import PROGRAM, Guest, kvm_arguments
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
# A source says when it begins to send pages.
TRACE = ['-trace', 'savevm_state_iterate']
# It says how many records of tags a stream has: a page of zeros has one if its
# tags are not zero.
END = ['-trace', 'page_tags_end']
# It says whether a slot of its VM logs dirty pages: flags=0x1
SLOTS = ['-trace', 'kvm_set_user_memory']
DISPLAYS = ['-device', 'VGA,romfile=', '-device', 'bochs-display,romfile=']
UNKNOWN = "Unknown savevm section or instance 'mte-tags'"


def arguments(machine='mte=on', accel='kvm', cpu='host'):
    args = [*kvm_arguments(machine, memory='256M'), '-smp', '2']
    args[args.index('-accel') + 1] = accel
    args[args.index('-cpu') + 1] = cpu
    return args


def tcg_arguments():
    return arguments('mte=on,page-tags=on', accel='tcg', cpu='max')


def arguments_in(backend):
    """RAM of a backend, which goes by the same name in the stream."""
    return [*arguments('mte=on,memory-backend=mach-virt.ram'), '-object',
            f'{backend},id=mach-virt.ram,size=256M,'
            'x-use-canonical-path-for-ramblock-id=off']


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
        line = guest.console.wait_for('realm-check: t=.*',
                                      after=guest.console.mark())[0]
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

    def save(self, guest, uri):
        """Returns how many records of tags that took."""
        guest.qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        guest.qmp.cmd('migrate', uri=uri)
        while guest.qmp.cmd('query-migrate')['status'] != 'completed':
            time.sleep(0.1)
        return int(re.findall(r'mte-tags: (\d+) records', guest.says())[-1])

    def soiled(self, memory):
        """Whose memory had tags before it was this guest's."""
        command = {'hugetlb': 'echo 128 > /proc/sys/vm/nr_hugepages; '
                              'soil-tags 256',
                   'file': 'soil-tags 256 /run/ram'}[memory]
        status, said, _ = self.machine.run(command)
        self.assertEqual(status, 0, said)
        return self.waiting([*END, '-S', *arguments_in({
            'hugetlb': 'memory-backend-memfd,hugetlb=on',
            'file': 'memory-backend-file,mem-path=/run/ram,share=on'}[memory])])

    def restore_to(self, memory, records):
        """From the file SAVED, whose stream has so many of them."""
        dest = self.soiled(memory)
        dest.qmp.cmd('migrate-incoming', uri=SAVED)
        while dest.qmp.cmd('query-status')['status'] != 'paused':
            time.sleep(0.1)
        again = self.save(dest, 'file:/run/again')
        self.figure(f'{memory}: {again} records of {records}')
        self.assertEqual(again, records)
        dest.qmp.cmd('cont')
        self.assert_checks_still(dest)
        self.assert_vcpu_state_is_right(dest)
        self.assert_every_tag_is_right(dest)
        dest.stop()
        self.machine.run('rm -f /run/ram /run/again')

    def test_saved_to_a_file_and_restored_to_memory_that_had_tags(self):
        source = self.boot('mte-state', CHECK, args=[*arguments(), *END])
        source.qmp.cmd('stop')      # each page goes once
        records = self.save(source, SAVED)
        source.stop()
        for memory in 'file', 'hugetlb':
            with self.subTest(memory):
                self.restore_to(memory, records)

    def test_dirty_ring(self):
        source = self.boot(CHECK, args=arguments(accel=RING))
        dest = self.waiting()
        self.capabilities(['return-path'], source, dest)
        self.migration(source, dest).run()
        self.assert_every_tag_is_right(dest)

    def test_displays_log_dirty_pages_behind_the_tags(self):
        """No write of tags meets EBUSY, though each of these VMs logs once its
        guest or the stream has mapped a display's memory."""
        if 'bochs-display' not in self.machine.run(
                f'{PROGRAM} -device help')[1]:
            self.skipTest('QEMU has no displays; build it with --full')
        args = [*arguments(), *DISPLAYS, *SLOTS]
        guest = self.boot(CHECK, args=args)
        self.assertNotIn('flags=0x1 ', guest.says())
        guest.console.run('for device in /sys/bus/pci/devices/*; do '
                          'echo 1 > $device/enable; done')
        for _ in range(2):
            self.assertIn('flags=0x1 ', guest.says())
            dest = self.waiting(args)
            self.capabilities(['return-path'], guest, dest)
            self.migration(guest, dest).run()
            guest.stop()
            guest = dest
        self.assert_every_tag_is_right(guest)

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
        source = self.boot(CHECK)
        for accel, command, values in (
                ('kvm', 'calc-dirty-rate',
                 {'calc-time': 60, 'mode': 'dirty-bitmap'}),
                (RING, 'set-vcpu-dirty-limit', {'dirty-rate': 100})):
            dest = self.waiting(arguments(accel=accel))
            dest.qmp.cmd(command, **values)
            self.capabilities(['return-path'], source, dest)
            said = self.fail_to_send(source, dest)
            self.assertRegex(
                f'{said} {dest.says()}',
                'cannot copy the memory tags of 0x[0-9a-f]+ bytes at '
                '0x4[0-9a-f]{7} to the guest: KVM_ARM_MTE_COPY_TAGS: .*busy; '
                f'the VM logs dirty pages: end .*{command}')
            dest.stop()
        self.assert_checks_still(source)
        again = self.waiting()
        self.capabilities(['return-path'], again)
        self.migration(source, again).run()
        self.assert_every_tag_is_right(again)

    def test_destination_without_mte_refuses(self):
        source = self.start(arguments())
        dest = self.waiting(arguments('mte=off'))
        self.capabilities(['return-path'], source, dest)
        self.fail_to_send(source, dest)
        self.assertIn(UNKNOWN, dest.says())
        self.assertEqual(source.qmp.cmd('query-status')['status'], 'running')

    def test_xbzrle_is_refused_at_once(self):
        source = self.start(arguments())
        self.capabilities(['xbzrle'], source)
        with self.assertRaisesRegex(QmpError, 'mte-tags: xbzrle does not work'):
            source.qmp.cmd('migrate', uri=SOCKET)

    def test_page_tags_off_forbids_migration(self):
        off = arguments('mte=on,page-tags=off')
        with self.assertRaisesRegex(QmpError, 'MTE'):
            self.start(off).qmp.cmd('migrate', uri=SOCKET)
        with self.assertRaisesRegex(VmError, 'status 1: .*page-tags to auto'):
            self.start([*off, '--only-migratable'])

    def test_memory_device_is_refused_unless_page_tags_is_off(self):
        memory = ['-object', 'memory-backend-ram,id=m0,size=64M', '-device',
                  'virtio-mem-pci,memdev=m0', '-m', '256M,maxmem=1G']
        with self.assertRaisesRegex(VmError, 'status 1: .*virtio-mem-pci: with '
                                    'KVM and mte=on, the tags of its memory'):
            self.start([*arguments(), *memory])
        guest = self.start([*arguments('mte=on,page-tags=off'), *memory])
        self.assertTrue(guest.qmp.cmd('query-status')['running'])

    def test_only_migratable_has_tags(self):
        guest = self.start([*arguments(), '--only-migratable'])
        self.assertTrue(guest.qmp.cmd('query-status')['running'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
