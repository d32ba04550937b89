#!/usr/bin/env python3
"""A Realm at work migrates again and again.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_journey import JourneyTest


class Migrate(JourneyTest):

    def test_memory_tags_and_clocks_survive_ten_migrations(self):
        self.journey(migrations=10, cpus=4, check='256,4,8')


if __name__ == '__main__':
    JourneyTest.main()
