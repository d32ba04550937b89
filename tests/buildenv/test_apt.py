# Tests of the choice among packages, with apt played by a table.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import fnmatch
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from buildenv import apt
from buildenv.common import Failure

TABLE = [('kernel-6.9', '6.9-1', 'new'), ('kernel-6.18', '6.18-1', 'new'),
         ('kernel-7.0', '7.0-1', 'newest'), ('shell', '1.0', 'old'),
         ('shell', '2.0', 'new')]


class Table(apt.PrivateApt):
    def __init__(self, suites):
        super().__init__('arm64', suites)

    def names(self, pattern):
        return fnmatch.filter({row[0] for row in TABLE}, pattern)

    def versions(self, names):
        return [row for row in TABLE if row[0] in names]


class Choice(unittest.TestCase):
    def names(self, wanted, *suites):
        return [name for name, _ in Table(suites).candidates(wanted)]

    def test_the_newest_version_comes_first(self):
        self.assertEqual(self.names('kernel-*', 'new'),
                         ['kernel-6.18', 'kernel-6.9'])

    def test_suites_in_order_of_preference(self):
        self.assertEqual(Table(['old', 'new']).candidates('shell'),
                         [('shell', '1.0'), ('shell', '2.0')])

    def test_patterns_in_order(self):
        self.assertEqual(self.names('kernel-6.9|kernel-*', 'new')[0], 'kernel-6.9')
        self.assertEqual(self.names('nothing-*|shell', 'new'), ['shell'])

    def test_nothing_that_fits_is_an_error_with_the_names(self):
        with self.assertRaisesRegex(Failure, 'no-such-thing for arm64 in new'):
            apt.download(Table(['new']), 'no-such-thing', Path('.'))


if __name__ == '__main__':
    unittest.main()
