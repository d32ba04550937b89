#!/usr/bin/env python3
"""Debian in a Realm: a whole system that one logs in to, and that migrates.

The disk is made by tests/guest/debian/build.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import subprocess

from realm_case import BOOT_SECONDS, RealmTest, wait_until
from realm_command import CommandTest


class Debian(CommandTest):

    def ssh(self, command, status=0):
        """Runs a command in the guest; returns its output."""
        done = subprocess.run(
            ['ssh', '-F', self.path('realm-vm/d/ssh'), '-o', 'BatchMode=yes',
             '-o', 'ConnectTimeout=60', 'd', command], text=True, check=False,
            capture_output=True, timeout=180)
        self.log.debug('%s: %s', command, done)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.strip() if done.returncode == 0 else None

    def test_debian_migrates_with_what_runs_in_it(self):
        said = self.call('start', 'd', '--guest', 'debian')
        self.assertIn(f'ssh -F {self.path("realm-vm/d/ssh")} d\n', said)
        wait_until(lambda: self.ssh('echo in', status=None) == 'in',
                   'login by ssh', 2 * BOOT_SECONDS)
        boot = self.ssh('cat /proc/sys/kernel/random/boot_id')
        self.assertIn('13', self.ssh('. /etc/os-release; echo $VERSION_ID'))
        self.assertIn('URIs: ', self.ssh('cat /etc/apt/sources.list.d/*'))
        self.assertIn('RSI version', self.ssh('dmesg | grep RME'))
        self.assertEqual(self.ssh('dpkg --audit; systemctl is-system-running '
                                  '--wait'), 'running')
        self.ssh('echo kept > /srv/kept; nohup sleep 1000 > /dev/null 2>&1 &')

        self.call('migrate', 'd')
        self.assertEqual(self.ssh('cat /proc/sys/kernel/random/boot_id'), boot)
        self.ssh('pidof sleep')
        self.assertIn('\naccepted', self.call('token', 'd'))

        # It hears that, and its disk is whole.
        self.assertIn('d has ended', self.call('stop', 'd', '--timeout', '120'))
        disk = os.path.join(self.path('state'), 'realm-vm', 'd', 'disk.img')
        self.assertIn('kept', subprocess.run(
            ['/usr/sbin/debugfs', '-R', 'cat /srv/kept', disk], text=True,
            check=True, capture_output=True).stdout)
        subprocess.run(['/usr/sbin/e2fsck', '-fn', disk], check=True,
                       capture_output=True)


if __name__ == '__main__':
    RealmTest.main()
