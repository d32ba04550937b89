#!/usr/bin/env python3
"""Which platforms take part in a Realm's migration, and who has the Realm.

Two machines of two users: each has a platform key of its own.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import ssl
import subprocess
import sys
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives import serialization
from realm_case import RealmTest, guest_arguments, incoming, wait_until
from realm_case import BOOT_SECONDS, MIGRATION_SECONDS, Migration
from realm_vm import TOP

sys.path.append(os.path.join(TOP, 'tests/protocol'))
# pylint: disable-next=wrong-import-position
from authorities import Authority               # noqa: E402

PHASES = 'REALM_MIGRATION_PHASE'
MODEL = b'QEMU RMM model, not hardware'


def pem(chain):
    """What stands one behind the other in DER."""
    text = ''
    while chain:
        size = 4 + int.from_bytes(chain[2:4], 'big')
        text += ssl.DER_cert_to_PEM_cert(chain[:size])
        chain = chain[size:]
    return text


class Policy(RealmTest):

    def start_as(self, user, arguments):
        """Starts QEMU with the keys of a user."""
        folder = self.path(user)
        with mock.patch.dict(os.environ, XDG_STATE_HOME=folder):
            return self.start(arguments), Path(folder, 'qemu-realm')

    def pair(self, **options):
        """A booted source and a destination of two users."""
        arguments = guest_arguments(cpus=1, memory='256M', **options)
        source, _ = self.start_as('alice', arguments)
        source.console.wait_for('^guest: ready', BOOT_SECONDS)
        dest, _ = self.start_as('bob', incoming(arguments))
        return source, dest

    def keys(self):
        """The folders with the platform keys of both users, made by a first
        start of each."""
        folders = []
        for user in 'alice', 'bob':
            vm, folder = self.start_as(user, guest_arguments(
                cpus=1, memory='256M') + ['-S'])
            vm.qmp.cmd('query-status')          # the machine is complete
            vm.stop()
            folders.append(folder)
        return folders

    def file(self, name, text):
        path = Path(self.path(name))
        path.write_text(text)
        return path

    def anchors(self):
        """A file with the platform keys of both users."""
        return self.file('anchors.pem', ''.join(
            (folder / 'platform.pub').read_text() for folder in self.keys()))

    def certify(self, folder, authority):
        """Puts certificates beside a platform key."""
        chain = authority.chain(serialization.load_der_private_key(
            (folder / 'platform.key').read_bytes(), None))
        (folder / 'platform.crt').write_text(pem(chain))

    def of_authority(self, authority):
        """The property for it."""
        path = self.file('root.pem', pem(authority.root))
        return f'migration-trust-anchors={path}'

    def move(self, source, dest):
        return Migration(source.qmp, dest.qmp,
                         f'unix:{self.path(dest.name)}',
                         timeout=MIGRATION_SECONDS).run()

    @staticmethod
    def phases(vm):
        vm.qmp.cmd('query-status')              # events come before answers
        return [(event['data']['phase'], event['data']['holds'])
                for event in vm.qmp.events if event['event'] == PHASES]

    def test_an_unknown_platform_gets_no_realm(self):
        source, dest = self.pair()
        self.assert_refused('a platform that the Realm does not trust; its '
                            'key, or an authority that certified it, has to '
                            'be among the migration-trust-anchors',
                            self.move, source, dest)
        self.assert_goes_on(source)
        self.assertEqual(self.phases(source), [])

    def test_platforms_with_anchors_exchange_a_realm(self):
        anchors = f'migration-trust-anchors={self.anchors()}'
        source, dest = self.pair(properties=anchors)
        self.move(source, dest)
        self.assert_goes_on(dest)
        wait_until(lambda: ('gone', False) in self.phases(source),
                   'the source has the receipt')
        self.assertEqual(self.phases(source), [
            ('accepted', True), ('exporting', True), ('paused', True),
            ('sealed', False), ('gone', False)])
        self.assertEqual(self.phases(dest), [
            ('offered', False), ('importing', False), ('here', True)])

    def test_platforms_of_an_authority_exchange_a_realm(self):
        authority = Authority()
        for folder in self.keys():
            self.certify(folder, authority)
        measurement = subprocess.run(
            [os.path.join(TOP, 'target/arm/rmm/source-hash'),
             os.path.join(TOP, 'target/arm/rmm')],
            capture_output=True, text=True, check=True).stdout.strip()
        rules = self.file('rules', '# no other build of the model\n'
                          f'measurement "RMM model" {measurement}\n')
        source, dest = self.pair(properties=','.join([
            self.of_authority(authority), f'migration-rules={rules}',
            'migration-compact=required', 'migration-life-cycle=any',
            f'migration-implementation={MODEL.hex():0<64}']))
        self.move(source, dest)
        self.assert_goes_on(dest)

    def test_a_platform_of_another_authority_gets_no_realm(self):
        authority = Authority()
        for folder, signer in zip(self.keys(), (authority, Authority())):
            self.certify(folder, signer)
        source, dest = self.pair(properties=self.of_authority(authority))
        self.assert_refused('a platform that the Realm does not trust',
                            self.move, source, dest)
        self.assert_goes_on(source)

    def test_a_platform_with_other_software_gets_no_realm(self):
        rules = self.file('rules', f'measurement "RMM model" {"ab" * 32}\n')
        source, dest = self.pair(
            properties=f'migration-trust-anchors={self.anchors()},'
                       f'migration-rules={rules}')
        self.assert_refused('software that no rule of the Realm\'s policy '
                            'allows', self.move, source, dest)
        self.assert_goes_on(source)

    def test_a_model_is_no_secured_platform(self):
        source, dest = self.pair(properties='migration-life-cycle=secured,'
                                 f'migration-trust-anchors={self.anchors()}')
        self.assert_refused('is not secured, which the Realm\'s policy asks '
                            'for', self.move, source, dest)
        self.assert_goes_on(source)

    def test_a_destination_with_another_policy_is_refused(self):
        anchors = f'migration-trust-anchors={self.anchors()}'
        source, _ = self.pair(properties=anchors)
        arguments = guest_arguments(cpus=1, memory='256M', properties=anchors
                                    + ',migration-compact=on')
        dest, _ = self.start_as('bob', incoming(arguments))
        self.assert_refused('the migration policies differ', self.move,
                            source, dest)
        self.assert_goes_on(source)
        self.assertEqual(dest.qmp.cmd('query-realm-migration')['phase'],
                         'failed')


if __name__ == '__main__':
    RealmTest.main()
