#!/usr/bin/env python3
"""A migration is cancelled while threads export memory, also if nobody reads
what they send; the source goes on, and migrates again.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import signal
import time

from realm_case import guest_arguments, wait_until
from realm_failing import MIB, SMALL, FailureTest

STILL = 1.5         # s, after which nothing moves any more
PATIENCE = 20       # s, on a busy machine; a connection times out much later


class MigrateCancel(FailureTest):

    def begin(self, dest, channels, bandwidth):
        """A migration whose first round is under way."""
        migration = self.migration(dest, channels=channels,
                                   bandwidth=bandwidth)
        migration.start()
        # Until then, the pages are those of the migration before.
        wait_until(lambda: self.status() != 'setup' and self.pages() > 1000,
                   'pages are moved')
        return migration

    def status(self):
        return self.source().qmp.cmd('query-migrate').get('status', 'setup')

    def pages(self):
        return self.source().qmp.cmd('query-realm-migration')['private-pages']

    def wait_until_stuck(self):
        pages = -1
        while pages != self.pages():
            pages = self.pages()
            time.sleep(STILL)
        self.assertEqual(self.status(), 'active')

    def cancel(self):
        """Returns after how many seconds the migration has ended."""
        begin = time.monotonic()
        self.assertEqual(self.status(), 'active')
        self.source().qmp.cmd('migrate_cancel')
        self.wait_for_end()
        self.assert_cancelled(self.source().qmp)
        return time.monotonic() - begin

    def test_on_channels(self):
        for channels in 1, 2, 4:
            dest = self.destination()
            self.begin(dest, channels, 8 * MIB)
            self.cancel()
            self.assert_never_runs(dest)
            dest.stop()
        self.switch('multifd', False)
        self.assert_moves_on()

    def test_destination_does_not_read(self):
        for channels in 0, 1, 2, 4:
            with self.subTest(channels=channels):
                dest = self.destination()
                self.begin(dest, channels, 8 * MIB)
                dest.process.send_signal(signal.SIGSTOP)
                self.wait_until_stuck()
                self.assertLess(self.cancel(), PATIENCE)
                self.assert_goes_on(self.source())
                dest.process.send_signal(signal.SIGCONT)
                self.assert_never_runs(dest)
                dest.stop()
        self.switch('multifd', False)
        self.assert_moves_on()

    def test_destination_that_never_reads_again(self):
        """The next migration begins while the last destination hangs."""
        dest = self.destination()
        self.begin(dest, 2, 8 * MIB)
        dest.process.send_signal(signal.SIGSTOP)
        self.wait_until_stuck()
        self.cancel()
        other, _ = self.migrate(self.source(), guest_arguments(**SMALL),
                                shared=True, channels=2)
        self.assert_moved_to(other)
        dest.process.send_signal(signal.SIGCONT)


if __name__ == '__main__':
    FailureTest.main()
