# Tests of the prepared tree: links, hooked files, and what leaves again.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import common, hooks, tree
from lib.common import Failure

HOOK = 'why: a test\nafter: two\nadd:\n| ours\n'


class Prepare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        top = Path(folder.name)
        self.repo, self.pristine = top / 'repo', top / 'pristine'
        self.tree, self.hooks = top / 'repo/qemu', self.repo / 'hooks'
        self.hooks.mkdir(parents=True)
        self.put(self.pristine / 'VERSION', '10.0.99\n')
        self.put(self.pristine / 'hw/board.c', 'one\ntwo\nthree\n')
        self.put(self.repo / 'hw/realm/ours.c', 'ours\n')
        self.put(self.repo / 'README.md', 'not laid over\n')
        subprocess.run(['git', 'init', '-q', self.repo], check=True)
        real = hooks.hooked
        for patch in (
                mock.patch.object(common, 'REPO', self.repo),
                mock.patch.object(tree, 'REPO', self.repo),
                mock.patch.object(tree, 'say', lambda text: None),
                mock.patch.object(hooks, 'hooked',
                                  lambda pristine: real(pristine, self.hooks))):
            patch.start()
            self.addCleanup(patch.stop)

    @staticmethod
    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def prepare(self):
        tree.prepare(self.pristine, self.tree)

    def text(self):
        return (self.tree / 'hw/board.c').read_text()

    def test_our_files_are_links_and_nothing_else_is_laid_over(self):
        self.prepare()
        ours = self.tree / 'hw/realm/ours.c'
        self.assertTrue(ours.is_symlink())
        self.assertEqual(ours.resolve(), (self.repo / 'hw/realm/ours.c').resolve())
        self.assertFalse((self.tree / 'README.md').exists())
        self.assertEqual(self.text(), 'one\ntwo\nthree\n')

    def test_twice_equals_once_and_keeps_times(self):
        self.put(self.hooks / 'hw/board.c.hook', HOOK)
        self.prepare()
        self.assertEqual(self.text(), 'one\ntwo\nours\nthree\n')
        os.utime(self.tree / 'hw/board.c', (1, 1))
        self.prepare()
        self.assertEqual(self.text(), 'one\ntwo\nours\nthree\n')
        self.assertEqual((self.tree / 'hw/board.c').stat().st_mtime, 1)

    def test_the_pristine_tree_stays_pristine(self):
        self.put(self.hooks / 'hw/board.c.hook', HOOK)
        self.prepare()
        self.assertEqual((self.pristine / 'hw/board.c').read_text(),
                         'one\ntwo\nthree\n')

    def test_a_bad_anchor_changes_nothing(self):
        self.put(self.hooks / 'hw/board.c.hook', HOOK)
        self.prepare()
        self.put(self.hooks / 'hw/board.c.hook', HOOK.replace('two', 'none'))
        self.put(self.repo / 'hw/realm/more.c', 'more\n')
        with self.assertRaises(Failure):
            self.prepare()
        self.assertEqual(self.text(), 'one\ntwo\nours\nthree\n')
        self.assertFalse((self.tree / 'hw/realm/more.c').exists())

    def test_what_left_the_repository_leaves_the_tree(self):
        self.put(self.hooks / 'hw/board.c.hook', HOOK)
        self.prepare()
        (self.hooks / 'hw/board.c.hook').unlink()
        (self.repo / 'hw/realm/ours.c').unlink()
        self.prepare()
        self.assertEqual(self.text(), 'one\ntwo\nthree\n')
        self.assertFalse((self.tree / 'hw/realm').exists())
        self.assertTrue((self.tree / 'hw').exists())

    def test_a_file_of_upstreams_name_is_refused(self):
        self.put(self.repo / 'hw/board.c', 'ours\n')
        with self.assertRaisesRegex(Failure, 'hw/board.c: QEMU has a file'):
            self.prepare()
        self.assertFalse(self.tree.exists())

    def test_ignored_files_are_not_laid_over(self):
        self.put(self.repo / '.gitignore', '*.pyc\n')
        self.put(self.repo / 'hw/x.pyc', '')
        self.prepare()
        self.assertFalse((self.tree / 'hw/x.pyc').exists())

    def test_another_version_is_refused(self):
        self.put(self.pristine / 'VERSION', '11.0.0\n')
        with self.assertRaisesRegex(Failure, '11.0.0 is not accepted'):
            self.prepare()


if __name__ == '__main__':
    unittest.main()
