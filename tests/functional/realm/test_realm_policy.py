#!/usr/bin/env python3
"""Which platforms take part in a Realm's migration, and who has the Realm.

Two machines of two users: each has a platform key of its own.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
from pathlib import Path
from unittest import mock

from realm_case import RealmTest, guest_arguments, incoming, wait_until
from realm_case import BOOT_SECONDS, MIGRATION_SECONDS, Migration

PHASES = 'REALM_MIGRATION_PHASE'


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

    def anchors(self):
        """A file with the platform keys of both users, made by a first
        start of each."""
        keys = ''
        for user in 'alice', 'bob':
            vm, folder = self.start_as(user, guest_arguments(
                cpus=1, memory='256M') + ['-S'])
            vm.qmp.cmd('query-status')          # the machine is complete
            keys += (folder / 'platform.pub').read_text()
            vm.stop()
        path = Path(self.path('anchors.pem'))
        path.write_text(keys)
        return path

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
                            'key has to be among the migration-trust-anchors',
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
