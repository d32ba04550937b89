"""scripts/realm-vm as a person calls it, at a terminal too.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time
from pathlib import Path

from realm_case import RealmTest
from realm_named import NamedVm, Run
from realm_vm import TOP

PROGRAM = os.path.join(TOP, 'scripts', 'realm-vm')


class Terminal:
    """A terminal with a command in it."""

    def __init__(self, words):
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs,
                                        stderr=theirs, start_new_session=True)
        self.text = ''

    def expect(self, pattern, timeout=60):
        """Waits for what matches, and forgets all up to its end."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.ours], [], [], left)[0]:
                raise AssertionError(f'no {pattern!r} in {timeout} s; the '
                                     f'terminal ends with {self.text[-500:]!r}')
            self.text += os.read(self.ours, 65536).decode(errors='replace')

    def send(self, text):
        os.write(self.ours, text.encode())

    def end(self):
        """The command ends by itself; returns its exit status, and whether it
        left the terminal as it was."""
        status = self.process.wait(60)
        return status, termios.tcgetattr(self.theirs) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


class CommandTest(RealmTest):
    """Guests that a test starts end with it."""

    def setUp(self):
        super().setUp()
        os.environ['XDG_RUNTIME_DIR'] = self.folder
        os.environ['XDG_STATE_HOME'] = self.path('state')
        self.add_end(self.end_all)

    def end_all(self):
        """Does not wait for a realm-vm that is at it."""
        for guest in Path(self.folder).glob('realm-vm/[!.]*'):
            for run in guest.glob('[0-9]*'):
                Run(NamedVm(guest.name), run.name).end()
            shutil.rmtree(guest, ignore_errors=True)

    def call(self, *words, status=0, timeout=240):
        """Returns what it says."""
        done = subprocess.run([PROGRAM, *words], text=True, check=False,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              stderr=subprocess.STDOUT, timeout=timeout)
        self.log.debug('realm-vm %s: %s', ' '.join(words), done.stdout)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def row(self, name):
        """What the list says of a guest."""
        head, _, *rows = [line.split() for line in
                          self.call('list').splitlines()]
        return dict(zip(head, next(row for row in rows if row[0] == name)))

    def terminal(self, *words):
        terminal = Terminal([PROGRAM, *words])
        self.addCleanup(terminal.close)
        self.add_end(terminal.process.kill)
        return terminal
