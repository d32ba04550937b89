#!/usr/bin/env python3
"""A stock Linux boots at EL2 of a machine with an RMM, as a host of guests.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import unittest

from realm_case import RealmTest, guest_arguments

EDK2 = '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd'


def host_arguments(machine, append=''):
    arguments = guest_arguments(realm=False, mte=False, append=append)
    arguments[arguments.index('-M') + 1] = machine
    return arguments


class Boot(RealmTest):

    def said(self, vm, pattern):
        vm.console.wait_for(pattern, 1)

    def check_host(self, machine, append='', firmware=()):
        vm = self.boot([*host_arguments(machine, append), *firmware])
        self.said(vm, r'psci: SMC Calling Convention v1\.2')
        self.said(vm, 'CPU: All CPU.s. started at EL2')
        self.assertEqual(self.guest(vm, 'nproc'), '4')
        return vm

    def test_as_a_vhe_host(self):
        vm = self.check_host('virt,rmm=on')
        self.said(vm, r'kvm \[1\]: VHE mode initialized successfully')

    def test_as_an_nvhe_host(self):
        vm = self.check_host('virt,rmm=on', 'kvm-arm.mode=nvhe')
        self.said(vm, r'kvm \[1\]: Hyp nVHE mode initialized successfully')

    def test_with_memory_tags_of_its_own(self):
        vm = self.check_host('virt,rmm=on,mte=on')
        self.said(vm, 'guest: realm=no mte=yes')

    @unittest.skipUnless(os.path.exists(EDK2),
                         f'no {EDK2}; install qemu-efi-aarch64')
    def test_with_uefi(self):
        """Firmware at EL2 starts it, and there is ACPI."""
        vm = self.check_host('virt,rmm=on', firmware=('-bios', EDK2))
        self.said(vm, 'ACPI: RSDP')
        self.said(vm, r'kvm \[1\]: VHE mode initialized successfully')

    def test_reset(self):
        vm = self.boot(host_arguments('virt,rmm=on'))
        vm.qmp.cmd('set-action', reboot='reset')
        mark = vm.console.mark()
        vm.console.send('reboot -f')
        vm.console.wait_for('^guest: ready', 120, mark)
        self.assertEqual(self.guest(vm, 'nproc'), '4')


if __name__ == '__main__':
    RealmTest.main()
