# Tests of the search for circles, with made-up files.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'upstream'))
from lib import circles

LEAF = '''\
#include "osdep.h"
#define TWICE(x) { \\
    (x) * 2 }

struct Thing thing = {
    .name = "{",
};
const Ops *const table[] = { &thing };
static int hidden;
extern int elsewhere;
typedef struct Thing Thing;
struct Forward;

/* Not a definition: void commented(void) { } */
void leaf_declared(int x);

static int helper(int x)
{
    return x;
}

int leaf_work(int x, int (*call)(int))
{
    if (x) {
        return helper(x);
    }
    return call('}');
}
'''


class Definitions(unittest.TestCase):
    def test_functions_and_variables_for_others(self):
        self.assertEqual(circles.definitions(LEAF),
                         {'thing', 'table', 'leaf_work'})

    def test_a_macro_before_a_function_does_not_hide_it(self):
        self.assertEqual(circles.definitions(
            'OBJECT_TYPE(Thing, thing)\n\nBlock *\nfind(int a) { }\n'
            'type_init(register_types)\n\nstatic void hidden(void) { }\n'),
            {'find'})


class Circles(unittest.TestCase):
    def found(self, **texts):
        """What is found in files of one folder; `a_h` is a.h."""
        return circles.find({f'hw/x/{name.replace("_", ".")}': text
                             for name, text in texts.items()})

    def test_calls_one_way_are_no_circle(self):
        self.assertEqual(self.found(
            a_c=LEAF, b_c='void b(void) { leaf_work(1, 0); }',
            c_c='void c(void) { leaf_work(2, 0); b(); }'), [])

    def test_two_files_that_call_each_other(self):
        self.assertEqual(self.found(a_c='void a(void) { b(); }',
                                    b_c='void b(void) { a(); }'),
                         ['2 files in a circle:\n'
                          '    hw/x/a.c -> hw/x/b.c: b\n'
                          '    hw/x/b.c -> hw/x/a.c: a'])

    def test_a_longer_circle_and_what_is_not_in_it(self):
        found = self.found(
            a_c='void a(void) { b(); }', b_c='void b(void) { c(); }',
            c_c='#define WAY a\nvoid c(void) { WAY(); }',
            d_c='void d(void) { a(); }')
        self.assertEqual(len(found), 1)
        self.assertIn('3 files in a circle', found[0])
        self.assertIn('hw/x/c.c -> hw/x/a.c: a', found[0])
        self.assertNotIn('d.c', found[0])

    def test_a_variable_makes_a_circle_too(self):
        self.assertEqual(len(self.found(
            a_c='int state;\nvoid a(void) { b(); }',
            b_c='void b(void) { state = 1; }')), 1)

    def test_members_comments_texts_and_own_statics_do_not(self):
        self.assertEqual(self.found(
            a_c='void a(void) { b(); }',
            b_c='/* a() */ void b(void) { x.a = 1; y->a(); log("a"); }',
            c_c='static void a(void) { }\nvoid c(void) { b(); }'), [])

    def test_a_call_through_a_table_is_none(self):
        self.assertEqual(self.found(
            a_c='static const Ops *ops;\n'
                'void set_ops(const Ops *o) { ops = o; }\n'
                'void a(void) { ops->b(); }',
            b_c='static void b(void) { a(); }\nstatic const Ops ops = { b };\n'
                'void init(void) { set_ops(&ops); }'), [])

    def test_headers_that_include_each_other(self):
        found = self.found(a_h='#include "b.h"\n',
                           b_h='#include "hw/x/a.h"\n#include "qemu/osdep.h"')
        self.assertEqual(found, ['2 files in a circle:\n'
                                 '    hw/x/a.h -> hw/x/b.h: b.h\n'
                                 '    hw/x/b.h -> hw/x/a.h: hw/x/a.h'])

    def test_a_list_of_files_is_right(self):
        sources = {'a_c': 'void a(void) { }', 'b_c': 'void b(void) { a(); }'}
        for text in ('Files, from leaf to root:\n *\n *   a.c  the leaf\n'
                     ' *   b.c  the root', 'Files from leaf\n * to root: a b.',
                     'a.c\n * b.c\n *\n * from leaf to root.  See z.h.'):
            self.assertEqual(self.found(x_h=f'/*\n * {text}\n */', **sources),
                             [])
        self.assertEqual(
            self.found(x_h='/* from leaf to root: b.c, a.c */', **sources),
            ['hw/x/x.h: hw/x/b.c stands before hw/x/a.c and uses its a'])
        self.assertEqual(
            self.found(x_h='/* from leaf to root: a.c */', **sources),
            ['hw/x/x.h: hw/x/b.c is not in its list of files'])

    def test_a_list_of_files_may_be_of_a_folder_below(self):
        self.assertEqual(circles.find({
            'x/seam.h': '/* The files of in/, from leaf to root: a.c, b.c */',
            'x/in/a.c': 'void a(void) { }', 'x/in/b.c': '', 'x/out/c.c': ''}),
            [])

    def test_tests_are_left_out(self):
        top = Path(__file__).resolve().parents[2]
        self.assertEqual(circles.ours(['tests/x.c', 'hw/tests/y.c',
                                       'linux-headers/z.h', 'README.md'],
                                      top), {})


if __name__ == '__main__':
    unittest.main()
