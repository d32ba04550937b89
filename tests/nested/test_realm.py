"""Our QEMU with KVM, as a host of Realms: on the newest kernel that can be had,
in a machine that has an RMM.

No released kernel has KVM for Realms yet.  Its test runs from the day on which
one is packaged, or given as KERNEL; until then it is a skip that names the
kernel.  What any VM is answered is compared with the stand-in of
tests/kvm-double today.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import time
import unittest

from case import NestedTest, with_facts
from machine import Guest, RealmHost, kvm_arguments

REALM = ['-object', 'rme-guest,id=rme0']
YES, NO = 0, 1              # enum Answer of kvm-realms.c


def require_realms(release, status, said):
    """Ends the test unless the kernel can run a Realm: with a skip if it knows
    none, else as a failure."""
    if status == NO:
        raise unittest.SkipTest(f'Linux {release} has no KVM for Realms: {said}')
    if status != YES:
        raise AssertionError(f'Linux {release}, asked for Realms by '
                             f'kvm-realms: status {status}: {said}')


@with_facts
class RealmTest(NestedTest):
    machine_type = RealmHost

    def reach_userspace(self, name, arguments):
        """Boots a guest; returns what its console says it is."""
        with Guest(self.machine, name, arguments) as guest:
            guest.console.wait_for('guest: userspace', 300)
            self.figure(f'after {time.monotonic() - guest.started:.1f} s')
            facts = guest.console.wait_for('guest: realm=.*')[0]
            guest.console.wait_for('guest: ready')
            self.assertEqual(guest.console.run('echo well'), (0, ['well']))
        return facts

    def test_ordinary_guest_reaches_userspace_beside_the_rmm(self):
        self.assertIn('realm=no', self.reach_userspace('beside',
                                                       kvm_arguments()))

    def test_realm_reaches_userspace(self):
        release = self.machine.run('uname -r')[1]
        status, said, _ = self.machine.run('kvm-realms')
        require_realms(release, status, said)
        self.assertIn('realm=yes', self.reach_userspace('realm', [
            *kvm_arguments('confidential-guest-support=rme0'), *REALM]))


if __name__ == '__main__':
    unittest.main(verbosity=2)
