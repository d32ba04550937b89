#!/usr/bin/env python3
"""A Realm cannot be reset: its machine ends, and nothing of it is touched.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import RealmTest, guest_arguments, wait_until


class Reset(RealmTest):

    def boot_small(self):
        vm = self.boot(guest_arguments(cpus=1, memory='256M'))
        # The tests' QEMUs end at a reset, unless told otherwise.
        vm.qmp.cmd('set-action', reboot='reset')
        return vm

    def says_why(self, vm):
        text = 'Realm: a Realm cannot be reset; the machine ends'
        wait_until(lambda: any(line.endswith(text) for line in vm.errors()),
                   'QEMU says why')

    def wait_for_status(self, vm, status):
        wait_until(lambda: vm.qmp.cmd('query-status')['status'] == status,
                   f'the machine is in status {status}')

    def assert_same_guest(self, vm):
        """The guest goes on where it was, and does not boot again."""
        self.assertEqual(self.guest(vm, 'cat /tmp/state'), 'set before')
        self.assert_goes_on(vm)
        boots = [line for line in vm.console.lines if 'Booting Linux' in line]
        self.assertEqual(len(boots), 1, boots)

    def test_reset_ends_the_machine(self):
        vm = self.boot_small()
        vm.qmp.cmd('system_reset')
        vm.wait(120)
        self.says_why(vm)

    def test_reset_touches_nothing_where_the_machine_stays(self):
        vm = self.boot_small()
        vm.qmp.cmd('set-action', shutdown='pause')
        self.guest(vm, 'echo set before > /tmp/state')
        vm.qmp.cmd('stop')
        vm.qmp.cmd('system_reset')
        self.says_why(vm)
        self.wait_for_status(vm, 'prelaunch')
        vm.qmp.cmd('cont')
        self.assert_same_guest(vm)

    def test_reset_of_a_running_realm_touches_nothing(self):
        vm = self.boot_small()
        vm.qmp.cmd('set-action', shutdown='pause')
        self.guest(vm, 'echo set before > /tmp/state')
        vm.qmp.cmd('system_reset')
        self.says_why(vm)
        self.wait_for_status(vm, 'shutdown')
        vm.qmp.cmd('system_reset')      # what QEMU wants before it goes on
        self.wait_for_status(vm, 'prelaunch')
        vm.qmp.cmd('cont')
        self.assert_same_guest(vm)


if __name__ == '__main__':
    RealmTest.main()
