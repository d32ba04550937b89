"""Timers that are armed while a guest is moved; of Realms and other guests.

What is expected: a timer's condition is met when its counter reaches CVAL,
and its interrupt is asserted as long as that is so and it is enabled and not
masked (Arm ARM DDI 0487, D12.1).  While QEMU has stopped a machine, and from
the source's stop to the destination's start, both counters stand still: they
are QEMU's virtual clock, which migrates.  KVM's rule for other guests is the
same (kvm-no-adjvtime is off: KVM_REG_ARM_TIMER_CNT is saved and set).  So a
timer that is due within the downtime, as seen from outside, has its rest of
time left on arrival.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import time

from realm_case import Migration, incoming
from realm_vm import guest_file

STATES = ('far', 'due', 'overdue', 'masked', 'wfit')
ENDED = re.compile(r'timer-check: early=0 back=0 short=(\S+) long=(\S+)')


def payload_arguments(machine, *more):
    """QEMU's, for payload-timers: a vCPU for each state."""
    return ['-M', machine, '-cpu', 'max', '-smp', str(len(STATES)),
            '-m', '16M', '-nodefaults', '-nic', 'none',
            '-kernel', guest_file('payload-timers'), *more]


class Moment:
    """What a line like "armed COUNTER FREQUENCY" says, and the host's time
    after it."""

    def __init__(self, vm, what, after):
        found = vm.console.wait_for(rf'^{what} (\d+) (\d+)$', 60, after)
        self.guest = int(found[1]) / int(found[2])
        self.host = time.monotonic()


class TimersMixin:
    """For RealmTest: plain says that the guest is no Realm."""

    def move_stopped(self, source, arguments, plain, soon):
        """Moves a guest that is stopped, for longer than its timers wait;
        returns the destination, which runs, and for how long the guest stood
        still at least."""
        begin = time.monotonic()
        dest = self.start(incoming(arguments))
        Migration(source.qmp, dest.qmp, f'unix:{self.path(dest.name)}',
                  plain=plain, timeout=60).run()
        time.sleep(max(0, begin + soon - time.monotonic()))
        stopped = time.monotonic() - begin
        dest.qmp.cmd('cont')
        return dest, stopped

    def arm(self, vm, rotation):
        """Stops the guest before any timer is due that is not overdue; the
        times until they are, and before they were armed."""
        for exponent in range(6):
            mark, begin = vm.console.mark(), time.monotonic()
            vm.console.send(f'{rotation}{exponent}')
            armed = Moment(vm, 'armed', mark)
            vm.qmp.cmd('stop')
            if not any(line.startswith('woken')
                       for line in vm.console.lines[mark:]):
                return 0.25 * 2 ** exponent, begin, armed
            vm.qmp.cmd('cont')      # this host is too slow: leave it more time
            vm.console.send('')
            vm.console.wait_for('^done$', 60, mark)
        raise AssertionError('timers are due before the guest is stopped')

    def check_round(self, source, arguments, rotation, plain):
        soon, begin, armed = self.arm(source, rotation)
        vm, stopped = self.move_stopped(source, arguments, plain, soon)
        source.stop()
        vm.console.send('')
        arrived = Moment(vm, 'arrived', 0)
        vm.console.wait_for('^done$', 60)
        self.assertEqual([x for x in vm.console.lines if 'FAIL' in x], [])
        # The counter has not gone on while the guest stood still.
        passed = arrived.guest - armed.guest
        self.assertGreater(passed, 0)
        self.assertLess(passed, arrived.host - begin - stopped + 0.01)
        return vm

    def check_every_state_on_every_vcpu(self, arguments, plain):
        vm = self.start(arguments)
        vm.console.wait_for('^ready$', 60)
        for rotation in range(len(STATES)):
            vm = self.check_round(vm, arguments, rotation, plain)

    def sleeps(self, vm, after):
        """So many have ended on each CPU: short ones, long ones."""
        found = vm.console.wait_for(ENDED, 60, after)
        return [[int(n) for n in kind.split(',')] for kind in found.groups()]

    def wait_for_sleeps(self, vm):
        """Until sleeps of all kinds have ended again, on each CPU."""
        mark = vm.console.mark()
        first = self.sleeps(vm, mark)
        deadline = time.monotonic() + 60
        while True:
            last = self.sleeps(vm, mark)
            if all(a < b for one, other in zip(first, last)
                   for a, b in zip(one, other)):
                return
            self.assertLess(time.monotonic(), deadline,
                            f'a CPU waits for ever: {first}, {last}')
            mark = vm.console.mark()

    def check_linux(self, arguments, move, migrations):
        vm = self.boot(arguments)
        vm.console.send('timer-check < /dev/null &')
        for _ in range(migrations):
            self.wait_for_sleeps(vm)
            source, vm = vm, move(vm)
            source.stop()
        self.wait_for_sleeps(vm)
        mark = vm.console.mark()
        vm.console.send('killall -TERM timer-check')
        vm.console.wait_for('^timer-check: verdict OK ', 30, mark)
