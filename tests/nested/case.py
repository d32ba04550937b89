"""What the tests in the nested machine share: a machine for each class.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import sys
import unittest

from machine import Machine
from realm_vm import end_on_signals, temporary_folder


class NestedTest(unittest.TestCase):
    machine_type = Machine

    @classmethod
    def setUpClass(cls):
        end_on_signals()
        folder = cls.enterClassContext(temporary_folder())
        cls.machine = cls.enterClassContext(cls.machine_type(folder))
        cls.figure(f'ready after {cls.machine.boot():.1f} s')

    @staticmethod
    def figure(text):
        """Something measured, into the line that unittest writes."""
        print(f'{text} ... ', end='', file=sys.stderr, flush=True)
