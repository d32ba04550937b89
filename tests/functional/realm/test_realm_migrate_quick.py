#!/usr/bin/env python3
"""A Realm at work migrates twice: the short form of test_realm_migrate.py.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from realm_journey import JourneyTest


class MigrateQuick(JourneyTest):

    def test_memory_tags_and_clocks_survive_two_migrations(self):
        self.journey(migrations=2, cpus=2, check='32,2,8')


if __name__ == '__main__':
    JourneyTest.main()
