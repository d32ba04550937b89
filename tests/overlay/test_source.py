# Tests of what upstream/pin accepts.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import source
from lib.common import Failure


class Pinned(unittest.TestCase):
    def test_a_known_file_with_other_contents_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, 'known.tar.xz')
            file.write_text('altered')
            with mock.patch.object(source, 'pin', lambda: {
                    'sha256': [['0' * 64, 'known.tar.xz']]}):
                with self.assertRaisesRegex(Failure, 'SHA-256 differs'):
                    source.verify(file)

    def test_versions(self):
        self.assertTrue(source.accepted('10.0.13'))
        self.assertFalse(source.accepted('10.1.0'))
        self.assertFalse(source.accepted('110.0.1'))


if __name__ == '__main__':
    unittest.main()
