#!/usr/bin/env python3
"""Linux in a Realm gets attestation tokens that an independent verifier
accepts, before and after a migration.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import base64
import os
import subprocess

from realm_case import RealmTest, guest_arguments
from realm_vm import TOP

REPORT = '/sys/kernel/config/tsm/report/test'
VERIFIER = os.path.join(TOP, 'scripts', 'realm-verify')


class Token(RealmTest):

    def setUp(self):
        super().setUp()
        # The keys that QEMU makes for tokens are this test's own.
        os.environ['XDG_STATE_HOME'] = self.path('state')

    def token(self, vm, challenge):
        """What the guest's kernel answers to a challenge of 64 bytes."""
        text = base64.b64encode(challenge).decode()
        self.guest(vm, f'mkdir -p {REPORT}')
        for start in range(0, len(text), 44):   # short lines for the console
            self.guest(vm, f'printf %s {text[start:start + 44]} >> /tmp/c')
        self.guest(vm, f'base64 -d /tmp/c > {REPORT}/inblob; rm /tmp/c')
        output = self.guest(vm, f'base64 {REPORT}/outblob')
        path = self.path('token')
        with open(path, 'wb') as file:
            file.write(base64.b64decode(''.join(output)))
        return path

    def verify(self, token, challenge, rim):
        key = self.path(os.path.join('state', 'qemu-realm', 'platform.pub'))
        return subprocess.run(
            ['/usr/bin/python3', VERIFIER, '--challenge', challenge.hex(),
             '--rim', rim, '--platform-key', key, token],
            capture_output=True, text=True, check=False)

    def check_tokens(self, vm):
        challenge, other = os.urandom(64), os.urandom(64)
        rim = vm.qmp.cmd('query-realm')['rim']
        token = self.token(vm, challenge)
        accepted = self.verify(token, challenge, rim)
        self.assertEqual(accepted.returncode, 0, accepted.stderr)
        self.assertIn('accepted', accepted.stdout)
        self.assertNotEqual(self.verify(token, other, rim).returncode, 0)
        self.assertNotEqual(
            self.verify(token, challenge, '00' + rim[2:]).returncode, 0)

    def test_a_verifier_accepts_tokens_before_and_after_a_migration(self):
        arguments = guest_arguments(cpus=2, mte=False)
        source = self.boot(arguments)
        self.check_tokens(source)
        dest, _ = self.migrate(source, arguments)
        self.check_tokens(dest)


if __name__ == '__main__':
    RealmTest.main()
