#!/usr/bin/env python3
"""A migration comes to an end as its parameters say: a Realm's as that of an
ordinary guest, which goes through the same as its twin.

The guest copies a file in memory, without end, and says so after each copy.
That is more than a migration with BANDWIDTH can send.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import time

from realm_case import (Migration, RealmTest, guest_arguments, incoming,
                        wait_until)

MIB = 1 << 20
BANDWIDTH = 32 * MIB            # of the stream, in bytes/s
HOT_MIB = 32                    # that the guest writes again and again
DOWNTIME = 300                  # ms, in which BANDWIDTH sends 10 MiB
LONG = 3000                     # ms, in which it sends all that is hot
ROUNDS = 8                      # a migration that ends needs fewer

WRITER = (f'dd if=/dev/urandom of=/tmp/from bs=1M count={HOT_MIB} && '
          '{ while dd if=/tmp/from of=/tmp/to bs=1M conv=notrunc; do '
          'echo beat > /dev/console; done 2> /dev/null & }')


# A disk that reads as zeros, into memory that a Realm shares with it.
DISK = ['-blockdev', 'driver=null-co,node-name=disk,read-zeroes=on,'
                     f'size={64 * MIB}',
        '-device', 'virtio-blk-pci,drive=disk']
READER = ('{ while dd if=/dev/vda of=/dev/null bs=1M iflag=direct; do :; '
          'done 2> /dev/null & }')


class Convergence(RealmTest):

    def boot_writer(self, realm):
        """A guest that writes all the time."""
        self.arguments = guest_arguments(realm=realm, cpus=1, memory='512M',
                                         mte=False) + DISK
        vm = self.boot(self.arguments)
        self.guest(vm, WRITER)
        vm.console.wait_for('^beat')
        return vm

    def begin(self, vm, realm, bandwidth=BANDWIDTH, downtime=DOWNTIME,
              auto_converge=False, **parameters):
        """Starts its migration, which may be one that never ends."""
        dest = self.start(incoming(self.arguments))
        for side in vm, dest:
            side.qmp.cmd('migrate-set-capabilities', capabilities=[
                {'capability': 'multifd', 'state': self.channels > 0},
                {'capability': 'auto-converge', 'state': auto_converge}])
            side.qmp.cmd('migrate-set-parameters',
                         multifd_channels=self.channels or 1)
        if parameters:
            vm.qmp.cmd('migrate-set-parameters', **parameters)
        uri = f'unix:{self.path(dest.name)}'
        migration = Migration(vm.qmp, dest.qmp, uri, plain=not realm,
                              bandwidth=bandwidth, downtime=downtime,
                              timeout=120)
        migration.dest_vm = dest
        migration.start()
        return migration

    def end(self, migration):
        """It ends by itself, and the guest goes on with its work."""
        migration.wait_for_end()
        self.log.info('%s', migration.report())
        console = migration.dest_vm.console
        console.wait_for('^beat', after=console.mark())
        return migration.report()

    def cancel(self, vm):
        vm.qmp.cmd('migrate_cancel')
        wait_until(lambda: vm.qmp.cmd('query-migrate')['status'] == 'cancelled',
                   'it is cancelled')

    def throttle(self, vm):
        return vm.qmp.cmd('query-migrate').get('cpu-throttle-percentage', 0)

    def both(self, check, channels=(0,)):
        """An ordinary guest and a Realm, with so many channels of multifd."""
        for self.channels in channels:
            for realm in False, True:
                with self.subTest(realm=realm, channels=self.channels):
                    vm = self.boot_writer(realm)
                    check(vm, realm)
                    for vm in self.vms:
                        vm.stop()

    def beats(self, vm, seconds=4):
        """How often a second the guest does its work."""
        begin = time.monotonic()
        mark = vm.console.mark()
        time.sleep(seconds)
        found = vm.console.lines[mark:].count('beat')
        return found / (time.monotonic() - begin)

    # ---- What the throttle is for ----

    def test_without_auto_converge_it_does_not_end(self):
        def check(vm, realm):
            migration = self.begin(vm, realm)
            migration.wait_for_round(ROUNDS)
            self.assertEqual(self.throttle(vm), 0)
            self.assertFalse(migration.poll())
            self.cancel(vm)
        self.both(check)

    def test_with_auto_converge_it_ends(self):
        """And the guest stands still no longer than it may."""
        downtimes = []

        def check(vm, realm):
            migration = self.begin(vm, realm, auto_converge=True,
                                   cpu_throttle_initial=50,
                                   cpu_throttle_increment=20)
            downtimes.append(self.end(migration)['downtime'])
            self.assertLess(downtimes[-1], DOWNTIME + max(downtimes[0], 100))
        self.both(check, channels=(0, 2))

    def test_the_throttle_rises_as_its_parameters_say(self):
        def check(vm, realm):
            self.begin(vm, realm, auto_converge=True,
                       cpu_throttle_initial=11, cpu_throttle_increment=7,
                       max_cpu_throttle=25)
            seen = {self.throttle(vm)}
            deadline = time.monotonic() + 90
            while 25 not in seen and time.monotonic() < deadline:
                seen.add(self.throttle(vm))
                time.sleep(0.1)
            self.assertEqual(seen, {0, 11, 18, 25})
            self.cancel(vm)
        self.both(check)

    def test_the_throttle_slows_the_guest_until_it_is_cancelled(self):
        def check(vm, realm):
            before = self.beats(vm)
            self.begin(vm, realm, bandwidth=BANDWIDTH // 2,
                       auto_converge=True, cpu_throttle_initial=95,
                       max_cpu_throttle=95)
            wait_until(lambda: self.throttle(vm), 'it is throttled')
            slow = self.beats(vm)
            self.cancel(vm)
            after = self.beats(vm)
            self.log.info('realm %d: %.1f %.1f %.1f beats/s', realm, before,
                          slow, after)
            self.assertLess(slow, before / 4)
            self.assertGreater(after, slow * 4)
        self.both(check)

    # ---- Bandwidth ----

    def test_it_sends_what_max_bandwidth_says(self):
        def check(vm, realm):
            self.begin(vm, realm)
            time.sleep(1)
            begin = time.monotonic()
            sent = vm.qmp.cmd('query-migrate')['ram']['transferred']
            time.sleep(5)
            info = vm.qmp.cmd('query-migrate')
            rate = ((info['ram']['transferred'] - sent)
                    / (time.monotonic() - begin))
            self.assertEqual(info['status'], 'active')
            self.log.info('realm %d, channels %d: %.3f', realm, self.channels,
                          rate / BANDWIDTH)
            if realm or not self.channels:      # QEMU's own sends more then
                self.assertAlmostEqual(rate / BANDWIDTH, 1, delta=0.1)
            self.cancel(vm)
        self.both(check, channels=(0, 2))

    def test_neither_kind_of_memory_waits_for_the_other_for_ever(self):
        """A new round begins when both have sent what they had."""
        def check(vm, realm):
            self.guest(vm, READER)
            migration = self.begin(vm, realm)
            migration.wait_for_round(3)
            before = vm.qmp.cmd('query-migrate')['ram']['normal']
            migration.wait_for_round(ROUNDS)
            after = vm.qmp.cmd('query-migrate')['ram']['normal']
            self.log.info('realm %d: %d pages of ram', realm, after - before)
            self.assertGreater(after, before)
            self.cancel(vm)
        self.both(check)

    def test_what_is_expected_of_the_switchover_ends_it(self):
        """HOT_MIB are little where 1 GiB/s will be had for them."""
        def check(vm, realm):
            migration = self.begin(vm, realm,
                                   avail_switchover_bandwidth=1 << 30)
            self.end(migration)
            self.assertLess(migration.samples[-1].rounds, ROUNDS)
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
        self.both(check)

    # ---- Downtime ----

    def test_a_longer_downtime_ends_it(self):
        """All of the hot memory may be sent while the guest stands still."""
        def check(vm, realm):
            migration = self.begin(vm, realm)
            migration.wait_for_round(3)
            vm.qmp.cmd('migrate-set-parameters', downtime_limit=LONG)
            report = self.end(migration)
            self.assertLess(report['downtime'], LONG)
        self.both(check)

    def test_expected_downtime_counts_all_memory(self):
        """That of HOT_MIB at BANDWIDTH is a second."""
        def check(vm, realm):
            migration = self.begin(vm, realm)
            migration.wait_for_round(4)
            time.sleep(2)
            info = vm.qmp.cmd('query-migrate')
            self.log.info('realm %d: %s', realm, info)
            self.assertGreater(info['expected-downtime'], 500)
            self.assertLess(info['expected-downtime'], 4000)
            self.assertGreater(info['ram']['dirty-pages-rate'],
                               HOT_MIB * MIB // 4096 // 4)
            self.cancel(vm)
        self.both(check)


if __name__ == '__main__':
    Convergence.main()
