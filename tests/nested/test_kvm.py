"""Our QEMU on a host with KVM: an ordinary guest runs, a Realm is refused where
KVM has none.  KVM answers what the stand-in of tests/kvm-double answers.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import shlex
import time
import unittest

from case import NestedTest, with_facts
from machine import PROGRAM, Guest, kvm_arguments

# How QEMU refuses a Realm that this KVM cannot run.
REFUSAL = 'KVM_CREATE_VM: this kernel cannot run a Realm'
REFUSAL_SECONDS = 5         # by the machine's clock
REFUSAL_TRIES = 3           # the fastest counts: the cores here are not ours alone


@with_facts
class KvmTest(NestedTest):

    def test_both_accelerators_are_there(self):
        status, said, _ = self.machine.run(f'{PROGRAM} -accel help')
        self.assertEqual(status, 0, said)
        self.assertEqual(sorted(said.splitlines()[1:]), ['kvm', 'tcg'])

    def test_guest_reaches_userspace(self):
        with Guest(self.machine, 'plain', kvm_arguments()) as guest:
            guest.console.wait_for('guest: userspace', 180)
            self.figure(f'after {time.monotonic() - guest.started:.1f} s')
            guest.console.wait_for('guest: ready')
            self.assertEqual(guest.console.run('echo well'), (0, ['well']))
            self.assertEqual(guest.qmp.cmd('query-kvm'),
                             {'enabled': True, 'present': True})

    def test_realm_is_refused(self):
        command = [PROGRAM, '-display', 'none',
                   *kvm_arguments('confidential-guest-support=rme0'),
                   '-object', 'rme-guest,id=rme0']
        tries = []
        for _ in range(REFUSAL_TRIES):
            status, said, seconds = self.machine.run(
                f'{shlex.join(command)} < /dev/null 2>&1')
            self.assertEqual(status, 1, said)
            self.assertRegex(said, REFUSAL)
            tries.append(seconds)
        self.figure(f'after {min(tries):.2f} s: {said}')
        self.assertLess(min(tries), REFUSAL_SECONDS, tries)


if __name__ == '__main__':
    unittest.main(verbosity=2)
