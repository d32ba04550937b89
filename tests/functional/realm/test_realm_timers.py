#!/usr/bin/env python3
"""A Realm's timers, in every state and on each vCPU, when it is moved.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import RealmTest, guest_arguments
from realm_timers import TimersMixin, payload_arguments
from realm_vm import REALM


class Timers(TimersMixin, RealmTest):

    def test_every_state_on_every_vcpu(self):
        self.check_every_state_on_every_vcpu(payload_arguments(
            f'virt,gic-version=3,mte=on,confidential-guest-support={REALM}',
            '-object', f'rme-guest,id={REALM},migration=on,mte=on'), False)

    def test_linux_loses_no_timer(self):
        arguments = guest_arguments()
        self.check_linux(arguments,
                         lambda vm: self.migrate(vm, arguments)[0], 3)


if __name__ == '__main__':
    RealmTest.main()
