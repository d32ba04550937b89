# Tests of the hooks: an anchor fits exactly once, or nothing is written.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import hooks
from lib.common import Failure

SOURCE = '''\
static int helper(int x);

static int helper(int x)
{
    prepare(x);
    return x;
}

static int
board_init(Board *b,
           int x)
{
    int y = helper(x);

    prepare(y);
    return y;
}

static const Table table[] = {
    { "first", helper },
};
'''


def hook(*lines):
    return '\n'.join(['why: a test', *lines]) + '\n'


def apply(text, path='board.c', source=SOURCE):
    return hooks.apply(source, hooks.parse(text, f'{path}.hook'), path)


class Apply(unittest.TestCase):
    def refused(self, text, *words, path='board.c'):
        with self.assertRaises(Failure) as caught:
            apply(text, path)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_inserts_after_and_before_the_anchor(self):
        out = apply(hook('after: int y = helper(x);', 'add:', '|     ours(b);'))
        self.assertEqual(out, SOURCE.replace('    int y = helper(x);\n',
                                             '    int y = helper(x);\n'
                                             '    ours(b);\n'))
        out = apply(hook('before: return y;', 'add:', '|', '|     ours(b);'))
        self.assertIn('\n\n    ours(b);\n    return y;\n', out)

    def test_replaces_a_line(self):
        out = apply(hook('replace: return y;', 'add:', '|     return ours(y);'))
        self.assertEqual(out, SOURCE.replace('return y;', 'return ours(y);'))

    def test_refuses_an_anchor_that_matches_nothing_and_names_the_nearest(self):
        self.refused(hook('after: int y = helper(z);', 'add:', '| x'),
                     'matches 0 times in board.c', 'board.c:13: int y')

    def test_refuses_an_anchor_that_matches_twice(self):
        self.refused(hook('after: prepare(', 'add:', '| x'),
                     'matches 2 times', 'board.c:5:', 'board.c:15:')

    def test_scope_is_the_definition_not_the_prototype(self):
        out = apply(hook('in: helper', 'after: prepare(', 'add:', '|     ours();'))
        self.assertIn('    prepare(x);\n    ours();\n', out)
        out = apply(hook('in: board_init', 'after: prepare(', 'add:', '|     ours();'))
        self.assertIn('    prepare(y);\n    ours();\n', out)
        out = apply(hook('in: table', 'after: "first"', 'add:', '|     { "x" },'))
        self.assertIn('    { "first", helper },\n    { "x" },\n};', out)

    def test_anchor_outside_of_the_scope_is_refused(self):
        self.refused(hook('in: helper', 'after: int y', 'add:', '| x'),
                     'in helper')

    def test_unknown_scope_is_refused(self):
        self.refused(hook('in: nothing', 'after: int y', 'add:', '| x'),
                     "'nothing' matches 0 times")

    def test_braces_of_the_scope(self):
        out = apply(hook('in: board_init', 'after: {', 'add:', '|     ours();'))
        self.assertIn('int x)\n{\n    ours();\n    int y', out)
        out = apply(hook('in: board_init', 'before: }', 'add:', '|     ours();'))
        self.assertIn('return y;\n    ours();\n}\n', out)

    def test_scope_of_other_files_begins_at_a_line(self):
        source = "a = [\n  'x',\n]\nb = [\n  'x',\n]\n"
        text = hook('in: b = [', "after: 'x',", 'add:', "|   'y',")
        out = apply(text, 'meson.build', source)
        self.assertEqual(out, "a = [\n  'x',\n]\nb = [\n  'x',\n  'y',\n]\n")

    def test_only_newlines_end_lines(self):
        source = 'one\x0c\ntwo\x0b\x1c\x85\u2028three\nfour\n'
        out = apply(hook('after: three', 'add:', '| a\x0cb'), 'x.txt', source)
        self.assertEqual(out, source.replace('three\n', 'three\na\x0cb\n'))

    def test_hooks_do_not_see_each_other(self):
        one = hook('after: int y', 'add:', '|     int y2;')
        out = apply(one + '---\n' + one)
        self.assertEqual(out.count('int y2;'), 2)

    def test_refuses_a_malformed_hook(self):
        self.refused('after: int y\nadd:\n| x\n', 'no why:')
        self.refused(hook('after: a', 'before: b', 'add:', '| x'), '2 anchors')
        self.refused(hook('add:', '| x'), '0 anchors')
        self.refused(hook('after: int y'), 'nothing to add')
        self.refused(hook('behind: int y'), 'no field')
        self.refused(hook('after: int y', 'add:', '|x'), 'a line to add')


class Decisions(unittest.TestCase):
    """What a hook in C decides, beside asking a function of ours."""

    def decisions(self, *lines, path='board.c'):
        text = hook('before: return y;', 'add:', *lines)
        return hooks.decisions(hooks.parse(text, 'x')[0], path)

    def test_asking_and_leaving_is_no_decision(self):
        for lines in (
                ['|     realm_init(b);'],
                ['|     if (realm_refuses(b, !y, errp)) {', '|         return;',
                 '|     }'],
                ['|     if (!page_tags_put(f, b->block,', '|             y)) {',
                 '|         ret = -1;', '|         break;', '|     }'],
                ['|     y |= realm_kvm_active();'],
                ['|     if (ret == 0) {', '|         ret = page_tags_send(p);',
                 '|     }'],
                ['| #include "x<y.h"']):
            self.assertEqual(self.decisions(*lines), [], lines)

    def test_a_condition_of_its_own_is_one(self):
        for condition in ('!b->flash[0]', 'y', 'helper(y)',
                          'realm_active() && y', 'realm_left(y) > 3',
                          'realm_active() || b'):
            self.assertEqual(self.decisions(f'|     if ({condition}) {{'),
                             [f'if ({condition})'])

    def test_so_are_loops_and_choices(self):
        for line, found in (('for (;;) {', 'for'), ('while (realm_x()) {', 'while'),
                            ('} else {', 'else'), ('switch (y) {', 'switch'),
                            ('goto out;', 'goto'), ('y = b ? 1 : 2;', '?'),
                            ('y = a == b;', '=='), ('y = a && b;', '&&')):
            self.assertEqual(self.decisions(f'|     {line}'), [found])

    def test_other_languages_are_not_looked_at(self):
        self.assertEqual(self.decisions('| if x:', path='x.py'), [])


class Folder(unittest.TestCase):
    """Hook files against a pristine tree."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree, self.hooks = Path(folder.name, 'q'), Path(folder.name, 'h')
        (self.tree / 'hw').mkdir(parents=True)
        (self.hooks / 'hw').mkdir(parents=True)
        (self.tree / 'hw/board.c').write_text(SOURCE)

    def write(self, path, text):
        (self.hooks / path).write_text(text)

    def test_refuses_a_hook_whose_file_is_gone(self):
        self.write('hw/gone.c.hook', hook('after: x', 'add:', '| x'))
        with self.assertRaisesRegex(Failure, 'QEMU has no file hw/gone.c'):
            hooks.hooked(self.tree, self.hooks)

    def test_refuses_a_file_that_is_no_hook(self):
        self.write('hw/notes.txt', '')
        with self.assertRaisesRegex(Failure, 'not a hook file'):
            hooks.hooked(self.tree, self.hooks)

    def test_reports_all_problems_at_once(self):
        self.write('hw/gone.c.hook', hook('after: x', 'add:', '| x'))
        self.write('hw/board.c.hook', hook('after: nowhere', 'add:', '| x'))
        with self.assertRaisesRegex(Failure, '(?s)nowhere.*gone'):
            hooks.hooked(self.tree, self.hooks)


if __name__ == '__main__':
    unittest.main()
