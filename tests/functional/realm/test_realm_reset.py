#!/usr/bin/env python3
"""A Realm reboots: its machine's reset ends it, and builds another one from
the same images.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import socket

from qemu.utils import get_info_usernet_hostfwd_port
from realm_case import (BOOT_SECONDS, MIGRATION_SECONDS, Migration, RealmTest,
                        guest_arguments, incoming, wait_until)
from realm_program import copied, linux_image
from realm_vm import REALM, disk_arguments, guest_file

MIB = 1 << 20
REALM_PAGE = 4096
CPUS = 4
SMALL = {'cpus': 2, 'memory': '256M', 'mte': False}
RESETS = 20
IMAGE = 32 * MIB
# Of QEMU's own: the loaders, threads, and what malloc keeps.
SLACK = 16 * MIB
LITTLE = 4 * MIB


class Reset(RealmTest):

    def boot_for_resets(self, arguments):
        vm = self.boot(arguments)
        self.allow_resets(vm)
        return vm

    def allow_resets(self, vm):
        """The tests' QEMUs end at a reset, unless told otherwise."""
        vm.qmp.cmd('set-action', reboot='reset')

    def wait_for_boot(self, vm, mark):
        vm.console.wait_for('^guest: ready', BOOT_SECONDS, mark)

    def reset(self, vm):
        """Resets the machine, which runs, and waits until it is up again."""
        mark = vm.console.mark()
        vm.qmp.cmd('system_reset')
        self.wait_for_boot(vm, mark)

    def rim(self, vm):
        return vm.qmp.cmd('query-realm')['rim']

    def resets(self, vm):
        return sum(event['event'] == 'RESET' for event in vm.qmp.events)

    def wait_for_resets(self, vm, number):
        def seen():
            vm.qmp.cmd('query-status')
            return self.resets(vm) >= number
        wait_until(seen, f'{number} resets')

    def wait_for_words(self, vm, text):
        wait_until(lambda: any(text in line for line in vm.errors()),
                   f'QEMU says: {text}')

    def memory(self, vm):
        """Bytes of memory that QEMU alone has.  What TCG has translated is
        not counted: it grows for as long as guests run."""
        with open(f'/proc/{vm.process.pid}/smaps', encoding='utf-8') as file:
            maps = re.split(r'^[\da-f]+-[\da-f]+ (?=[r-])', file.read(),
                            flags=re.MULTILINE)
        return sum(int(size) for entry in maps if not entry.startswith('rwx')
                   for size in re.findall(r'^Private_\w+: +(\d+) kB$', entry,
                                          re.MULTILINE)) * 1024

    # ---- At one machine ----

    def guest_with_devices(self):
        disk = self.path('disk')
        with open(disk, 'wb') as file:
            file.truncate(MIB)
        return guest_arguments(
            cpus=CPUS, memory='384M',
            network='user,hostfwd=tcp:127.0.0.1:0-10.0.2.15:7') + [
            *disk_arguments(disk), '-trace', 'realm_host_ended']

    def echo(self, vm):
        """What the guest sends back through the network."""
        mark = vm.console.mark()
        vm.console.send('realm-check --tcp-echo 7 &')
        vm.console.wait_for('tcp-echo: ready', after=mark)
        port = get_info_usernet_hostfwd_port(vm.qmp.hmp('info usernet'))
        with socket.create_connection(('127.0.0.1', port), 60) as connection:
            connection.sendall(bytes(range(256)) * 2)
            answer = b''
            while len(answer) < 512:
                part = connection.recv(512)
                self.assertTrue(part, 'the guest hung up')
                answer += part
        return answer

    def assert_works(self, vm, written):
        """CPUs, tags, disk and network do; the disk is as it was left."""
        self.assertEqual(self.guest(vm, 'nproc'), str(CPUS))
        self.assertEqual(self.guest(vm, 'test ! -e /tmp/before && '
                                    'touch /tmp/before && '
                                    'head -c 5 /dev/vda; echo'), written)
        self.assertEqual(self.echo(vm), bytes(range(256)) * 2)

    def assert_nothing_left(self, vm, number):
        ended = [line for line in vm.errors(0) if 'realm_host_ended' in line]
        self.assertEqual(len(ended), number)
        for line in ended:
            self.assertIn(', 0 granules are still', line)

    def test_realm_reboots(self):
        vm = self.boot_for_resets(self.guest_with_devices())
        first = self.rim(vm)
        self.guest(vm, 'printf %-512s first | dd of=/dev/vda conv=fsync '
                       '2>/dev/null')
        self.assert_works(vm, 'first')
        with self.subTest('the guest reboots'):
            mark = vm.console.mark()
            vm.console.send('reboot -f')
            self.wait_for_boot(vm, mark)
            self.assertEqual(self.rim(vm), first)
            self.assert_works(vm, 'first')
            self.assert_nothing_left(vm, 1)
        with self.subTest('resets in a row, of a Realm that has just begun'):
            for number in range(2, RESETS // 2):
                vm.qmp.cmd('system_reset')
                self.wait_for_resets(vm, number)
            self.assertEqual(self.rim(vm), first)
        with self.subTest('and of one that has stopped'):
            self.reset_while_stopped(vm)
        self.wait_for_boot(vm, self.cont(vm))
        self.assertEqual(self.rim(vm), first)
        self.assert_works(vm, 'first')
        self.assert_nothing_left(vm, RESETS)
        with self.subTest('the user wants QEMU to end instead'):
            vm.qmp.cmd('set-action', reboot='shutdown')
            vm.console.send('reboot -f')
            self.assertEqual(vm.wait(), 0)

    def cont(self, vm):
        mark = vm.console.mark()
        vm.qmp.cmd('cont')
        return mark

    def reset_stopped(self, vm, number):
        """No Realm is built."""
        vm.qmp.cmd('system_reset')
        self.wait_for_resets(vm, number)
        self.assertEqual(vm.qmp.cmd('query-status')['status'], 'prelaunch')
        self.assertNotIn('rim', vm.qmp.cmd('query-realm'))

    def stop_at_the_start(self, vm):
        """Of the next Realm."""
        vm.qmp.cmd('cont')
        wait_until(lambda: 'rim' in vm.qmp.cmd('query-realm'),
                   'there is another Realm')
        vm.qmp.cmd('stop')

    def reset_while_stopped(self, vm):
        vm.qmp.cmd('stop')
        number = self.resets(vm) + 1
        self.reset_stopped(vm, number)
        for number in range(number + 1, RESETS + 1):
            self.stop_at_the_start(vm)
            self.reset_stopped(vm, number)

    def boot_with_large_image(self):
        """A Realm of many pages whose vCPU sleeps most of the time, so that
        QEMU has much for it, and little for what it does."""
        kernel, initrd = self.path('kernel'), self.path('initrd')
        with open(kernel, 'wb') as file:
            file.write(linux_image(copied(guest_file('payload-pages'))))
        with open(initrd, 'wb') as file:
            file.write(os.urandom(IMAGE))
        vm = self.start(['-object', f'rme-guest,id={REALM}',
                         '-M', f'virt,confidential-guest-support={REALM}',
                         '-m', '128M', '-nic', 'none',
                         '-kernel', kernel, '-initrd', initrd])
        self.allow_resets(vm)
        vm.console.wait_for('^generation', BOOT_SECONDS)
        return vm

    def test_a_reset_gives_memory_back(self):
        vm = self.boot_with_large_image()
        vm.qmp.cmd('stop')
        pages = vm.qmp.cmd('query-realm')['private-pages']
        self.assertGreaterEqual(pages * REALM_PAGE, IMAGE)
        # The images wait for the next Realm.
        expected = self.memory(vm) - pages * REALM_PAGE + IMAGE
        self.reset_stopped(vm, 1)
        without = self.memory(vm)
        self.assertLess(without, expected + SLACK)
        for number in range(2, RESETS + 1):
            self.stop_at_the_start(vm)
            self.reset_stopped(vm, number)
            self.assertLess(self.memory(vm), without + LITTLE)

    # ---- During a migration, and behind it ----

    def reset_cancels(self, source, arguments):
        """A Realm that is reset leaves nothing that could migrate."""
        dest = self.start(incoming(arguments))
        Migration(source.qmp, dest.qmp, f'unix:{self.path(dest.name)}',
                  bandwidth=8 * MIB).start()
        wait_until(lambda: source.qmp.cmd('query-realm-migration')
                   ['private-pages'] > 1000, 'pages are moved')
        self.reset(source)
        info = source.qmp.cmd('query-migrate')
        self.assertIn(info['status'], ('cancelled', 'failed'))
        self.assertIn('it was reset during its migration', info['error-desc'])
        self.assertEqual(source.qmp.cmd('query-realm-migration')['phase'],
                         'here')
        self.assertEqual(dest.console.lines, [])
        dest.stop()
        source.qmp.cmd('migrate-set-parameters', max_bandwidth=0)

    def refused(self, vm, phase, words):
        """Nothing is reset, and the Realm is where it was."""
        lines = len(vm.console.lines)
        vm.qmp.cmd('system_reset')
        self.wait_for_words(vm, f'Realm: cannot be reset: {words}')
        self.assertEqual(vm.qmp.cmd('query-realm-migration')['phase'], phase)
        self.assertEqual(len(vm.console.lines), lines)

    def move(self, source, dest):
        """Moves the Realm; a reset is refused where it is to come, and where
        it has left."""
        offer = self.offer(source, dest)
        self.refused(dest, 'offered', 'no migration has brought it')
        source.qmp.cmd('realm-migration-accept', offer=offer)
        uri = f'unix:{self.path(dest.name)}'
        dest.qmp.cmd('migrate-incoming', uri=uri)
        source.qmp.cmd('migrate', uri=uri)
        wait_until(lambda: source.qmp.cmd('query-realm-migration')['phase']
                   == 'gone', 'the Realm has left', MIGRATION_SECONDS)
        self.refused(source, 'gone', 'it runs on the destination')
        source.stop()

    def warns_of_other_images(self, vm):
        dest, _ = self.migrate(vm, guest_arguments(**SMALL, append='other'))
        self.allow_resets(dest)
        first = self.rim(dest)
        dest.qmp.cmd('stop')
        dest.qmp.cmd('system_reset')
        dest.qmp.cmd('cont')
        self.wait_for_words(dest, 'it has another initial measurement')
        self.assertNotEqual(self.rim(dest), first)

    def test_reset_and_migration(self):
        arguments = guest_arguments(**SMALL)
        source = self.boot_for_resets(arguments)
        first = self.rim(source)
        self.reset_cancels(source, arguments)
        self.assertEqual(self.rim(source), first)
        self.guest(source, 'touch /tmp/before')
        dest = self.start(incoming(arguments))
        self.allow_resets(dest)
        self.move(source, dest)
        self.guest(dest, 'test -e /tmp/before')
        self.reset(dest)
        self.guest(dest, 'test ! -e /tmp/before')
        self.assertEqual(self.rim(dest), first)
        self.warns_of_other_images(dest)


if __name__ == '__main__':
    RealmTest.main()
