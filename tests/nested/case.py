"""What the tests in the nested machine share: a machine for each class.

    NestedTest      a class of tests
    with_facts      gives it a test for each claim of kvm-facts.c

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import sys
import unittest
from pathlib import Path

from machine import Machine
from realm_vm import end_on_signals, temporary_folder

FACTS = Path(__file__).resolve().with_name('kvm-facts.c')


class NestedTest(unittest.TestCase):
    machine_type = Machine
    facts = None            # what kvm-facts says of the machine's kernel

    @classmethod
    def setUpClass(cls):
        end_on_signals()
        folder = cls.enterClassContext(temporary_folder())
        cls.machine = cls.enterClassContext(cls.machine_type(folder))
        cls.figure(f'ready after {cls.machine.boot():.1f} s')

    def check_fact(self, claim):
        cls = type(self)
        if cls.facts is None:
            cls.facts = self.machine.run('kvm-facts')[1]
        self.assertRegex(cls.facts, rf'(?m)^1\.\.{cls.number_of_facts}$')
        line = re.search(r'((?:^# .*\n)*)'
                         rf'^(ok|not ok) \d+ {re.escape(claim)}'
                         r'(?: # SKIP (.*))?$', cls.facts, re.M)
        self.assertIsNotNone(line, cls.facts)
        self.assertEqual(line[2], 'ok', line[1])
        if line[3]:
            self.skipTest(f'this kernel is {line[3]}')

    @staticmethod
    def figure(text):
        """Something measured, into the line that unittest writes."""
        print(f'{text} ... ', end='', file=sys.stderr, flush=True)


def with_facts(cls):
    """A class decorator; what a kernel does not have is a skip."""
    claims = re.findall(r'^    \{ "(.*)",\s+\w+ \},$', FACTS.read_text(), re.M)
    if not claims:
        raise ValueError(f'{FACTS}: no claims are found')
    cls.number_of_facts = len(claims)
    for claim in claims:
        setattr(cls, 'test_fact_' + re.sub(r'\W+', '_', claim),
                lambda self, claim=claim: self.check_fact(claim))
    return cls
