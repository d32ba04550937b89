# Tests of tests/run-check: what its steps count, from logs and reports that are
# written here, and what it says and returns at its end.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

TESTS = Path(__file__).resolve().parents[1]


def load():
    """run-check as a module; its name has no .py."""
    loader = importlib.machinery.SourceFileLoader('run_check',
                                                  str(TESTS / 'run-check'))
    spec = importlib.util.spec_from_loader('run_check', loader)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, 'dont_write_bytecode', True):
        loader.exec_module(module)
    return module


run_check = load()
ONE_CORE = run_check.ONE_CORE

REPORT = '''<?xml version="1.0" ?>
<testsuites tests="7" errors="1" failures="1">
 <testsuite name="a" tests="4">
  <testcase name="1"/>
  <testcase name="2"><system-out>words: failure, skipped</system-out></testcase>
  <testcase name="3"><failure/></testcase>
  <testcase name="4"><skipped/></testcase>
 </testsuite>
 <testsuite name="b" tests="3">
  <testcase name="5"><error message="died"/></testcase>
  <testcase name="6"><skipped/><system-err>why</system-err></testcase>
  <testcase name="7"/>
 </testsuite>
</testsuites>
'''


class Counting(unittest.TestCase):
    def unittest(self, text, status=0):
        return run_check.count_unittest(text, status)

    def test_unittest_that_passes(self):
        self.assertEqual(self.unittest(
            'test_a (t.T) ... ok\n\nRan 12 tests in 0.1s\n\nOK\n'), (12, 0, 0))
        self.assertEqual(self.unittest('Ran 1 test in 0.1s\n\nOK\n'),
                         (1, 0, 0))

    def test_unittest_skips_are_not_passed(self):
        self.assertEqual(self.unittest(
            'Ran 12 tests in 0.1s\n\nOK (skipped=5)\n'), (7, 0, 5))

    def test_unittest_that_fails(self):
        self.assertEqual(self.unittest(
            'Ran 12 tests in 0.1s\n\n'
            'FAILED (failures=2, errors=3, skipped=1)\n', 1), (6, 5, 1))

    def test_unittest_failures_that_are_expected(self):
        self.assertEqual(self.unittest(
            'Ran 5 tests in 0.1s\n\nOK (expected failures=2)\n'), (5, 0, 0))
        self.assertEqual(self.unittest(
            'Ran 5 tests in 0.1s\n\n'
            'FAILED (expected failures=2, unexpected successes=1)\n', 1),
            (4, 1, 0))

    def test_unittest_whose_class_does_not_begin(self):
        self.assertEqual(self.unittest(
            'Ran 0 tests in 0.0s\n\nOK (skipped=1)\n'), (0, 0, 1))
        self.assertEqual(self.unittest(
            'Ran 0 tests in 0.0s\n\nFAILED (errors=1)\n', 1), (0, 1, 0))

    def test_unittest_that_dies(self):
        self.assertEqual(self.unittest('test_a (t.T) ... ', 139), (0, 1, 0))
        self.assertEqual(self.unittest(
            'Ran 2 tests in 0.1s\n\nOK\nFatal Python error\n', 134), (2, 1, 0))

    def test_unittest_that_runs_nothing(self):
        for end in 'OK', 'NO TESTS RAN':
            self.assertEqual(self.unittest(
                f'Ran 0 tests in 0.0s\n\n{end}\n'), (0, 0, 0))

    def test_unittest_that_prints_what_looks_like_an_end(self):
        self.assertEqual(self.unittest(
            'Ran 99 tests in 1s\n\nOK (skipped=7)\nerrors=4\n'
            'Ran 3 tests in 0.1s\n\nOK\n'), (3, 0, 0))

    def test_failures_are_found_before_the_end(self):
        bar = '\u2015' * 20
        text = (f'1/3 a OK\n{bar} \u2700 {bar}\nstderr:\nwhy\n{bar}\n'
                '2/3 b OK\nDEFECT: c: why\nthe end')
        self.assertEqual(run_check.failures(text),
                         [f'{bar} \u2700 {bar}', 'stderr:', 'why', bar,
                          'DEFECT: c: why'])
        self.assertEqual(run_check.failures('1/3 a OK\nthe end'), [])

    def test_report(self):
        with tempfile.NamedTemporaryFile('w') as file:
            file.write(REPORT)
            file.flush()
            self.assertEqual(run_check.count(file.name), (3, 2, 2))


class Steps(unittest.TestCase):
    """Whole steps, whose commands are stand-ins."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.check = run_check.Check(self.top / 'build', False)
        self.said = io.StringIO()

    def command(self, name, text):
        path = self.top / name
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)
        return path

    def step(self, function):
        """Its result, as the summary has it."""
        with contextlib.redirect_stdout(self.said):
            self.check.step('step', function)
        return self.check.rows[-1].result

    def meson(self, text, report=None):
        build = self.top / 'build'
        path = build / 'meson-logs/testlog.junit.xml'
        path.parent.mkdir(exist_ok=True)
        path.write_text(REPORT)                 # of another run
        if report is not None:
            (self.top / 'report').write_text(report)
            text = f'cp {self.top}/report {path}\n{text}'
        program = self.command('meson', text)
        return self.step(lambda log: self.check.meson(log, program, build))

    def test_suite(self):
        self.assertEqual(self.meson('exit 1', REPORT), (3, 2, 2))

    def test_suite_that_matches_nothing_fails(self):
        self.assertEqual(self.meson('echo "No suitable tests defined."'),
                         (0, 1, 0))
        self.assertIn('no test ran', self.said.getvalue())

    def test_suite_without_a_test_fails(self):
        self.assertEqual(self.meson('exit 0', '<testsuites/>'), (0, 1, 0))

    def test_suite_that_does_not_build_fails(self):
        self.assertEqual(self.meson('exit 1'), (0, 1, 0))

    def test_suite_that_only_skips(self):
        self.assertEqual(self.meson(
            'exit 0', '<a><testcase name="1"><skipped/></testcase></a>'),
            (0, 0, 1))
        self.assertIn('0 passed, 0 failed, 1 skipped', self.said.getvalue())

    def folder(self, text):
        folder = self.top / 'folder'
        folder.mkdir()
        if text:
            (folder / 'test_it.py').write_text(
                f'import unittest\nclass It(unittest.TestCase):\n{text}')
        return self.step(self.check.unittest(folder))

    def test_folder(self):
        self.assertEqual(self.folder(
            ' def test_a(self): pass\n'
            ' def test_b(self): self.skipTest("why")\n'
            ' def test_c(self): self.fail()\n'
            ' def test_d(self): raise OSError\n'
            ' @unittest.expectedFailure\n'
            ' def test_e(self): self.fail()\n'), (2, 2, 1))

    def test_folder_without_tests_fails(self):
        self.assertEqual(self.folder(''), (0, 1, 0))

    def test_folder_whose_tests_match_nothing_fails(self):
        self.assertEqual(self.folder(' def tset_a(self): pass\n'), (0, 1, 0))

    def test_command(self):
        for status, result in (0, (1, 0, 0)), (3, (0, 1, 0)):
            program = self.command('program', f'exit {status}')
            self.assertEqual(self.step(self.check.command(program)), result)

    def hostile(self, text):
        self.command('tests/hostile/program', text)
        with mock.patch.object(run_check, 'TOP', self.top):
            return self.step(self.check.hostile('program'))

    def test_hostile(self):
        (self.top / 'tests/hostile').mkdir(parents=True)
        for text, result in (
                ('echo 9 attacks: 9 refused, 0 defects', (9, 0, 0)),
                ('echo 9 attacks: 7 refused, 2 defects; exit 1', (7, 2, 0)),
                ('echo 9 attacks: 9 refused, 0 defects; exit 1', (9, 1, 0)),
                ('echo 9 attacks: 8 refused, 0 defects', (0, 1, 0)),
                ('echo Traceback', (0, 1, 0)), ('exit 1', (0, 1, 0)),
                ('echo 0 attacks: 0 refused, 0 defects', (0, 1, 0))):
            self.assertEqual(self.hostile(text), result, text)

    def host(self, text):
        self.command('tests/host/program', text)
        with mock.patch.object(run_check, 'TOP', self.top):
            return self.step(self.check.host('program'))

    def test_host(self):
        (self.top / 'tests/host').mkdir(parents=True)
        end = 'skipped; 9 calls, 9 entries, 9 Realms, 9 s'
        for text, result in (
                (f'echo "5 passed, 0 failed, 1 {end}"', (5, 0, 1)),
                (f'echo "5 passed, 2 failed, 0 {end}"; exit 1', (5, 2, 0)),
                (f'echo "5 passed, 0 failed, 0 {end}"; exit 1', (5, 1, 0)),
                (f'echo "0 passed, 0 failed, 0 {end}"', (0, 1, 0)),
                ('echo Traceback; exit 1', (0, 1, 0)), ('true', (0, 1, 0))):
            self.assertEqual(self.host(text), result, text)


class Order(unittest.TestCase):
    """Which steps run side by side."""

    def run_steps(self, *kinds):
        """Runs a step for each; returns those that others ran beside."""
        running, beside = set(), set()
        seen = threading.Condition()

        def step(name):
            def function(log):
                with seen:
                    running.add(name)
                    if len(running) > 1:
                        beside.update(running)
                    seen.notify_all()
                    # Who could have company waits for it.
                    seen.wait_for(lambda: len(running) > 1 or name in beside
                                  or ONE_CORE not in kinds[name], 5)
                    running.discard(name)
                return 1, 0, 0
            return function
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(os, 'cpu_count', lambda: 2), \
                contextlib.redirect_stdout(io.StringIO()):
            check = run_check.Check(Path(folder), False)
            check.steps([(str(n), step(n), True, *kind)
                         for n, kind in enumerate(kinds)])
        self.assertEqual([row.name for row in check.rows],
                         [str(n) for n in range(len(kinds))])
        return beside

    def test_those_of_one_core_run_side_by_side(self):
        self.assertEqual(self.run_steps((), (ONE_CORE,), (ONE_CORE,), ()),
                         {1, 2})

    def test_others_run_alone(self):
        self.assertEqual(self.run_steps((), ()), set())

    def test_cpu_time_of_commands_is_counted(self):
        with tempfile.TemporaryDirectory() as folder, \
                contextlib.redirect_stdout(io.StringIO()):
            check = run_check.Check(Path(folder), False)
            spin = 'import time\nwhile time.process_time() < 0.2: pass'
            check.step('spins', check.command(sys.executable, '-c', spin))
            check.step('sleeps', check.command('sleep', '0.2'))
        spins, sleeps = check.rows
        self.assertGreaterEqual(spins.cpu, 0.2)
        self.assertLess(sleeps.cpu, 0.2)


class End(unittest.TestCase):
    def main(self, *results):
        """What run-check returns, and its last line."""
        said = io.StringIO()
        steps = [(f'step{n}', lambda log, result=result: result, True)
                 for n, result in enumerate(results)]
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(run_check, 'steps', lambda check: steps), \
                mock.patch.object(sys, 'argv', ['run-check', '--build-dir',
                                                folder]), \
                mock.patch.dict(os.environ), contextlib.redirect_stdout(said):
            status = run_check.main()
        return status, said.getvalue().splitlines()[-1]

    def test_all_pass(self):
        self.assertEqual(self.main((3, 0, 0), (4, 0, 0)),
                         (0, '7 passed, 0 failed'))

    def test_skips_show(self):
        self.assertEqual(self.main((3, 0, 2), (4, 0, 5)),
                         (0, '7 passed, 0 failed, 7 skipped'))

    def test_a_failure_shows(self):
        self.assertEqual(self.main((3, 0, 0), (4, 1, 0)),
                         (1, '7 passed, 1 failed'))

    def test_a_table_names_each_step(self):
        row = run_check.Row('a step', (3, 1, 2), 12.34, 5.67)
        self.assertEqual(run_check.table([row])[1].split(),
                         ['a', 'step', '3', '1', '2', '12.3', '5.7'])

    def test_a_step_without_a_test_fails_all(self):
        self.assertEqual(self.main((3, 0, 0), (0, 0, 0)),
                         (1, '3 passed, 1 failed'))


if __name__ == '__main__':
    unittest.main()
