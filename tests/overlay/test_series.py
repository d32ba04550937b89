# Tests of the series of patches: each has its own files and hooks, they apply
# one on top of the other, and all of them together are the prepared tree.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import common, hooks, series
from lib.common import Failure

SHARED = '''\
series: tags
why: a reason of tags
after: two
add:
| of tags
---
why: a reason of Realms
after: two
add:
| of Realms
'''
REALM = 'why: another reason\nbefore: run\nadd:\n| first\n'


class Series(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.repo, self.pristine = self.top / 'repo', self.top / 'pristine'
        self.put(self.pristine / 'VERSION', '10.0.99\n')
        self.put(self.pristine / 'hw/board.c', 'one\ntwo\nthree\n')
        self.put(self.pristine / 'scripts/tool', 'run\n').chmod(0o755)
        self.put(self.repo / 'hw/realm/realm.c', 'a Realm\n')
        self.put(self.repo / 'hw/tags/tags.c', 'tags\n')
        self.put(self.repo / 'hw/tags.h', 'tags\n')
        self.put(self.repo / 'hw/tags-of-realms.h', 'tags\n')
        self.put(self.repo / 'README.md', 'of no series\n')
        self.put(self.repo / 'series', 'tags hw/tags/  # a folder\n'
                                       'tags hw/tags.h\n')
        self.put(self.repo / 'hooks/hw/board.c.hook', SHARED)
        self.put(self.repo / 'hooks/scripts/tool.hook', REALM)
        subprocess.run(['git', 'init', '-q', self.repo], check=True)
        for name, value in (('REPO', self.repo),
                            ('HOOKS', self.repo / 'hooks'),
                            ('SERIES', self.repo / 'series')):
            patch = mock.patch.object(common, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(series, 'version_of', lambda tree: '10.0.99')
        patch.start()
        self.addCleanup(patch.stop)

    @staticmethod
    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write(self):
        return series.write(self.pristine, self.top / 'patches')

    def apply(self, *names):
        """A copy of pristine with these series; returns {path: text}."""
        tree = self.top / 'tree'
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.pristine, tree)
        subprocess.run(['git', 'init', '-q', tree], check=True)
        for name in names:
            patches = sorted((self.top / 'patches' / name).glob('*.patch'))
            subprocess.run(['git', '-C', tree, 'apply', *patches], check=True)
        self.mode = (tree / 'scripts/tool').stat().st_mode & 0o777
        shutil.rmtree(tree / '.git')
        return {str(path.relative_to(tree)): path.read_text()
                for path in tree.rglob('*') if path.is_file()}

    def test_the_first_series_has_its_files_and_hooks_alone(self):
        self.write()
        tree = self.apply('tags')
        self.assertEqual(set(tree), {'VERSION', 'hw/board.c', 'hw/tags.h',
                                     'hw/tags/tags.c', 'scripts/tool'})
        self.assertEqual(tree['hw/board.c'], 'one\ntwo\nof tags\nthree\n')
        self.assertEqual(tree['scripts/tool'], 'run\n')

    def test_all_together_are_the_prepared_tree(self):
        self.write()
        tree = self.apply('tags', 'realm')
        texts, _ = hooks.hooked(self.pristine, self.repo / 'hooks')
        for path, text in texts.items():
            self.assertEqual(tree[path], text)
        self.assertEqual(tree['hw/realm/realm.c'], 'a Realm\n')
        self.assertEqual(tree['hw/tags-of-realms.h'], 'tags\n')
        self.assertNotIn('README.md', tree)
        self.assertEqual(self.mode, 0o755)

    def test_a_commit_gives_the_reasons_of_its_series(self):
        folder = self.write()
        tags, realm = ([path.read_text() for path in
                        sorted((folder / name).glob('*.patch'))][-1]
                       for name in ('tags', 'realm'))
        self.assertIn('hw/board.c: a reason of tags', tags)
        self.assertNotIn('Realms\n', tags)
        self.assertIn('hw/board.c: a reason of Realms', realm)
        self.assertIn('scripts/tool: another reason', realm)
        self.assertNotIn('a reason of tags', realm)

    def test_a_place_without_a_file_is_refused(self):
        for line in ('tags hw/none.c', 'tags hw/none/', 'tags hw/tag'):
            self.put(self.repo / 'series', f'{line}\n')
            with self.assertRaisesRegex(Failure, 'no file of ours is hw/'):
                self.write()

    def test_an_unknown_series_is_refused(self):
        self.put(self.repo / 'series', 'tags hw/tags/\n\ntag hw/tags.h\n')
        with self.assertRaisesRegex(Failure, 'series:3: a line is a series'):
            self.write()
        self.put(self.repo / 'series', 'tags hw/tags/\n')
        self.put(self.repo / 'hooks/hw/board.c.hook',
                 SHARED.replace('series: tags', 'series: tag'))
        with self.assertRaisesRegex(Failure, 'board.c.hook:1: no series tag;'):
            self.write()


if __name__ == '__main__':
    unittest.main()
