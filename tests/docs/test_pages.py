"""What tests/docs finds on a page, and what it refuses.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import unittest

from pages import Block, PageError, blocks, names
from session import CommandError, compare, exchanges

SHELL = '\n.. code-block:: shell\n\n   true\n'
QMP = '\n.. code-block:: none\n\n   -> { "execute": "stop" }\n'


class Pages(unittest.TestCase):

    def kinds(self, text):
        return [(b.kind, b.argument) for b in blocks(text, 'page')]

    def test_a_block_without_a_comment_is_a_script(self):
        self.assertEqual(self.kinds(SHELL), [('shell', '')])

    def test_a_comment_is_for_the_next_block_only(self):
        self.assertEqual(self.kinds('.. run: guest g\n' + SHELL + SHELL),
                         [('guest', 'g'), ('shell', '')])

    def test_other_comments_and_other_blocks_do_not_count(self):
        other = '.. a word\n\n.. code-block:: c\n\n   int i;\n'
        self.assertEqual(self.kinds(other + SHELL), [('shell', '')])

    def test_blocks_in_lists_count(self):
        text = 'word\n  Text.\n\n  .. run: options\n' + \
            SHELL.replace('\n', '\n  ')
        self.assertEqual(self.kinds(text), [('options', '')])

    def test_a_reason_may_have_two_lines(self):
        self.assertEqual(self.kinds('.. not run: it needs\n   KVM\n' + SHELL),
                         [('not run', 'it needs KVM')])

    def test_machines_can_start_anew(self):
        self.assertEqual(self.kinds('.. run: anew\n' + SHELL),
                         [('anew', ''), ('shell', '')])

    def test_a_page_that_makes_no_sense_is_refused(self):
        for text in ('.. run: sometimes\n' + SHELL,
                     '.. run: guest\n' + SHELL,
                     '.. run: options of a machine\n' + SHELL,
                     '.. run: guest g\n',
                     '.. run: guest g\n\n.. run: guest g\n' + SHELL,
                     QMP):
            with self.subTest(text), self.assertRaises(PageError):
                blocks(text, 'page')

    def test_commands_have_names(self):
        for text, language, expected in (
                ('a/b/c --d \\\n   e   # f\nmake g\nvirsh start-all x\nq r.s',
                 'shell', {'c', 'g', 'make', 'virsh', 'start-all', 'q'}),
                ('-> {"execute": "qmp_capabilities"}\n-> {"execute": "cont"}',
                 'qmp', {'cont'})):
            self.assertEqual(names(Block('page', text, 'run by',
                                         language=language)), expected)


class Exchanges(unittest.TestCase):

    def test_answers_belong_to_the_command_before_them(self):
        text = ('-> { "execute": "a" }\n<- { "return": {\n  "b": "c" } }\n'
                '<- { "event": "E" }\n{ "execute": "d" }\n')
        self.assertEqual(exchanges(Block('page', text, 'qmp')),
                         [({'execute': 'a'}, {'b': 'c'}),
                          ({'execute': 'd'}, None)])

    def test_what_is_no_json_is_refused(self):
        with self.assertRaises(CommandError):
            exchanges(Block('page', '-> { "execute": stop }', 'qmp'))

    def test_an_answer_has_all_that_is_shown_of_the_same_type(self):
        block = Block('page', '', 'qmp')
        said = {}
        compare(block, {'a': 'x', 'n': 1}, {'a': 'y', 'n': 2, 'm': 3}, said)
        self.assertEqual(said, {'x': 'y'})
        for answer in ({}, {'a': 1}, 'a'):
            with self.subTest(answer), self.assertRaises(CommandError):
                compare(block, {'a': 'x'}, answer, said)


if __name__ == '__main__':
    unittest.main()
