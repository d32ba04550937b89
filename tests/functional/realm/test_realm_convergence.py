#!/usr/bin/env python3
"""A migration comes to an end as its parameters say: a Realm's as that of an
ordinary guest, which goes through the same as its twin.

Each guest copies a file in memory, without end, and says so after each copy.
That is more than a migration with BANDWIDTH can send.  All tests share the
two guests, which move on where a migration ends.  One stands still while the
other one is looked at.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import itertools
import os
import re
import statistics
import time
from pathlib import Path

from realm_case import (Migration, RealmTest, guest_arguments, incoming,
                        wait_until)

MIB = 1 << 20
BANDWIDTH = 32 * MIB            # of the stream, in bytes/s
FIRST_ROUND = 128 * MIB         # which has all memory, and tells nothing
HOT_MIB = 16                    # that the guest writes again and again
DOWNTIME = 100                  # ms, in which BANDWIDTH sends 3.2 MiB
LONG = 3000                     # ms, in which it sends all that is hot
ROUNDS = 6                      # a migration that ends needs fewer

WRITER = (f'dd if=/dev/urandom of=/tmp/from bs=1M count={HOT_MIB} && '
          '{ while dd if=/tmp/from of=/tmp/to bs=1M conv=notrunc; do '
          'echo beat > /dev/console; done 2> /dev/null & }')


# A disk that reads as zeros, into memory that a Realm shares with it.
DISK = ['-blockdev', 'driver=null-co,node-name=disk,read-zeroes=on,'
                     f'size={64 * MIB}',
        '-device', 'virtio-blk-pci,drive=disk']
READER = ('{ while dd if=/dev/vda of=/dev/null bs=1M iflag=direct; do :; '
          'done 2> /dev/null & }; echo $! > /tmp/reader')

# What another test may have changed.
DEFAULTS = {'avail_switchover_bandwidth': 0, 'cpu_throttle_initial': 20,
            'cpu_throttle_increment': 10, 'max_cpu_throttle': 99}

# What the source decides by, and what it exports.
TRACE = ['migrate_transferred', 'migration_thread_low_pending',
         'realm_source_round', 'realm_exporter_bundle', 'cpu_throttle_set']


class Convergence(RealmTest):

    guests = {}                 # by whether it is a Realm; stopped

    def tracing(self, arguments):
        """... of the next QEMU that is started."""
        trace = self.path(f'trace{self.started + 1}')
        return arguments + ['-D', trace] + [
            text for event in TRACE for text in ('-trace', event)]

    def boot_writer(self, realm):
        """A guest that writes all the time."""
        arguments = guest_arguments(realm=realm, cpus=1, memory='384M',
                                    mte=False) + DISK
        vm = self.boot(self.tracing(arguments), shared=True)
        vm.migrated = arguments
        self.guest(vm, WRITER)
        vm.console.wait_for('^beat')
        return vm

    @contextlib.contextmanager
    def writer(self, realm):
        """The guest, wherever it is; one that fails is not used again."""
        self.cancelled_throttle = False
        self.here = self.guests.pop(realm, None)
        if self.here:
            self.here.qmp.cmd('cont')
        else:
            self.here = self.boot_writer(realm)
        try:
            yield self.here
        except BaseException:
            self.here.stop()
            raise
        if self.cancelled_throttle and not realm:
            # QEMU 10.0 may never slow it down again: its cpu_throttle_thread()
            # leaves throttle_thread_scheduled set.
            self.here.stop()
            return
        self.here.qmp.cmd('stop')
        self.guests[realm] = self.here

    def begin(self, vm, realm, bandwidth=BANDWIDTH, downtime=DOWNTIME,
              auto_converge=False, **parameters):
        """Starts its migration, which may be one that never ends.  The
        parameters count from the second round on."""
        dest = self.start(incoming(self.tracing(vm.migrated)), shared=True)
        dest.migrated = vm.migrated
        vm.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'auto-converge', 'state': auto_converge}])
        # So little may be left that it is not over before.
        vm.qmp.cmd('migrate-set-parameters', **{
            **DEFAULTS, **parameters, 'avail_switchover_bandwidth': MIB})
        uri = f'unix:{self.path(dest.name)}'
        migration = Migration(vm.qmp, dest.qmp, uri, plain=not realm,
                              bandwidth=FIRST_ROUND, downtime=1,
                              channels=self.channels, timeout=120)
        migration.dest_vm = dest
        migration.start()
        # Until then, the rounds are those of the migration before.
        wait_until(lambda: vm.qmp.cmd('query-migrate')['status'] != 'setup',
                   'it is set up')
        migration.wait_for_round(2)
        vm.qmp.cmd('migrate-set-parameters', max_bandwidth=bandwidth)
        wait_until(lambda: vm.qmp.cmd('query-migrate')['ram']['mbps']
                   < bandwidth * 8 / 1e6 * 1.5, 'the first round is forgotten')
        vm.qmp.cmd('migrate-set-parameters', **{
            **DEFAULTS, **parameters, 'downtime_limit': downtime})
        return migration

    def end(self, migration):
        """It ends by itself, and the guest goes on with its work."""
        migration.wait_for_end()
        report = migration.report()
        self.log.info('%s', report)
        self.here.stop()
        self.here = migration.dest_vm
        self.here.console.wait_for('^beat', after=self.here.console.mark())
        return report

    def cancel(self, migration):
        if self.throttle(self.here):
            self.cancelled_throttle = True
        self.assertEqual(migration.source.cmd('query-migrate')['status'],
                         'active')
        migration.source.cmd('migrate_cancel')
        wait_until(lambda: migration.source.cmd('query-migrate')['status']
                   in ('cancelled', 'failed'), 'it has ended')
        self.assert_cancelled(migration.source)
        migration.dest_vm.stop()

    def trace(self, vm):
        return Path(self.path(f'trace{vm.name.removeprefix("vm")}')).read_text(
            encoding='utf-8')

    def throttles(self, vm):
        """All that were ever set."""
        return [int(percent) for percent in
                re.findall(r'cpu_throttle_set .* (\d+)%', self.trace(vm))]

    def throttle(self, vm):
        return vm.qmp.cmd('query-migrate').get('cpu-throttle-percentage', 0)

    def both(self, check, channels=(0,)):
        """An ordinary guest and a Realm, with so many channels of multifd."""
        for self.channels in channels:
            for realm in False, True:
                with (self.subTest(realm=realm, channels=self.channels),
                      self.writer(realm) as vm):
                    check(vm, realm)

    def share_of_cpu(self, vm, seconds=2):
        """How much of one the guest's vCPU has."""
        thread = vm.qmp.cmd('query-cpus-fast')[0]['thread-id']

        def used():
            with open(f'/proc/{vm.process.pid}/task/{thread}/stat',
                      encoding='ascii', errors='replace') as file:
                user, system = file.read().rpartition(')')[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

        begin, before = time.monotonic(), used()
        time.sleep(seconds)
        return (used() - before) / (time.monotonic() - begin)

    # ---- What the throttle is for ----

    def test_without_auto_converge_it_does_not_end(self):
        def check(vm, realm):
            # The rounds of a guest that hardly gets to write are short.
            migration = self.begin(vm, realm, downtime=1)
            migration.wait_for_round(ROUNDS)
            self.assertEqual(self.throttle(vm), 0)
            self.assertFalse(migration.poll())
            self.cancel(migration)
        self.both(check)

    def test_with_auto_converge_it_ends(self):
        """When it expects the guest to stand still no longer than it may."""
        def check(vm, realm):
            first = 99 if self.channels else 50
            migration = self.begin(vm, realm, auto_converge=True,
                                   cpu_throttle_initial=first,
                                   cpu_throttle_increment=49)
            report = self.end(migration)
            self.assertLess(report['downtime'], LONG)
            self.assert_decided_by(DOWNTIME, vm, realm)
        self.both(check, channels=(0, 2))

    def test_the_throttle_rises_as_its_parameters_say(self):
        def check(vm, realm):
            if self.channels and not realm:
                return              # nothing of ours is in that
            self.assertEqual(self.throttle(vm), 0)
            before = len(self.throttles(vm))
            migration = self.begin(vm, realm, downtime=1, auto_converge=True,
                                   cpu_throttle_initial=11,
                                   cpu_throttle_increment=7,
                                   max_cpu_throttle=25)
            wait_until(lambda: self.throttle(vm) == 25, 'it is at its maximum',
                       90)
            steps = itertools.groupby(self.throttles(vm)[before:])
            self.assertEqual([step for step, _ in steps], [11, 18, 25])
            self.cancel(migration)
        self.both(check, channels=(0, 2))

    def test_the_throttle_slows_the_guest_until_it_is_cancelled(self):
        def check(vm, realm):
            # A machine with other work may not have a whole CPU for it.
            before = max(self.share_of_cpu(vm) for _ in range(2))
            # The round that begins with the throttle outlasts the seconds: the
            # next one may be the last.
            migration = self.begin(vm, realm, bandwidth=HOT_MIB * MIB // 5,
                                   downtime=1, auto_converge=True,
                                   cpu_throttle_initial=99)
            wait_until(lambda: self.throttle(vm), 'it is throttled')
            slow = self.share_of_cpu(vm)
            self.cancel(migration)
            self.log.info('realm %d: %.2f, then %.2f of a CPU', realm, before,
                          slow)
            self.assertLess(slow, before / 4)
            wait_until(lambda: self.share_of_cpu(vm) > before / 4,
                       'it is as fast as before')
        self.both(check)

    # ---- Bandwidth ----

    def share_of_bandwidth(self, vm):
        """How much of BANDWIDTH it has for some seconds."""
        begin = time.monotonic()
        sent = vm.qmp.cmd('query-migrate')['ram']['transferred']
        time.sleep(3)
        info = vm.qmp.cmd('query-migrate')
        self.assertEqual(info['status'], 'active')
        return ((info['ram']['transferred'] - sent)
                / (time.monotonic() - begin) / BANDWIDTH)

    def test_it_sends_what_max_bandwidth_says(self):
        """Never more; less for a while, if the machine has other work."""
        def check(vm, realm):
            migration = self.begin(vm, realm, downtime=1)
            time.sleep(0.3)
            shares = [self.share_of_bandwidth(vm)]
            while shares[-1] < 0.9 and len(shares) < 20:
                shares.append(self.share_of_bandwidth(vm))
            self.log.info('realm %d, channels %d: %s', realm, self.channels,
                          shares)
            if realm or not self.channels:      # QEMU's own sends more then
                self.assertLess(max(shares), 1.1)
            self.assertGreater(shares[-1], 0.9)
            self.cancel(migration)
        self.both(check, channels=(0, 2))

    def test_neither_kind_of_memory_waits_for_the_other_for_ever(self):
        """A new round begins when both have sent what they had."""
        def check(vm, realm):
            self.guest(vm, READER)
            migration = self.begin(vm, realm, downtime=1)
            before = vm.qmp.cmd('query-migrate')['ram']['normal']
            migration.wait_for_round(ROUNDS)
            after = vm.qmp.cmd('query-migrate')['ram']['normal']
            self.log.info('realm %d: %d pages of ram', realm, after - before)
            self.assertGreater(after, before)
            self.cancel(migration)
            self.guest(vm, 'kill $(cat /tmp/reader)')
        self.both(check)

    def test_what_is_expected_of_the_switchover_ends_it(self):
        """HOT_MIB are little where 1 GiB/s will be had for them."""
        def check(vm, realm):
            migration = self.begin(vm, realm,
                                   avail_switchover_bandwidth=1 << 30)
            migration.poll()
            begin = migration.samples[-1].rounds
            self.end(migration)
            self.assertLessEqual(migration.samples[-1].rounds, begin + 2)
        self.both(check, channels=(0, 2))

    def test_what_is_expected_of_the_switchover_delays_it(self):
        """HOT_MIB are little for LONG, but much where it has 1 MiB/s."""
        def check(vm, realm):
            migration = self.begin(vm, realm, downtime=LONG,
                                   avail_switchover_bandwidth=MIB)
            migration.wait_for_round(ROUNDS)
            self.assertFalse(migration.poll())
            vm.qmp.cmd('migrate-set-parameters', avail_switchover_bandwidth=0)
            self.end(migration)
        self.both(check, channels=(0, 2))

    # ---- Downtime ----

    def last_decision(self, vm):
        """Bytes that a source thought were left when it stopped its guest,
        those that it would allow, and those that it then exported of a Realm:
        of this round, and of what was written since it began."""
        before, after = self.trace(vm).split('migration_thread_low_pending')
        exported = [sum(map(int, re.findall(r' bytes (\d+)', part)))
                    for part in after.split('realm_source_round')]
        return (int(re.match(r' (\d+)', after)[1]),
                int(re.findall(r'max_size (\d+)', before)[-1]), exported)

    def assert_decided_by(self, downtime, vm, realm):
        """How long the rest takes is the machine's business.  What it is
        decided by is not: it is less than BANDWIDTH sends in that time.
        Returns what was expected, and what was exported."""
        expected, allowed, exported = self.last_decision(vm)
        self.log.info('realm %d, channels %d: expected %d allowed %d '
                      'exported %s', realm, self.channels, expected, allowed,
                      exported)
        self.assertLess(expected, allowed)
        if realm or not self.channels:          # QEMU's own sends more then
            self.assertLess(allowed, BANDWIDTH * downtime // 1000 * 5 // 4)
        if realm:
            rest, last = exported
            self.assertAlmostEqual(rest, expected,
                                   delta=max(expected // 8, MIB))
            self.assertLess(last, 2 * HOT_MIB * MIB)

    def test_a_longer_downtime_ends_it(self):
        """All of the hot memory may be sent while the guest stands still, and
        the estimate is what is exported then."""
        def check(vm, realm):
            migration = self.begin(vm, realm)
            migration.wait_for_round(3)
            vm.qmp.cmd('migrate-set-parameters', downtime_limit=LONG)
            report = self.end(migration)
            self.assertLess(report['downtime'], LONG)
            self.assert_decided_by(LONG, vm, realm)
        self.both(check, channels=(0, 2))

    def expected_downtime(self, vm):
        """In ms.  It is made anew in each tenth of a second, from what was sent
        in that: the median says what holds."""
        samples = []
        for _ in range(9):
            time.sleep(0.15)
            samples.append(vm.qmp.cmd('query-migrate')['expected-downtime'])
        return statistics.median(samples)

    def test_expected_downtime_counts_all_memory(self):
        """That of HOT_MIB at half of BANDWIDTH is a second."""
        def check(vm, realm):
            migration = self.begin(vm, realm, bandwidth=BANDWIDTH // 2)
            wait_until(lambda: vm.qmp.cmd('query-migrate')['ram']
                       ['dirty-pages-rate'] > HOT_MIB * MIB // 4096 // 4,
                       'it says how fast the guest writes')
            wait_until(lambda: 500 < self.expected_downtime(vm) < 4000,
                       'it is about a second')
            self.cancel(migration)
        self.both(check)


if __name__ == '__main__':
    Convergence.main()
