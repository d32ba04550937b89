#!/usr/bin/env python3
"""What a Realm shares moves with it, and what it does not is not looked at.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import os
import socket

from realm_case import RealmTest, guest_arguments

MIB = 1 << 20
PAGE = 4096
SMALL = {'cpus': 2, 'memory': '384M', 'mte': False}
RAM = 0x40000000
SHARED_BIT = 1 << 40            # on this board
# Where Linux has private memory, and the host nothing.
UNSHARED = RAM + 90 * MIB
# Each time the driver comes and goes, its rings are shared and taken back.
CHANGE_HANDS = (
    'cd /sys/bus/virtio/drivers/virtio_blk; '
    'd=$(basename $PWD/virtio*); '
    'while [ ! -e /run/end ]; do '
    'echo $d > unbind; echo $d > bind; '
    'dd if=/dev/vda bs=256k iflag=direct 2> /dev/null | sha256sum '
    '>> /run/sums; '
    'done; '
    'touch /run/ended')


class QTest:
    """The accesses of something that is neither a vCPU nor a device."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(path)

    def write(self, address, data):
        self._socket.sendall(b'write 0x%x 0x%x 0x%s\n' % (
            address, len(data), data.hex().encode()))
        assert self._socket.recv(64).startswith(b'OK')


class Shared(RealmTest):

    def shared_ram(self, vm, address, size):
        """What the host sees there; what is private it shows as shared."""
        path = self.path('memory')
        vm.qmp.cmd('pmemsave', val=SHARED_BIT + address, size=size,
                   filename=path)
        with open(path, 'rb') as file:
            return file.read()

    def test_what_the_realm_never_shared_is_sent_if_it_was_written(self):
        arguments = guest_arguments(**SMALL)
        path = self.path('qtest')
        vm = self.boot(arguments + ['-qtest', f'unix:{path},server=on,'
                                    'wait=off', '-qtest-log', 'none'])
        self.assertEqual(self.shared_ram(vm, UNSHARED, PAGE), bytes(PAGE))
        data = os.urandom(PAGE)
        QTest(path).write(SHARED_BIT + UNSHARED, data)
        self.assertEqual(self.shared_ram(vm, UNSHARED, PAGE), data)
        for _ in range(3):
            vm, _ = self.migrate(vm, arguments)
            self.assertEqual(self.shared_ram(vm, UNSHARED, PAGE), data)
        self.assert_goes_on(vm)

    def test_pages_change_hands_while_it_moves(self):
        data = os.urandom(MIB)
        with open(self.path('disk'), 'wb') as file:
            file.write(data)
        arguments = guest_arguments(**SMALL) + [
            '-blockdev', 'driver=raw,node-name=disk,file.driver=file,'
                         f'file.filename={self.path("disk")}',
            '-device', 'virtio-blk-pci,drive=disk']
        vm = self.boot(arguments)
        self.guest(vm, f'({CHANGE_HANDS}) > /dev/null 2>&1 < /dev/null & true')
        sums = 0
        for _ in range(3):
            source = vm
            vm, _ = self.migrate(source, arguments, bandwidth=40 * MIB)
            source.stop()
            before = sums
            sums = int(self.guest(vm, 'sleep 1; wc -l < /run/sums'))
            self.assertGreater(sums, before)
        self.guest(vm, 'touch /run/end; while [ ! -e /run/ended ]; '
                       'do sleep 0.1; done')
        seen = self.guest(vm, 'sort -u /run/sums').split('\n')
        self.assertEqual(seen, [hashlib.sha256(data).hexdigest() + '  -'])

    def test_zero_pages_do_not_grow_with_its_size(self):
        counts = {}
        for size in 512, 2048:
            arguments = guest_arguments(cpus=2, memory=f'{size}M', mte=False)
            vm = self.boot(arguments)
            for number in 1, 2:
                source = vm
                vm, report = self.migrate(source, arguments)
                source.stop()
                counts[size, number] = report['zero-pages']
            vm.stop()
        self.log.debug('zero pages: %s', counts)
        # Bounce buffers, 64 MiB: the second size has 393216 pages more.
        for number in 1, 2:
            self.assertLess(counts[2048, number], counts[512, number] + 4096)
            self.assertLess(counts[2048, number], 80 * MIB / PAGE)


if __name__ == '__main__':
    RealmTest.main()
