#!/usr/bin/env python3
"""SVE and the PMU: a Realm has them if -cpu says so, it is measured, they
work, and they move with it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import os
import re
import struct
import subprocess

from realm_case import RealmTest, guest_arguments, wait_until
from realm_vm import REALM
from test_realm_secret import marker, process_has

SMALL = {'cpus': 2, 'memory': '512M'}
BOTH = 'max,sve=on,pmu=on'
PAGE = 4096
RAM, RAM_SIZE = 0x40000000, 0x40000000
PERIOD = 10000000               # of pmu-check
COUNT = '{ while [ ! -e /tmp/stop ]; do pmu-check; done > /tmp/pmu & }'

# RMM 1.0: RmiRealmFlags; RmmMeasurementDescriptor*; what the CPU has
SVE, PMU = 1 << 1, 1 << 2
DATA, REC, RIPAS = 0, 1, 2
BREAKPOINTS, WATCHPOINTS, COUNTERS = 5, 3, 6


class Measured:
    """A RIM as RMM 1.0 defines it, with SHA-512."""

    def __init__(self, ipa_bits, flags=0, vector_length=0, counters=0):
        params = bytearray(PAGE)
        struct.pack_into('<7Q', params, 0, flags, ipa_bits, vector_length,
                         BREAKPOINTS, WATCHPOINTS, counters, 1)
        self.rim = hashlib.sha512(params).digest()

    def extend(self, kind, contents):
        head = struct.pack('<QQ', kind, 256) + self.rim
        descriptor = (head + contents).ljust(256, b'\0')
        self.rim = hashlib.sha512(descriptor).digest()

    def ripas(self, base, top):
        self.extend(RIPAS, struct.pack('<QQ', base, top))

    def page(self, ipa, contents):
        self.extend(DATA, struct.pack('<QQ', ipa, 1)
                    + hashlib.sha512(contents).digest())

    def rec(self):
        """One that is runnable, at PC 0."""
        params = struct.pack('<Q', 1).ljust(PAGE, b'\0')
        self.extend(REC, hashlib.sha512(params).digest())


class Measurement(RealmTest):
    """Expected values are computed here, from the text of RMM 1.0.  The Realm
    has a device tree and nothing else, and its RAM is one entry of a table."""

    def arguments(self, cpu, machine=''):
        return ['-object', f'rme-guest,id={REALM}', '-m', str(RAM_SIZE >> 20),
                '-M', f'virt,confidential-guest-support={REALM}{machine}',
                '-cpu', cpu, '-nic', 'none']

    def device_tree(self, cpu):
        path = self.path('dtb')
        subprocess.run([os.environ['QEMU_PROGRAM'], '-display', 'none',
                        *self.arguments(cpu, f',dumpdtb={path}')], check=True,
                       capture_output=True)
        with open(path, 'rb') as file:
            dtb = file.read()
        return dtb + bytes(-len(dtb) % PAGE)

    def check(self, cpu, **features):
        with self.start(self.arguments(cpu)) as vm:
            info = wait_until(
                lambda: vm.qmp.cmd('query-realm').get('rim')
                and vm.qmp.cmd('query-realm'), 'a measurement')
        measured = Measured(info['ipa-width'], **features)
        measured.ripas(RAM, RAM + RAM_SIZE)
        dtb = self.device_tree(cpu)
        for at in range(0, len(dtb), PAGE):
            measured.page(RAM + at, dtb[at:at + PAGE])
        measured.rec()
        self.assertEqual(info['rim'], measured.rim.hex(), cpu)

    def test_neither_without_a_word(self):
        self.check('max')
        self.check('max,sve=off,pmu=off')

    def test_sve_and_the_longest_vector(self):
        self.check('max,sve=on', flags=SVE, vector_length=15)
        self.check('max,sve=on,sve512=on', flags=SVE, vector_length=3)
        self.check('max,sve-max-vq=1', flags=SVE, vector_length=0)

    def test_the_pmu_and_its_counters(self):
        self.check('max,pmu=on', flags=PMU, counters=COUNTERS)

    def test_both(self):
        self.check(f'{BOTH},sve-max-vq=8', flags=SVE | PMU, vector_length=7,
                   counters=COUNTERS)


class Features(RealmTest):

    def cpu_features(self, vm):
        text = self.guest(vm, 'grep -m1 Features /proc/cpuinfo')
        return set(text.split(':')[1].split())

    def pmus(self, vm):
        return [name for name in
                self.guest(vm, 'ls /sys/bus/event_source/devices').split()
                if name.startswith('armv8_pmu')]

    def check_cycles(self, lines):
        """What pmu-check has found adds up; returns how often it looked."""
        found = re.findall(r'ns=(\d+) user=(\d+) kernel=(\d+) '
                           r'samples=(\d+)', lines)
        self.log.info('%s', lines)
        for line in found:
            ns, user, kernel, samples = map(int, line)
            # A cycle of QEMU's is a nanosecond.
            self.assertGreater(user, PERIOD, lines)
            self.assertGreater(kernel, 0, lines)
            self.assertLess(user + kernel, ns * 1.01, lines)
            self.assertGreater(samples, 0, lines)
            self.assertLess(samples, ns / PERIOD + 2, lines)
        return len(found)

    def check_pmu(self, vm):
        """Cycles at EL0, and the interrupts of samples on each CPU."""
        self.assertEqual(self.check_cycles(self.guest(vm, 'pmu-check')),
                         SMALL['cpus'])
        interrupts = self.guest(vm, 'grep arm-pmu /proc/interrupts').split()
        for count in interrupts[1:1 + SMALL['cpus']]:
            self.assertGreater(int(count), 0)

    def check_wiped(self, source, text):
        """Not even vector registers are left, once the receipt has come."""
        wait_until(lambda: source.qmp.cmd('query-realm-migration')['phase']
                   == 'gone', 'the receipt comes')
        self.assertFalse(process_has(source, text))

    def test_linux_has_neither_without_a_word(self):
        vm = self.boot(guest_arguments(**SMALL))
        found = self.cpu_features(vm)
        self.assertEqual([f for f in found if 'sve' in f or 'sme' in f], [])
        self.assertEqual(self.pmus(vm), [])
        # What else the CPU has, the Realm has.
        self.assertLessEqual({'paca', 'pacg', 'dit', 'bti', 'mte'}, found)

    def test_sve_and_pmu_work_and_move(self):
        arguments = guest_arguments(**SMALL, cpu=BOTH)
        vm = self.boot(arguments)
        found = self.cpu_features(vm)
        self.assertLessEqual({'sve', 'sve2', 'paca', 'dit'}, found)
        self.assertEqual([f for f in found if 'sme' in f], [])
        self.assertEqual(len(self.pmus(vm)), 1)
        self.check_pmu(vm)
        text, reverse = marker()
        vm.console.send(f'{{ sve-state {reverse} & }}')
        vm.console.wait_for('sve-state: vl=256,16 ')
        self.guest(vm, COUNT)
        self.assertTrue(process_has(vm, text))
        for _ in range(3):
            source = vm
            vm, _ = self.migrate(source, arguments)
            self.check_wiped(source, text)
            source.stop()
            vm.console.wait_for('sve-state: vl=', after=vm.console.mark())
        line = self.guest(vm, 'touch /tmp/stop; killall sve-state; wait')
        self.assertRegex(line, r'verdict OK vl=256,16 .* wrong=0,0')
        # Counters were at work whenever the Realm moved.
        self.assertGreater(self.check_cycles(self.guest(vm, 'cat /tmp/pmu')),
                           10)
        self.check_pmu(vm)

    def test_a_destination_with_another_cpu_is_refused(self):
        source = self.boot(guest_arguments(**SMALL,
                                           cpu='max,sve-max-vq=4,pmu=on'))
        lengths = 'the SVE vector lengths differ; use the -cpu of the source'
        for cpu, message in (
                ('max,sve-max-vq=8,pmu=on', lengths),
                ('max,sve-max-vq=2,pmu=on', lengths),
                ('max,pmu=on', lengths),
                # As long, but 384 bits are not among them.
                ('max,sve512=on,pmu=on',
                 'cannot load the registers of a vCPU; use the -cpu'),
                ('max,sve-max-vq=4',
                 'the PMUs differ; use the -cpu of the source')):
            text = self.assert_refused('migration failed', self.migrate,
                                       source, guest_arguments(**SMALL,
                                                               cpu=cpu))
            said = [line for line in self.vms[-1].errors() if message in line]
            self.assertEqual(len(said), 1, (cpu, text, self.vms[-1].errors()))
            self.vms[-1].stop()
            self.assert_goes_on(source)


if __name__ == '__main__':
    RealmTest.main()
