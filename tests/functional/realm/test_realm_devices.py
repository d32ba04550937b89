#!/usr/bin/env python3
"""Devices move a Realm's data, on PCI and on virtio-mmio.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re

from realm_case import RealmTest, guest_arguments, wait_until

MIB = 1 << 20
BUSES = 'pci', 'device'
LOAD = ('modprobe virtio_mmio; modprobe sd_mod; '
        'for alias in /sys/bus/virtio/devices/*/modalias; '
        'do modprobe -q $(cat $alias); done')
COPY = ('dd if=/dev/{0} bs=64k count=16 of=/dev/{0} seek=16 conv=fsync '
        '2>/dev/null')


class Devices(RealmTest):

    def disk(self, name):
        """A file of two MiB, of which the first is random."""
        with open(self.path(name), 'wb') as file:
            file.write(os.urandom(MIB) + bytes(MIB))
        return self.path(name)

    def assert_copied(self, name):
        with open(self.path(name), 'rb') as file:
            self.assertEqual(file.read(MIB), file.read(MIB), name)

    def arguments_for(self, bus, subnet):
        return [
            '-drive', f'if=none,id=blk-{bus},format=raw,'
                      f'file={self.disk(f"blk-{bus}")}',
            '-device', f'virtio-blk-{bus},drive=blk-{bus}',
            '-device', f'virtio-scsi-{bus},id=scsi-{bus}',
            '-drive', f'if=none,id=sd-{bus},format=raw,'
                      f'file={self.disk(f"sd-{bus}")}',
            '-device', f'scsi-hd,bus=scsi-{bus}.0,drive=sd-{bus}',
            '-device', f'virtio-serial-{bus},id=serial-{bus}',
            '-chardev', f'file,id=port-{bus},path={self.path(f"port-{bus}")}',
            '-device', f'virtserialport,bus=serial-{bus}.0,'
                       f'chardev=port-{bus}',
            '-device', f'virtio-rng-{bus}',
            '-netdev', f'user,id=net-{bus},net={subnet}.0/24',
            '-device', f'virtio-net-{bus},netdev=net-{bus}',
        ]

    def test_every_kind_of_device_on_every_bus(self):
        subnets = '10.0.4', '10.0.5'
        arguments = guest_arguments(cpus=2, memory='384M')
        for bus, subnet in zip(BUSES, subnets):
            arguments += self.arguments_for(bus, subnet)
        vm = self.boot(arguments)
        self.guest(vm, LOAD)
        wait_until(lambda: self.guest(vm, 'ls /dev').count('\nsd') == 2,
                   'both SCSI disks are there')
        for disk in 'vda', 'vdb', 'sda', 'sdb':
            self.guest(vm, COPY.format(disk))
        self.check_ports(vm)
        self.check_random_numbers(vm)
        for card in 'eth0', 'eth1':
            self.guest(vm, f'ip link set {card} up; ip addr flush dev {card}')
            reached = [self.pings(vm, card, subnet) for subnet in subnets]
            self.assertEqual(reached.count(True), 1, card)
        vm.stop()
        for bus in BUSES:
            self.assert_copied(f'blk-{bus}')
            self.assert_copied(f'sd-{bus}')

    def check_ports(self, vm):
        self.guest(vm, 'for port in /dev/vport*p*; do echo here > $port; done')
        for bus in BUSES:
            def said():
                with open(self.path(f'port-{bus}'), 'rb') as file:
                    return file.read()
            wait_until(lambda: said() == b'here\n', f'the port on {bus}')

    def check_random_numbers(self, vm):
        rng = '/sys/class/misc/hw_random'
        names = re.findall(r'virtio_rng\S+',
                           self.guest(vm, f'cat {rng}/rng_available'))
        self.assertEqual(len(names), 2)
        for name in names:
            self.guest(vm, f'echo {name} > {rng}/rng_current')
            self.guest(vm, 'test $(head -c 64 /dev/hwrng | wc -c) = 64')

    def pings(self, vm, card, subnet):
        self.guest(vm, f'ip addr add {subnet}.15/24 dev {card}')
        status, _ = vm.console.run(f'ping -c 1 -W 5 -I {card} {subnet}.2')
        self.guest(vm, f'ip addr flush dev {card}')
        return status == 0

    def test_firmware_configuration_is_read_without_dma(self):
        vm = self.boot(guest_arguments(cpus=1, memory='384M')
                       + ['-fw_cfg', 'name=opt/test,string=found'])
        self.guest(vm, 'modprobe qemu_fw_cfg')
        folder = '/sys/firmware/qemu_fw_cfg'
        self.assertEqual(self.guest(vm, f'cat {folder}/rev'), '1')
        self.assertEqual(
            self.guest(vm, f'cat {folder}/by_name/opt/test/raw; echo'),
            'found')


if __name__ == '__main__':
    RealmTest.main()
