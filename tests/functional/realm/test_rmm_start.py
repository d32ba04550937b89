#!/usr/bin/env python3
"""The first program of a machine with an RMM runs at Non-secure EL2, with all
that firmware does for it, however it was loaded; and after every reset.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import gzip

from realm_case import RealmTest
from realm_program import (FLAT_BASE, copied, efi_zboot, flat_image,
                           linux_image)
from realm_vm import guest_file

MACHINE = ['-M', 'virt,rmm=on', '-cpu', 'max', '-smp', '2', '-m', '128M',
           '-nic', 'none']
PROGRAM = 'rmm-start'
LOADED = 0x41000000             # behind the device tree
# One in the middle and the last that it checks.
CHECKS = ('streaming mode has all instructions there', 'but not twice')


class Program(RealmTest):

    def write(self, name, contents):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(contents)
        return path

    def wait_for_checks(self, vm, after=0):
        """All checks were made, and none failed."""
        vm.console.wait_for('^ready$', 30, after)
        lines = vm.console.lines[after:]
        self.assertEqual([x for x in lines if not x.startswith('ok ')],
                         ['ready'])
        for check in CHECKS:
            self.assertIn(f'ok {check}', lines)


class Start(Program):

    def check_starts(self, *arguments):
        vm = self.start([*MACHINE, *arguments])
        self.wait_for_checks(vm)
        vm.console.send('q')
        self.assertEqual(vm.wait(), 0)

    def test_elf_file(self):
        self.check_starts('-kernel', guest_file(PROGRAM))

    def test_flat_file(self):
        base, image = flat_image(guest_file(PROGRAM))
        self.assertEqual(base, FLAT_BASE)
        self.check_starts('-kernel', self.write('flat', image))

    def test_linux_image(self):
        image = linux_image(copied(guest_file(PROGRAM)))
        self.check_starts('-kernel', self.write('Image', image))

    def test_linux_image_with_gzip(self):
        image = gzip.compress(linux_image(copied(guest_file(PROGRAM))))
        self.check_starts('-kernel', self.write('Image.gz', image))

    def test_efi_zboot(self):
        image = efi_zboot(linux_image(copied(guest_file(PROGRAM))))
        self.check_starts('-kernel', self.write('zboot', image))

    def test_firmware(self):
        self.check_starts('-bios', self.write('bios',
                                              copied(guest_file(PROGRAM))))

    def test_flash(self):
        image = copied(guest_file(PROGRAM))
        path = self.write('flash', image.ljust(64 << 20, b'\0'))
        self.check_starts('-drive', f'if=pflash,format=raw,file={path},'
                          'readonly=on')

    def test_loader_device(self):
        path = self.write('loaded', copied(guest_file(PROGRAM)))
        self.check_starts('-device', f'loader,file={path},addr={LOADED:#x},'
                          'cpu-num=0,force-raw=on')


class Reset(Program):
    """The RMM knows nothing of what was before: a granule that was delegated
    can be delegated again."""

    def boot_program(self):
        vm = self.start([*MACHINE, '-kernel', guest_file(PROGRAM)])
        vm.qmp.cmd('set-action', reboot='reset')
        self.wait_for_checks(vm)
        return vm

    def check_again(self, vm, reset):
        mark = vm.console.mark()
        reset()
        self.wait_for_checks(vm, mark)

    def test_system_reset(self):
        vm = self.boot_program()
        self.check_again(vm, lambda: vm.qmp.cmd('system_reset'))
        self.check_again(vm, lambda: vm.qmp.cmd('system_reset'))

    def test_system_reset_of_psci(self):
        vm = self.boot_program()
        self.check_again(vm, lambda: vm.console.send('r'))

    def test_system_reset_while_stopped(self):
        vm = self.boot_program()
        vm.qmp.cmd('stop')
        vm.qmp.cmd('system_reset')
        self.check_again(vm, lambda: vm.qmp.cmd('cont'))


if __name__ == '__main__':
    RealmTest.main()
