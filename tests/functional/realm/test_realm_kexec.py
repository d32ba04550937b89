#!/usr/bin/env python3
"""A Realm starts its kernel again, and has vCPUs that are off, on its way.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import BOOT_SECONDS, RealmTest, guest_arguments
from realm_vm import disk_arguments, guest_file

MIB = 1 << 20
ONLINE = '/sys/devices/system/cpu/cpu1/online'


class Kexec(RealmTest):

    def disk(self):
        """A disk with the guest's own kernel and initramfs; returns its
        arguments for kexec-same."""
        sizes = []
        with open(self.path('disk'), 'wb') as disk:
            for name in 'Image', 'initramfs.cpio':
                disk.seek(-(-disk.tell() // MIB) * MIB)
                with open(guest_file(name), 'rb') as file:
                    sizes.append(disk.write(file.read()))
            disk.truncate(-(-disk.tell() // MIB) * MIB)
        return f'/dev/vda {sizes[0]} {sizes[1]}'

    def test_second_kernel_has_both_cpus_and_migrates_with_one_off(self):
        what = self.disk()
        arguments = (guest_arguments(cpus=2, memory='512M')
                     + disk_arguments(self.path('disk')))
        arguments = [a.replace('format=raw,', 'format=raw,file.locking=off,')
                     for a in arguments]
        vm = self.boot(arguments)
        self.guest(vm, f'echo 0 > {ONLINE}')
        start = vm.console.mark()
        vm.console.send(f'kexec-same {what}')
        vm.console.wait_for('RME: Using RSI version 1.0', BOOT_SECONDS, start)
        vm.console.wait_for('guest: realm=yes mte=yes cpus=2', BOOT_SECONDS,
                            start)
        vm.console.wait_for('^guest: ready', BOOT_SECONDS, start)

        self.guest(vm, f'echo 0 > {ONLINE}')
        dest, _ = self.migrate(vm, arguments)
        vm.stop()
        self.assertEqual(self.guest(dest, 'nproc'), '1')
        self.guest(dest, f'echo 1 > {ONLINE}')
        self.assertEqual(self.guest(dest, 'nproc'), '2')
        self.guest(dest, 'realm-check --selftest')
        self.assert_goes_on(dest)


if __name__ == '__main__':
    RealmTest.main()
