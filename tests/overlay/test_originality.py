# Tests of the search for lines copied from QEMU.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import originality


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ours, self.theirs = Path(folder.name, 'o'), Path(folder.name, 't')
        self.ours.mkdir()
        self.theirs.mkdir()

    def compare(self, ours, theirs, name='file.c'):
        (self.ours / name).write_text('\n'.join(ours) + '\n')
        (self.theirs / 'theirs.c').write_text('\n'.join(theirs) + '\n')
        return originality.compare([name], self.theirs, self.ours)

    @staticmethod
    def lines(start, count):
        return [f'    call_number_{n}(x, y);' for n in range(start, start + count)]

    def test_finds_a_planted_run_and_says_where(self):
        ours = ['int ours;'] + self.lines(1, 7) + ['int end;']
        theirs = ['int theirs;', 'int more;'] + self.lines(1, 7) + ['int fin;']
        self.assertEqual(self.compare(ours, theirs),
                         ['file.c:2: 7 lines as in theirs.c:3'])

    def test_blanks_braces_and_comments_marks_do_not_hide_a_run(self):
        ours = self.lines(1, 6)
        theirs = []
        for line in ours:
            theirs += ['', '{', '  ' + line.replace(', ', ',  '), '}']
        self.assertEqual(len(self.compare(ours, theirs)), 1)

    def test_a_shorter_run_is_no_copy(self):
        self.assertEqual(self.compare(self.lines(1, 5), self.lines(1, 5)), [])
        ours = self.lines(1, 3) + ['int other;'] + self.lines(4, 3)
        self.assertEqual(self.compare(ours, self.lines(1, 6)), [])

    def test_includes_and_licence_lines_do_not_count(self):
        lines = [f'#include "file{n}.h"' for n in range(9)]
        lines += ['// SPDX-License-Identifier: GPL-2.0-or-later'] * 9
        self.assertEqual(self.compare(lines, lines), [])

    def test_the_licence_text_is_exempt(self):
        text = self.lines(1, 20)
        self.assertEqual(self.compare(text, text, 'COPYING'), [])


if __name__ == '__main__':
    unittest.main()
