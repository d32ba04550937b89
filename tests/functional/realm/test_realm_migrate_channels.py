#!/usr/bin/env python3
"""A Realm migrates on several channels, and over TLS.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os

from realm_case import guest_arguments
from realm_failing import SMALL, FailureTest

KEY = 'qemu:0123456789abcdef0123456789abcdef\n'


class MigrateChannels(FailureTest):

    def keys(self):
        """A folder with the key that both sides know."""
        folder = self.path('keys')
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'keys.psk'), 'w',
                  encoding='ascii') as file:
            file.write(KEY)
        return folder

    def move(self, channels, psk='', compression='none'):
        """Returns how many bytes went on channels, and how many of the
        Realm's memory were sent at all."""
        dest, report = self.migrate(
            self.source(), guest_arguments(**SMALL), shared=True,
            channels=channels, psk=psk, compression=compression)
        self.assertGreater(report['realm']['tag-pages'], 0)
        self.assert_moved_to(dest)
        return report['ram']['multifd-bytes'], report['realm']['bytes']

    def assert_on_channels(self, on_channels, of_realm):
        # Map and state of the Realm are not, RAM that is shared is.
        self.assertGreater(on_channels, of_realm * 95 // 100)

    def test_one_two_and_four_channels(self):
        for channels in 1, 2, 4:
            self.assert_on_channels(*self.move(channels))

    def test_two_channels_with_tls(self):
        self.assert_on_channels(*self.move(2, self.keys()))

    def test_main_channel_with_tls(self):
        on_channels, _ = self.move(0, self.keys())
        self.assertEqual(on_channels, 0)

    def test_compression_leaves_the_main_channel_to_the_realm(self):
        on_channels, of_realm = self.move(2, compression='zlib')
        self.assertGreater(on_channels, 0)
        self.assertLess(on_channels, of_realm // 2)
        on_channels, of_realm = self.move(2)
        self.assert_on_channels(on_channels, of_realm)


if __name__ == '__main__':
    FailureTest.main()
