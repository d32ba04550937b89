#!/usr/bin/env python3
"""A debugger at a Realm sees zeros, leads it on, and leaves it as it was.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import subprocess
import time

from realm_case import RealmTest, guest_arguments, wait_until
from realm_gdb import Gdb

GDB_SECONDS = 60
CORE = 33 * 8 + 4               # X0 to X30, SP, PC and CPSR
BREAKPOINT_KINDS = range(5)     # software, hardware; write, read, access
LOOKS = 5                       # until that program is on a CPU


class Debugger(RealmTest):

    def guest_with_stub(self, realm):
        arguments = guest_arguments(realm=realm, cpus=2, memory='384M')
        vm = self.boot(arguments + ['-gdb', f'unix:{self.path("gdb")},'
                                            'server=on,wait=off'])
        self.addCleanup(os.unlink, self.path('gdb'))
        return vm

    def run_gdb(self, *commands):
        """What Debian's gdb prints; it ends in time, or the test fails."""
        arguments = ['gdb-multiarch', '-nx', '--batch',
                     '-ex', f'target remote {self.path("gdb")}']
        for command in commands:
            arguments += ['-ex', command]
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, timeout=GDB_SECONDS)
        text = done.stdout.decode()
        self.log.debug('gdb printed: %s', text)
        return text

    def assert_runs_on(self, vm):
        wait_until(lambda: vm.qmp.cmd('query-status')['running'],
                   'the guest runs when the debugger has gone')
        self.assert_goes_on(vm)

    def test_gdb_attaches_steps_and_detaches(self):
        vm = self.guest_with_stub(realm=True)
        text = self.run_gdb('info threads', 'stepi', 'print "stepped"',
                            'info registers', 'detach')
        self.assertEqual(len(re.findall(r'Thread 1\.\d .*CPU#\d', text)), 2)
        self.assertIn('stepped', text)
        registers = dict(re.findall(r'^(x\d+|sp|pc|cpsr) +(\S+)', text, re.M))
        self.assertEqual(set(registers.values()), {'0x0'})
        self.assertEqual(len(registers), 34)
        self.assertIn('detached', text)
        self.assert_runs_on(vm)

    def test_gdb_interrupts_and_continues_each_vcpu(self):
        vm = self.guest_with_stub(realm=True)
        for _ in range(3):
            text = self.run_gdb('thread 2', 'stepi', 'thread 1', 'stepi',
                                'stepi', 'detach')
            self.assertIn('detached', text)
            self.assert_runs_on(vm)

    def test_gdb_cannot_stop_a_realm_at_an_address(self):
        vm = self.guest_with_stub(realm=True)
        with Gdb(self.path('gdb')) as gdb:
            for kind in BREAKPOINT_KINDS:
                self.assertEqual(gdb.ask(f'Z{kind},40080000,4'), '')
        self.assert_runs_on(vm)
        text = self.run_gdb('hbreak *0x40080000', 'continue', 'detach')
        self.assertIn('Cannot insert hardware breakpoint', text)
        self.assert_runs_on(vm)

    def test_registers_are_zeros_and_stay_what_they_are(self):
        vm = self.guest_with_stub(realm=True)
        with Gdb(self.path('gdb')) as gdb:
            for cpu in range(2):
                gdb.select(cpu)
                self.assertEqual(gdb.registers(), bytes(CORE))
                self.assertEqual(gdb.ask('p20'), '0' * 16)
                gdb.ask('G' + 'ff' * CORE)
                gdb.ask('P20=' + 'ff' * 8)
                self.assertEqual(gdb.registers(), bytes(CORE))
        self.assert_runs_on(vm)

    def tags_seen(self, vm, wanted):
        """What the stub answers about the tags of a program that is on a
        CPU now and then: until it has said what is @wanted, and LOOKS times
        at least."""
        self.guest(vm, '{ mte-state > /dev/null & }')
        find = ("awk '/^[0-9a-f]+-/ { at = $1 } /^VmFlags:.* mt/ { print at }'"
                ' /proc/$(pidof mte-state)/smaps')
        at = wait_until(lambda: self.guest(vm, find), 'the program has tags')
        at = at.split('-')[0]
        answers, looks = [], 0
        deadline = time.monotonic() + 60
        while looks < LOOKS or (not wanted <= set(answers) and
                                time.monotonic() < deadline):
            looks += 1
            with Gdb(self.path('gdb')) as gdb:
                for cpu in range(2):
                    gdb.select(cpu)
                    answers += [gdb.ask(f'qIsAddressTagged:{at}'),
                                gdb.ask(f'qMemTags:{at},1:1'),
                                gdb.ask(f'QMemTags:{at},1:1:00')]
            self.assert_runs_on(vm)
        return answers

    def test_debugger_sees_the_tags_of_an_ordinary_guest(self):
        wanted = {'01', 'OK'}
        answers = self.tags_seen(self.guest_with_stub(realm=False), wanted)
        self.assertLessEqual(wanted, set(answers))

    def test_debugger_neither_sees_nor_sets_tags_of_a_realm(self):
        answers = self.tags_seen(self.guest_with_stub(realm=True), set())
        self.assertEqual(set(answers), {'E04'})


if __name__ == '__main__':
    RealmTest.main()
