"""What the tests of whole Realms share.

Every QEMU belongs to a test, or to a class of tests, and ends with it.  What
guests print on their consoles is in the test's base.log.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
import unittest
from pathlib import Path

from qemu_test import QemuSystemTest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / 'scripts'))

from realm_qmp import Migration, MigrationError, QmpError  # noqa: E402
from realm_vm import (Vm, VmError, guest_arguments, incoming,  # noqa: E402
                      stop_all, temporary_folder)

BOOT_SECONDS = 120
MIGRATION_SECONDS = 120


at_end = []                     # what end_at_once() calls, the last one first


def end_at_once(number, _):
    """Meson ends a test that takes too long, and kills it half a second later.
    What the test has started ends with it."""
    try:
        for function in reversed(at_end):
            with contextlib.suppress(Exception):
                function()
    finally:
        os._exit(128 + number)


def wait_until(condition, what, timeout=60):
    """Waits until condition() is true, and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'not in {timeout} s: {what}')
        time.sleep(0.02)


class RealmTest(QemuSystemTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ['QEMU_PROGRAM'] = os.environ['QEMU_TEST_QEMU_BINARY']
        guest = Path(os.environ['QEMU_BUILD_ROOT'], 'guest')
        if guest.exists():
            os.environ.setdefault('GUEST_DIR', str(guest))
        signal.signal(signal.SIGTERM, end_at_once)
        folder = temporary_folder()
        cls.folder = cls.enterClassContext(folder)
        at_end[:] = [folder.cleanup, stop_all]
        cls.started = 0

    def setUp(self):
        super().setUp()
        self.vms = []                           # those that this test started

    def tearDown(self):
        for vm in self.vms:
            self.log.debug('%s said: %s', vm.name, vm.errors())
        super().tearDown()

    @contextlib.contextmanager
    def subTest(self, msg=None, **params):
        """As unittest's; pycotap says nothing of those that fail."""
        with super().subTest(msg, **params):
            try:
                yield
            except unittest.SkipTest:
                raise
            except Exception:
                print(f'{self.id()} {msg or ""} {params}:', file=sys.stderr)
                traceback.print_exc()
                raise

    def add_end(self, function):
        """To be called after the test, and if meson ends it."""
        self.addCleanup(function)
        at_end.append(function)

    def path(self, name):
        """A file for this test, deleted with the class; short enough for a
        socket."""
        return os.path.join(self.folder, name)

    def start(self, arguments, shared=False):
        """Starts QEMU; it lives as long as the test, or as the class."""
        cls = type(self)
        cls.started += 1
        name = f'vm{cls.started}'
        self.log.debug('%s: %s', name, ' '.join(arguments))
        enter = cls.enterClassContext if shared else self.enterContext
        vm = enter(Vm(name, arguments, self.folder))
        log = logging.getLogger('qemu-test')
        vm.console.watcher = lambda line: log.debug('%s| %s', name, line)
        self.vms.append(vm)
        return vm

    def boot(self, arguments, shared=False):
        """Starts a guest and waits until its shell takes commands."""
        vm = self.start(arguments, shared)
        vm.console.wait_for('^guest: ready', BOOT_SECONDS)
        return vm

    def migrate(self, source, arguments, shared=False, **options):
        """Moves a Realm to a new QEMU; returns that, and what was measured.
        The source's QEMU is left."""
        dest = self.start(incoming(arguments), shared)
        options.setdefault('timeout', MIGRATION_SECONDS)
        uri = f'unix:{self.path(dest.name)}'
        report = Migration(source.qmp, dest.qmp, uri, **options).run()
        self.log.debug('%s moved to %s: %s', source.name, dest.name, report)
        return dest, report

    def offer(self, source, dest):
        """What a destination offers for a nonce of the source."""
        nonce = source.qmp.cmd('realm-migration-prepare')['nonce']
        return dest.qmp.cmd('realm-migration-offer', nonce=nonce)['offer']

    def guest(self, vm, command, timeout=120):
        """Runs a command in the guest that has to succeed; returns its
        output as a text."""
        status, lines = vm.console.run(command, timeout)
        text = '\n'.join(lines)
        self.assertEqual(status, 0, f'{command}: {text}')
        return text

    def assert_goes_on(self, vm):
        """The guest runs, in fact and in QEMU's opinion."""
        # QEMU says that a migration failed before it starts its vCPUs again.
        wait_until(lambda: vm.qmp.cmd('query-status')['status'] == 'running',
                   f'{vm.name} runs')
        self.assertEqual(self.guest(vm, 'echo goes on'), 'goes on')

    def assert_cancelled(self, qmp):
        """A migration has ended since a user cancelled it.

        QEMU 10.0 ends the return path, which is the same socket, before it
        says that it cancels.  A thread that writes to that may find an error
        first, and say so.
        """
        info = qmp.cmd('query-migrate')
        if info['status'] == 'failed':
            self.assertRegex(info['error-desc'],
                             'Broken pipe|Input/output error')
        else:
            self.assertEqual(info['status'], 'cancelled')

    def assert_refused(self, message, function, *args, **kwargs):
        """A QMP command, or a migration, fails; the message is one line and
        matches."""
        with self.assertRaisesRegex((QmpError, MigrationError),
                                    message) as caught:
            function(*args, **kwargs)
        self.assertNotIn('\n', str(caught.exception))
        self.log.debug('as expected: %s', caught.exception)
        return str(caught.exception)


__all__ = ['BOOT_SECONDS', 'MIGRATION_SECONDS', 'Migration', 'MigrationError',
           'QmpError', 'RealmTest', 'VmError', 'guest_arguments', 'incoming',
           'wait_until']
