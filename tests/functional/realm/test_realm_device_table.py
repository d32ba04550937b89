#!/usr/bin/env python3
"""Each device of docs/system/arm/realm-devices.csv works with a Realm, or is
refused for the reason that is there.

A device works if the guest moved data with it, and the other side has seen
that data.  What migrates does so again after a migration; what does not is
unplugged before.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import array
import csv
import filecmp
import mmap
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from realm_case import RealmTest, guest_arguments, wait_until
from realm_vm import program

TABLE = (Path(__file__).resolve().parents[3]
         / 'docs/system/arm/realm-devices.csv')
MIB = 1 << 20
PCI = '/sys/bus/pci/devices/0000:00:'
ROOT_PORTS = 5
FS = 3                          # where vhost-user-fs is
LEAVE = 0, FS, 4                # what is in them does not migrate

# Those that another test uses.
ELSEWHERE = {
    'virtio-scsi': 'test_realm_devices.py',
    'virtio-serial': 'test_realm_devices.py',
    'virtio-rng': 'test_realm_devices.py',
    'qemu-xhci': 'tests/qtest/realm/realm-device-test.c',
}
REFUSED = {
    'virtio-mem': 'virtio-mem-pci,memdev=m',
    'pc-dimm': 'pc-dimm,memdev=m',
    'virtio-iommu': 'virtio-iommu-pci',
    'vmcoreinfo': 'vmcoreinfo',
    'ramfb': 'ramfb',
    'pxb-pcie': 'pxb-pcie,bus_nr=128',
}
VIRTIOFSD = '/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'


def listens(path):
    """Whether somebody waits for connections to this socket."""
    with open('/proc/net/unix', encoding='utf-8') as file:
        return any(line.split()[7:] == [path]
                   and int(line.split()[3], 16) & 0x10000 for line in file)


class Neighbour(threading.Thread):
    """10.0.9.2: answers to ARP and pings in frames that come as datagrams."""

    MAC, ADDRESS = b'\x02neigh', b'\x0a\0\x09\x02'

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            frame, sender = self.socket.recvfrom(65536)
            answer = self.answer(bytearray(frame))
            if answer:
                self.socket.sendto(answer, sender)

    def answer(self, frame):
        frame[0:6], frame[6:12] = frame[6:12], self.MAC
        if frame[12:14] == b'\x08\x06' and frame[38:42] == self.ADDRESS:
            frame[20:22] = b'\0\x02'
            frame[32:42] = frame[22:32]
            frame[22:32] = self.MAC + self.ADDRESS
        elif (frame[12:14] == b'\x08\0' and frame[30:34] == self.ADDRESS
              and frame[23] == 1 and frame[34] == 8):
            frame[26:30], frame[30:34] = frame[30:34], frame[26:30]
            frame[34] = 0               # from 8: the checksum grows by that
            checksum = struct.unpack_from('!H', frame, 36)[0] + 0x800
            struct.pack_into('!H', frame, 36,
                             (checksum & 0xffff) + (checksum >> 16))
        else:
            return None
        return frame


class Peer(threading.Thread):
    """The server of an ivshmem-doorbell, and the only other client
    (docs/specs/ivshmem-spec.rst)."""

    NUMBER, GUEST = 7, 1

    def __init__(self, path):
        super().__init__(daemon=True)
        self.memory = os.memfd_create('ivshmem')
        os.ftruncate(self.memory, MIB)
        self.bell, guests_bell = os.eventfd(0), os.eventfd(0)
        self.messages = ((0,), (self.GUEST,), (-1, self.memory),
                         (self.NUMBER, self.bell), (self.GUEST, guests_bell))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.connection = None

    def run(self):
        self.connection, _ = self.socket.accept()
        for number, *files in self.messages:
            socket.send_fds(self.connection, [struct.pack('<q', number)],
                            files)


class DeviceTable(RealmTest):

    def setUp(self):
        super().setUp()
        self.build = Path(os.environ['QEMU_BUILD_ROOT'])
        with open(TABLE, newline='', encoding='utf-8') as file:
            self.table = {row['device']: row for row in csv.DictReader(file)}
        self.peer = None
        self.no_virtiofsd = None                # or why
        if os.geteuid():
            self.no_virtiofsd = 'virtiofsd needs root for sandbox=chroot'
        elif not any(map(os.path.exists, VIRTIOFSD)):
            self.no_virtiofsd = ('no virtiofsd; install the packages of '
                                 'buildenv/packages-check, or virtiofsd on '
                                 'Debian 13')

    def rows(self, column, value):
        return [name for name, row in self.table.items()
                if row[column] == value]

    # ---- What a test does on this side ----

    def disk(self, name):
        with open(self.path(name), 'wb') as file:
            file.truncate(2 * MIB)

    def serve(self, path, *command):
        """Runs a program that serves this socket, until the test ends."""
        with open(self.log_file(f'{Path(path).name}.log'), 'wb') as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.add_end(process.kill)
        wait_until(lambda: listens(path) or process.poll() is not None,
                   f'{command[0]} listens')
        self.assertIsNone(process.poll(), command)

    def wait_for_event(self, vm, name, **data):
        def there():
            vm.qmp.cmd('query-status')
            return any(event['event'] == name
                       and data.items() <= event.get('data', {}).items()
                       for event in vm.qmp.events)
        wait_until(there, name)

    # ---- What the guest does ----

    @staticmethod
    def in_port(number):
        """What is in a root port, for the guest's shell."""
        return f'{PCI}{number + 8:02x}.0/0000:??:00.0'

    def name(self, vm, where, kind):
        """A device's node, or network card."""
        return self.guest(vm, f'cd {where}/virtio*/{kind} && echo *')

    def use_disk(self, vm, node, name):
        """Fills one half, and copies that to the other."""
        with open(self.path(name), 'rb') as file:
            before = file.read(MIB)
            self.guest(vm, f'dd if=/dev/urandom of=/dev/{node} bs=64k '
                           'count=16 conv=fsync 2>/dev/null && '
                           f'dd if=/dev/{node} of=/dev/{node} bs=64k count=16 '
                           'seek=16 iflag=direct conv=fsync 2>/dev/null')
            file.seek(0)
            half = file.read(MIB)
            self.assertNotEqual(half, before)
            self.assertEqual(half, file.read(MIB))

    def ping(self, vm, card, subnet):
        self.guest(vm, f'ip addr flush dev {card}; ip link set {card} up; '
                       f'ip addr add {subnet}.15/24 dev {card}; '
                       f'ping -c 1 -W 30 -s 1000 -I {card} {subnet}.2')

    def register(self, vm, where, bar, offset, bits, *values):
        """Writes values to a register; returns what it reads there."""
        words = ' '.join(hex(value) for value in values)
        return int(self.guest(vm, f'cd {where} && echo 1 > enable && pci-bar . '
                                  f'{bar} {offset} {bits} {words}'), 0)

    def use_memory(self, vm, where, file):
        """What is written here is there, and the other way round."""
        with mmap.mmap(file, MIB) as memory:
            here, there = array.array('I', os.urandom(8))
            memory[4096:4100] = here.to_bytes(4, 'little')
            self.assertEqual(self.register(vm, where, 2, 4096, 32), here)
            self.register(vm, where, 2, 8192, 32, there)
            self.assertEqual(memory[8192:8196], there.to_bytes(4, 'little'))

    def plug(self, vm, number, what, **properties):
        vm.qmp.cmd('device_add', id=f'in{number}', bus=f'rp{number}',
                   **properties)
        wait_until(lambda: vm.console.run(f'ls {what}')[0] == 0, what)

    def unplug(self, vm, *numbers):
        """All at once, since the guest waits for 5 s before it lets one go."""
        for number in numbers:
            vm.qmp.cmd('device_del', id=f'in{number}')
        for number in numbers:
            self.wait_for_event(vm, 'DEVICE_DELETED', device=f'in{number}')
            self.guest(vm, f'test ! -e {self.in_port(number)}')

    # ---- Each device: its arguments, and its use ----

    def args_vhost_user_blk(self, side):
        path = self.path(f'{side}-blk')
        self.serve(path, self.build / 'storage-daemon/qemu-storage-daemon',
                   '--blockdev', 'driver=file,node-name=disk,locking=off,'
                                 f'filename={self.path("vhost-user")}',
                   '--export', 'type=vhost-user-blk,id=export,node-name=disk,'
                               f'writable=on,addr.type=unix,addr.path={path}')
        return ['-chardev', f'socket,id=blk,path={path}',
                '-device', 'vhost-user-blk-pci,chardev=blk,num-queues=1,addr=0x10']

    def use_vhost_user_blk(self, vm):
        self.use_disk(vm, self.name(vm, f'{PCI}10.0', 'block'), 'vhost-user')

    def args_vhost_user_net(self, side):
        path = self.path(f'{side}-net')
        neighbour = Neighbour()
        neighbour.start()
        self.serve(path, self.build / 'tests/functional/realm/vhost-user-bridge', '-u', path,
                   '-l', '127.0.0.1:0', '-r', f'127.0.0.1:{neighbour.port}')
        return ['-chardev', f'socket,id=net,path={path}',
                '-netdev', 'vhost-user,id=vhost,chardev=net',
                '-device', 'virtio-net-pci,netdev=vhost,addr=0x11,romfile=']

    def use_vhost_user_net(self, vm):
        self.ping(vm, self.name(vm, f'{PCI}11.0', 'net'), '10.0.9')

    def args_pvpanic_pci(self, _):
        return ['-device', 'pvpanic-pci,addr=0x12']

    def use_pvpanic_pci(self, vm):
        crash_loaded = 2
        self.register(vm, f'{PCI}12.0', 0, 0, 8, crash_loaded)
        self.wait_for_event(vm, 'GUEST_CRASHLOADED')

    def args_i6300esb(self, _):
        return ['-device', 'i6300esb,addr=0x13', '-action', 'watchdog=none']

    def use_i6300esb(self, vm):
        """Two spans of 16 ms, and nobody who begins them again."""
        where, reload, unlock = f'{PCI}13.0', 0xc, (0x80, 0x86)
        for span in 0, 4:
            self.register(vm, where, 0, reload, 16, *unlock)
            self.register(vm, where, 0, span, 32, 16)
        self.guest(vm, r"printf '\2' | dd bs=1 seek=104 conv=notrunc "
                       f'of={where}/config 2>/dev/null')
        self.wait_for_event(vm, 'WATCHDOG')

    def args_ivshmem_plain(self, _):
        with open(self.path('plain'), 'ab') as file:
            file.truncate(MIB)
        return ['-object', 'memory-backend-file,id=plain,share=on,size=1M,'
                           f'mem-path={self.path("plain")}',
                '-device', 'ivshmem-plain,memdev=plain,master=on,addr=0x14']

    def use_ivshmem_plain(self, vm):
        with open(self.path('plain'), 'r+b') as file:
            self.use_memory(vm, f'{PCI}14.0', file.fileno())

    def args_virtio_balloon(self, _):
        return ['-device', 'virtio-balloon-pci,addr=0x15']

    def use_virtio_balloon(self, vm):
        """Linux knows the device, and finds that it cannot use it; QEMU said
        what the table says."""
        self.guest(vm, f'ls {PCI}15.0/virtio*/status')
        self.guest(vm, 'cd /sys/bus/virtio/drivers/virtio_balloon && '
                       'test ! -e virtio*')
        said = [line for line in vm.errors() if 'balloon' in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn(self.table['virtio-balloon']['what to know']
                      .split(';')[0], said[0])

    def args_qemu_xhci(self, _):
        return ['-device', 'qemu-xhci,addr=0x16', '-device', 'usb-kbd',
                '-device', 'usb-tablet']

    def args_pcie_root_port(self, _):
        return [word for number in range(ROOT_PORTS) for word in (
            '-device', f'pcie-root-port,id=rp{number},chassis={number + 1},'
                       f'slot={number + 1},addr=0x{number + 8:x}')]

    def use_pcie_root_port(self, vm):
        """All that has come and gone there did so by its means."""
        self.assertRegex(self.guest(vm, 'cat /proc/interrupts'), 'pciehp')

    def use_nvme(self, vm):
        self.disk('nvme')
        vm.qmp.cmd('blockdev-add', node_name='nvme', driver='file',
                   filename=self.path('nvme'))
        self.plug(vm, 0, '/dev/nvme0n1', driver='nvme', drive='nvme',
                  serial='realm')
        self.use_disk(vm, 'nvme0n1', 'nvme')

    def args_virtio_blk(self, side):
        return ['-blockdev', 'driver=file,node-name=disk,locking=off,'
                             f'filename={self.path("virtio")}'] + (
            [] if side == 'source' else
            ['-device', 'virtio-blk-pci,id=in1,bus=rp1,drive=disk'])

    def plug_virtio_blk(self, vm):
        self.plug(vm, 1, f'-d {self.in_port(1)}/virtio*/block/vd*',
                  driver='virtio-blk-pci', drive='disk')

    def use_virtio_blk(self, vm):
        self.use_disk(vm, self.name(vm, self.in_port(1), 'block'), 'virtio')

    def args_virtio_net(self, side):
        return ['-netdev', 'user,id=user,net=10.0.8.0/24'] + (
            [] if side == 'source' else
            ['-device', 'virtio-net-pci,id=in2,bus=rp2,netdev=user,romfile='])

    def plug_virtio_net(self, vm):
        self.plug(vm, 2, f'-d {self.in_port(2)}/virtio*/net/eth*',
                  driver='virtio-net-pci', netdev='user', romfile='')

    def use_virtio_net(self, vm):
        self.ping(vm, self.name(vm, self.in_port(2), 'net'), '10.0.8')

    def args_vhost_user_fs(self, side):
        if side != 'source' or self.no_virtiofsd:
            return []
        path, folder = self.path('fs'), self.path('folder')
        os.mkdir(folder)
        virtiofsd = next(filter(os.path.exists, VIRTIOFSD))
        self.serve(path, virtiofsd, f'--socket-path={path}',
                   '-o', f'source={folder},sandbox=chroot')
        return ['-chardev', f'socket,id=fs,path={path}',
                '-device', 'vhost-user-fs-pci,id=in3,bus=rp3,chardev=fs,'
                           'tag=folder']

    def use_vhost_user_fs(self, vm):
        if self.no_virtiofsd:
            self.skipTest(self.no_virtiofsd)
        with open(self.path('folder/here'), 'wb') as file:
            file.write(os.urandom(MIB))
        self.guest(vm, 'mkdir -p /run/fs && mount -t virtiofs folder /run/fs '
                       '&& cp /run/fs/here /run/fs/there && umount /run/fs')
        self.assertTrue(filecmp.cmp(self.path('folder/here'),
                                    self.path('folder/there'), False))

    def args_ivshmem_doorbell(self, side):
        if side != 'source':
            return []
        self.peer = Peer(self.path('doorbell'))
        self.peer.start()
        return ['-chardev', f'socket,id=bell,path={self.path("doorbell")}',
                '-device', 'ivshmem-doorbell,id=in4,bus=rp4,chardev=bell,'
                           'vectors=1']

    def use_ivshmem_doorbell(self, vm):
        self.use_memory(vm, self.in_port(4), self.peer.memory)
        doorbell = 12
        self.register(vm, self.in_port(4), 0, doorbell, 32,
                      Peer.NUMBER << 16)
        self.assertEqual(os.eventfd_read(self.peer.bell), 1)

    # ---- The table ----

    def arguments(self, side):
        arguments = guest_arguments(cpus=2, memory='512M', mte=False) + [
            '-object', 'memory-backend-memfd,id=ram,size=512M,share=on',
            '-machine', 'memory-backend=ram', '-sandbox', 'on']
        for name in self.rows('with a Realm', 'works'):
            args = getattr(self, f'args_{name.replace("-", "_")}', None)
            arguments += args(side) if args else []
        return arguments

    def use(self, vm, name):
        if name not in ELSEWHERE:
            with self.subTest(name, vm=vm.name):
                getattr(self, f'use_{name.replace("-", "_")}')(vm)

    def test_what_works(self):
        for name in 'vhost-user', 'virtio':
            self.disk(name)
        source = self.boot(self.arguments('source'))
        self.plug_virtio_blk(source)
        self.plug_virtio_net(source)
        for name in self.rows('with a Realm', 'works'):
            self.use(source, name)
        self.unplug(source, *(number for number in LEAVE
                              if number != FS or not self.no_virtiofsd))
        dest, _ = self.migrate(source, self.arguments('destination'))
        source.stop()
        for name in self.rows('migrates', 'yes'):
            self.use(dest, name)
        self.assert_goes_on(dest)

    def test_what_is_refused(self):
        self.assertEqual(list(REFUSED), self.rows('with a Realm', 'refused'))
        for name, device in REFUSED.items():
            with self.subTest(name):
                done = subprocess.run(
                    [program(), '-accel', 'tcg', '-nodefaults', '-display',
                     'none', '-M', 'virt,confidential-guest-support=rme0',
                     '-object', 'rme-guest,id=rme0', '-object',
                     'memory-backend-ram,id=m,size=128M', '-device', device],
                    capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn('rme-guest: a Realm '
                              + self.table[name]['what to know']
                              + f'; leave {device.split(",")[0]} out',
                              done.stderr)


if __name__ == '__main__':
    RealmTest.main()
