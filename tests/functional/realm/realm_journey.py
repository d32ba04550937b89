"""A Realm that checks its memory, its tags and its clocks on its way.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import time

from realm_case import RealmTest, guest_arguments
from realm_vm import verdict

# One line a sample; two neighbours are taken on any two CPUs.
SAMPLE = '{ while sleep 0.02; do realm-check --clock; done > /tmp/clock & }'
JUDGE = r"""awk -F'[= ]' '
    { step = $3 - last; if (NR > 1 && step < 0) back++;
      if (NR > 1 && step > longest) longest = step; last = $3 }
    END { print "samples=" NR " back=" back + 0 " longest=" longest }
' /tmp/clock"""


class Clocks:
    """What the guest's clocks show at a moment of the host's."""

    def __init__(self, ask):
        begin = time.monotonic()
        found = re.search(r'monotonic=(\S+) realtime=(\S+)', ask())
        self.monotonic, self.realtime = map(float, found.groups())
        self.host = time.monotonic()
        self.late = self.host - begin           # by so much at most


class JourneyTest(RealmTest):

    def clocks(self, vm):
        return Clocks(lambda: self.guest(vm, 'realm-check --clock'))

    def journey(self, migrations, cpus, check):
        """Takes a Realm, at work, through so many migrations."""
        arguments = guest_arguments(cpus=cpus, append=f'realm.check={check}')
        vm = self.boot(arguments)
        vm.console.wait_for('realm-check: start .* mte=yes')
        self.guest(vm, SAMPLE)
        before, paused = self.clocks(vm), 0
        for _ in range(migrations):
            source = vm
            vm, report = self.migrate(source, arguments)
            source.stop()
            paused += report['downtime'] / 1000
            self.assertGreater(report['realm']['private-pages'], 10000)
            self.assertGreater(report['realm']['tag-pages'], 0)
            # It goes on to verify what came.
            vm.console.wait_for('realm-check: t=', after=vm.console.mark())
        self.check_clocks(vm, before, self.clocks(vm), paused)
        ok, line = verdict(vm.console)
        self.log.info('%s', line)
        self.assertTrue(ok, line)
        self.assertIn(' wrong_bytes=0 wrong_tags=0', line)
        self.assertEqual(self.guest(vm, 'nproc'), str(cpus))

    def check_clocks(self, vm, before, after, paused):
        passed = after.monotonic - before.monotonic
        elapsed = after.host - before.host
        # A guest's clock stands still while it is moved, else it goes on.
        self.assertAlmostEqual(passed, elapsed - paused, delta=2 + paused
                               + before.late + after.late)
        self.assertAlmostEqual(after.realtime - before.realtime, passed,
                               delta=1)
        found = self.guest(vm, JUDGE)
        self.log.info('%s', found)
        self.assertRegex(found, r'^samples=\d{2,} back=0 longest=')
        self.assertLess(float(found.split('=')[-1]), 20)
