# What the program refuses, it refuses in the words of tests/errors/table: which
# says what is wrong, with which value, and what to do. A refused command of QMP
# changes nothing.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / 'scripts'))
sys.dont_write_bytecode = True

import states  # noqa: E402
from realm_qmp import QmpError  # noqa: E402
from table import read_table  # noqa: E402

SECONDS = 60                    # after which QEMU has started: no refusal
AT_ONCE = min(8, os.cpu_count() + 1)
TABLE = read_table(HERE / 'table', HERE / 'files')
LINES = [row for row in TABLE if not row.state]


def compile_trees(folder):
    """Make X.dtb there of each X.dts."""
    for source in (HERE / 'files').glob('*.dts'):
        subprocess.run(['dtc', '-q', '-O', 'dtb', '-o',
                        os.path.join(folder, f'{source.stem}.dtb'), source],
                       check=True)


def run(row, folder):
    """What the program says, with its name left out, and its exit status."""
    words = [states.PROGRAM, *states.BARE, *shlex.split(row.call)]
    try:
        result = subprocess.run(words, stdin=subprocess.DEVNULL, cwd=folder,
                                capture_output=True, timeout=SECONDS,
                                text=True, errors='replace', check=False)
    except subprocess.TimeoutExpired:
        return f'(nothing was refused: it ran for {SECONDS} s)', '', None
    name = os.path.basename(states.PROGRAM)
    said = re.sub(f'^{re.escape(name)}: ', '', result.stderr, flags=re.M)
    return said.rstrip('\n'), result.stdout, result.returncode


class Table(unittest.TestCase):
    """The table itself."""

    def test_it_has_at_least_80_rows_and_none_twice(self):
        calls = [(row.state, row.call) for row in TABLE]
        self.assertGreaterEqual(len(calls), 80)
        self.assertEqual(len(calls), len(set(calls)))

    def test_our_own_messages_have_a_remedy(self):
        """Behind a semicolon; with upstream's, the table says why not."""
        for row in TABLE:
            with self.subTest(row.call):
                self.assertEqual(';' not in row.says, bool(row.upstream),
                                 row.says)


class Lines(unittest.TestCase):
    """Command lines; all run at the beginning, several at a time."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix='realm-'))
        compile_trees(folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = pool.map(run, LINES, repeat(folder))
            cls.results = dict(zip(LINES, results))

    def check(self, row):
        self.maxDiff = None
        said, output, status = self.results[row]
        self.assertEqual((said, output), (row.says, ''))
        self.assertEqual(status, 1)


class Commands(unittest.TestCase):
    """Commands of QMP and HMP, on machines in several states."""

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix='realm-'))
        cls.machines = states.Machines(cls.folder, cls.enterClassContext)

    def say(self, qmp, call):
        """The message that a command is refused with."""
        name, _, rest = call.partition(' ')
        if name == '(qemu)':
            return qmp.hmp(rest).strip().replace('\r\n', '\n')
        with self.assertRaises(QmpError, msg='it was not refused') as caught:
            qmp.cmd(name, **json.loads(rest or '{}'))
        return str(caught.exception).removeprefix(f'{name}: ')

    def check(self, row):
        self.maxDiff = None
        qmp = self.machines.get(row.state)
        before = states.state_of(qmp)
        self.assertEqual(self.say(qmp, row.call), row.says)
        self.assertEqual(states.state_of(qmp), before)


def add_tests():
    """One for every row, so that each is counted."""
    for number, row in enumerate(TABLE):
        case = Commands if row.state else Lines
        name = re.sub(r'\W+', '_', f'{row.state} {row.call}')[:80]
        setattr(case, f'test_{number:03}_{name}',
                lambda self, row=row: self.check(row))


add_tests()

if __name__ == '__main__':
    unittest.main()
