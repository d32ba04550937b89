"""Every command of the documentation is run, or says why it is not, page by
page; and what it names is there.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import unittest

import pages
from session import Session

TOP = pages.TOP


class Commands(unittest.TestCase):
    """A page, a test; a block that nothing runs, a skipped one."""

    def run_page(self, blocks):
        with Session() as session:
            for block in blocks:
                with self.subTest(str(block)):
                    session.run(block)
            session.leave()


class Elsewhere(unittest.TestCase):
    """What else a page names."""

    def test_a_test_that_is_said_to_run_a_command_names_it(self):
        lost = []
        for blocks in pages.of_all_pages().values():
            for block in blocks:
                if block.kind == 'run by':
                    text = (TOP / block.argument).read_text(encoding='utf-8')
                    lost += [f'{block}: there is no {name}'
                             for name in pages.names(block) if name not in text]
        self.assertEqual(lost, [])

    def test_a_target_of_make_is_there(self):
        targets = set(re.findall(r'^([\w-]+):', (TOP / 'Makefile').read_text(),
                                 re.M))
        lost = [(path.name, target)
                for path in [*pages.DOCS.rglob('*.rst'), *TOP.glob('*.md')]
                for target in re.findall(r'`make\s+([\w-]+)',
                                         path.read_text())
                if target not in targets]
        self.assertEqual(lost, [])

    def test_a_file_that_a_page_names_is_there(self):
        """Ours, or QEMU's; headers also as C includes them.  `make docs` looks for
        pages."""
        folders = {path.name for path in TOP.iterdir()} - {'build', 'qemu'}
        lost = []
        for path in pages.DOCS.rglob('*.rst'):
            for name in re.findall(r'``([\w.*-]+/[\w./*-]*)``',
                                   path.read_text()):
                places = TOP, TOP / 'include', TOP / 'qemu'
                if (name.split('/')[0] in folders and
                        not name.endswith('.rst') and not
                        any(any(p.glob(name.rstrip('/'))) for p in places)):
                    lost.append((path.name, name))
        self.assertEqual(lost, [])


def add(name, function):
    setattr(Commands, 'test_' + re.sub(r'\W', '_', name), function)


def add_page(page, blocks):
    here = [b for b in blocks if b.kind not in ('run by', 'not run')]
    if here:
        add(page, lambda self: self.run_page(here))
    for number, block in enumerate(b for b in blocks if b.kind == 'not run'):
        def skipped(self, block=block):
            self.skipTest(f'{block}')
        add(f'{page}_not_run_{number}', skipped)


for name, found in pages.of_all_pages().items():
    add_page(name, found)


if __name__ == '__main__':
    unittest.main()
