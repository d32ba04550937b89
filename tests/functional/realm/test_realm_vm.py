#!/usr/bin/env python3
"""scripts/realm-vm: a guest has a name, under which it is started, listed,
talked to, migrated, asked for a token, and stopped.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import signal
import subprocess

from realm_case import BOOT_SECONDS, RealmTest, wait_until
from realm_command import CommandTest
from realm_vm import TOP

LEAVE = '\x1d'
CHALLENGE, OTHER = '0123abcd', '0123abce'
VERIFIER = os.path.join(TOP, 'scripts/realm-verify')


class RealmVm(CommandTest):

    def test_the_life_of_a_realm(self):
        self.assertIn('no guests', self.call('list'))
        self.assertRegex(self.call('start', 'a', '--mem', '512M'),
                         'a runs, as process')
        row = self.row('a')
        self.assertEqual((row['kind'], row['state'], row['memory']),
                         ('Realm', 'running', '512M'))
        self.name_is_taken(row)
        terminal = self.console()
        self.leaving_changes_nothing(terminal)
        terminal = self.terminal('console', 'a')
        self.failed_migration(row)
        self.migration(terminal, row)
        self.tokens()
        self.assertIn('a has ended', self.call('stop', 'a'))
        terminal.expect('a has ended')
        self.assertEqual(terminal.end(), (0, True))
        self.assertIn('no guests', self.call('list'))
        self.assertFalse(os.path.exists(self.path('realm-vm/a')))

    def name_is_taken(self, row):
        said = self.call('start', 'a', status=1)
        self.assertIn(f'a runs already, as process {row["pid"]}', said)
        self.assertEqual(self.row('a'), row)

    def console(self):
        """Keys reach the guest as they are; one person at a time."""
        terminal = self.terminal('console', 'a')
        terminal.expect('Ctrl-] leaves it')
        terminal.expect(r'Linux version')       # before anybody was there
        terminal.expect('[~/] # ', BOOT_SECONDS)
        terminal.send('sh -c "echo up; cat > /dev/null"\r')
        terminal.expect('\nup')
        terminal.send('\x03')                   # ends that, and not realm-vm
        terminal.expect('[~/] # ')
        terminal.send('x=kept; echo one$((1 + 1))\r')
        terminal.expect('\none2')
        self.assertIn('another realm-vm is at its console',
                      self.call('console', 'a', status=1))
        return terminal

    def leaving_changes_nothing(self, terminal):
        terminal.send(LEAVE)
        terminal.expect('a goes on; back: .*console a')
        self.assertEqual(terminal.end(), (0, True))
        self.assertEqual(self.row('a')['state'], 'running')

    def failed_migration(self, row):
        """The guest stays where it was, and the other QEMU ends."""
        said = self.call('migrate', 'a', '--timeout', '0.001', '--bandwidth',
                         '1000000', status=1)
        self.assertIn('not finished after', said)
        self.assertEqual(self.row('a'), row)
        self.assertEqual(self.runs(), ['1'])

    def runs(self):
        return sorted(name for name in os.listdir(self.path('realm-vm/a'))
                      if name.isdigit())

    def migration(self, terminal, row):
        """The person at the console sees that, and what is said there next."""
        terminal.send('echo before\r')
        terminal.expect('\nbefore')
        said = self.call('migrate', 'a')
        after = self.row('a')
        self.assertIn(f'a migrated to process {after["pid"]}', said)
        self.assertNotEqual(after['pid'], row['pid'])
        self.assertNotIn(b'realm-vm/a/', self.words_of(row['pid']))
        self.assertEqual((after['state'], after['phase'], after['ssh']),
                         ('running', 'here', row['ssh']))
        self.assertEqual(self.runs(), ['2'])
        terminal.expect(f'a goes on in another QEMU, process {after["pid"]}')
        terminal.send('echo $x\r')
        terminal.expect('\nkept')

    def words_of(self, pid):
        """The command line of a process; nobody may have waited for its end."""
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                return file.read()
        except OSError:
            return b''

    def tokens(self):
        """Verified here; and the verifier does look."""
        path = self.path('token')
        said = self.call('token', 'a', '--challenge', CHALLENGE, '-o', path)
        self.assertIn('\naccepted', said)
        done = subprocess.run([VERIFIER, '--challenge', OTHER, path],
                              text=True, check=False, capture_output=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('another challenge', done.stderr)

    def test_an_ordinary_guest(self):
        """It migrates, has no token, and is missed when it is killed."""
        self.call('start', 'a', '--no-realm', '--mem', '512M')
        self.assertEqual(self.row('a')['kind'], 'ordinary')
        said = self.call('token', 'a', '--timeout', str(BOOT_SECONDS), status=1)
        self.assertIn('gives no token; it says: no /sys/kernel/config', said)
        self.call('migrate', 'a')
        row = self.row('a')
        self.assertEqual(row['state'], 'running')
        os.kill(int(row['pid']), signal.SIGKILL)
        wait_until(lambda: self.row('a')['state'] == 'ended', 'the end of QEMU')
        self.assertIn('a has ended, see', self.call('token', 'a', status=1))
        self.call('start', 'a', '--mem', '512M', '--', '-S')
        self.assertEqual(self.row('a')['state'], 'prelaunch')
        self.assertIn('did not power off in 0.1 s, and was ended',
                      self.call('stop', 'a', '--timeout', '0.1'))


if __name__ == '__main__':
    RealmTest.main()
