# Tests that our QAPI modules name versions of this fork, not QEMU's.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class Since(unittest.TestCase):
    def test_since_names_a_version_of_the_change_log(self):
        log = (TOP / 'CHANGELOG.md').read_text()
        versions = set(re.findall(r'^## (Realms \d+\.\d+)\b', log, re.M))
        named = set()
        for module in (TOP / 'qapi').glob('*.json'):
            named.update(re.findall(r'[Ss]ince:? +([^\n)]*\d[^\n)]*)',
                                    module.read_text()))
        self.assertTrue(named)
        self.assertLessEqual(named, versions)


if __name__ == '__main__':
    unittest.main()
