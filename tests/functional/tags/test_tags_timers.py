#!/usr/bin/env python3
"""Timers of an ordinary guest whose tags migrate, in every state and on each
vCPU, when it is moved.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from tags_case import TagsTest, arguments
from realm_timers import TimersMixin, payload_arguments


class Timers(TimersMixin, TagsTest):

    def test_every_state_on_every_vcpu(self):
        self.check_every_state_on_every_vcpu(payload_arguments(
            'virt,gic-version=3,mte=on,page-tags=on'), True)

    def move(self, source, args):
        dest = self.waiting(args)
        self.both(source, dest, ['return-path', 'multifd'])
        self.send(source, dest)
        self.capabilities(dest, 'multifd', on=False)
        return dest

    def test_linux_loses_no_timer(self):
        args = arguments(check='')
        self.check_linux(args, lambda vm: self.move(vm, args), 3)


if __name__ == '__main__':
    TagsTest.main()
