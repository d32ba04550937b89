"""What the tests of failing migrations share: one Realm for all of them.

It has to survive each failure.  Most tests end by moving it on, with a
program in it that checks its memory.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_case import (MIGRATION_SECONDS, Migration, RealmTest,
                        guest_arguments, incoming, wait_until)
from realm_relay import Relay

MIB = 1 << 20
SMALL = {'cpus': 2, 'memory': '384M', 'append': 'realm.check=16,2,4'}
ENDED = ('failed', 'completed', 'cancelled')


class FailureTest(RealmTest):

    realm = whole = None

    def source(self):
        """The Realm, wherever it is now."""
        cls = type(self)
        if cls.realm is None:
            cls.realm = self.boot(guest_arguments(**SMALL), shared=True)
            cls.realm.console.wait_for('realm-check: start')
        return cls.realm

    def destination(self, shared=False, **options):
        return self.start(incoming(guest_arguments(**{**SMALL, **options})),
                          shared)

    def setUp(self):
        super().setUp()
        # A Realm that a failed test broke is not used again.
        type(self).realm = type(self).whole
        type(self).whole = None

    def tearDown(self):
        result = self._outcome.result
        if self not in [test for test, _ in result.errors + result.failures]:
            type(self).whole = self.realm
        super().tearDown()

    def assert_moves_on(self):
        """The source runs on, and a later migration of it works."""
        self.assert_goes_on(self.source())
        dest, _ = self.migrate(self.source(), guest_arguments(**SMALL),
                               shared=True, channels=0)
        self.assert_moved_to(dest)

    def assert_moved_to(self, dest):
        """The Realm goes on here, with all of its memory."""
        self.source().stop()
        type(self).realm = dest
        self.assert_goes_on(dest)
        line = dest.console.wait_for('realm-check: t=.*',
                                     after=dest.console.mark())[0]
        self.assertIn(' wrong_bytes=0 wrong_tags=0', line)

    def migration(self, dest, **options):
        return Migration(self.source().qmp, dest.qmp,
                         f'unix:{self.path(dest.name)}',
                         timeout=MIGRATION_SECONDS, **options)

    def start_slowly(self, dest):
        """A migration that is well in its first round, and stays there."""
        migration = self.migration(dest, bandwidth=8 * MIB)
        migration.start()
        qmp = self.source().qmp
        wait_until(lambda: qmp.cmd('query-migrate')['status'] == 'active' and
                   qmp.cmd('query-realm-migration')['private-pages'] > 1000,
                   'pages are moved')
        self.assertFalse(migration.poll())
        return migration

    def switch(self, capability, on):
        self.source().qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': capability, 'state': on}])

    def accept(self, offer):
        """The source is ready to migrate under an offer."""
        self.source().qmp.cmd('realm-migration-accept', offer=offer)
        self.switch('return-path', True)

    def send(self, dest, other=None):
        """Sends the Realm to @dest, under its own offer or another one's;
        returns how that ends."""
        self.accept(self.offer(self.source(), other or dest))
        uri = f'unix:{self.path(dest.name)}'
        dest.qmp.cmd('migrate-incoming', uri=uri, exit_on_error=False)
        self.source().qmp.cmd('migrate', uri=uri)
        return self.wait_for_end()

    def wait_for_end(self):
        """Until the source's migration has ended; returns how."""
        def status():
            now = self.source().qmp.cmd('query-migrate').get('status')
            return now if now in ENDED else None
        return wait_until(status, 'the migration ends', MIGRATION_SECONDS)

    def assert_never_runs(self, dest):
        """A destination with a failed migration cannot be made to run."""
        wait_until(lambda: dest.qmp.cmd('query-migrate').get('status')
                   == 'failed', 'the destination says that it failed')
        dest.qmp.try_cmd('cont')
        self.assertFalse(dest.qmp.cmd('query-status')['running'])
        self.assertEqual(dest.console.lines, [])

    def assert_fails(self, message, dest, change=None):
        """A migration to @dest fails, for a reason that its error names; the
        source goes on."""
        migration = self.migration(dest)
        with Relay(self.path('relay'), self.path(dest.name), change) as relay:
            migration.source_uri = relay.uri
            self.assert_refused('migration failed', migration.run)
        self.assertTrue(change is None or change.done)
        self.assert_never_runs(dest)
        self.assertRegex('\n'.join(dest.errors()), message)
        self.assert_goes_on(self.source())
