# Tests of scripts/draw and of what it has drawn: every picture of docs/ is what
# its source says, and stands on a page.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import importlib.machinery
import importlib.util
import re
import sys
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parents[2]
SVG = '{http://www.w3.org/2000/svg}'


def load():
    """draw as a module; its name has no .py."""
    loader = importlib.machinery.SourceFileLoader('draw',
                                                  str(TOP / 'scripts/draw'))
    spec = importlib.util.spec_from_loader('draw', loader)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, 'dont_write_bytecode', True):
        loader.exec_module(module)
    return module


draw = load()


class Pictures(unittest.TestCase):
    def test_each_is_what_its_source_says(self):
        sources = sorted(draw.PICTURES.glob('*.txt'))
        self.assertTrue(sources)
        for source in sources:
            picture = source.with_suffix('.svg')
            self.assertTrue(picture.exists(), f'{picture}: run scripts/draw')
            self.assertEqual(
                picture.read_text(),
                draw.svg(source.read_text(), f'docs/pictures/{source.name}'),
                f'{picture} is not up to date; run scripts/draw')

    def test_each_has_a_source_and_stands_on_a_page(self):
        shown = set()
        for page in (TOP / 'docs').rglob('*.rst'):
            for path in re.findall(r'^\.\. figure:: (\S+)', page.read_text(),
                                   re.M):
                self.assertTrue((page.parent / path).exists(),
                                f'{page} shows {path}, which is not there')
                shown.add((page.parent / path).resolve())
        pictures = set(draw.PICTURES.glob('*.svg'))
        self.assertEqual(shown, pictures)
        self.assertEqual({p.with_suffix('.txt') for p in pictures},
                         set(draw.PICTURES.glob('*.txt')))


class Drawing(unittest.TestCase):
    def picture(self, *rows):
        root = xml.fromstring(draw.svg('\n'.join(('# a title',) + rows), 'here'))
        return {tag: root.findall(SVG + tag)
                for tag in ('line', 'polygon', 'rect', 'text')}

    def texts(self, *rows):
        return [text.text for text in self.picture(*rows)['text']]

    def test_a_box_is_four_lines(self):
        found = self.picture('+---+', '| a |', '+---+')
        self.assertEqual(len(found['line']), 4)
        self.assertEqual([text.text for text in found['text']], ['a'])

    def test_an_arrow_has_a_head(self):
        for rows in (('-->',), ('<--',), ('|', 'v'), ('^', '|')):
            found = self.picture(*rows)
            self.assertEqual(len(found['polygon']), 1, rows)
            self.assertEqual(found['text'], [], rows)

    def test_words_stay_words(self):
        for words in ('a read-only page', '-object v', 'a + b', 'x > y', 'n: 2'):
            found = self.picture(words)
            self.assertEqual([text.text for text in found['text']], [words])
            self.assertEqual(found['line'] + found['polygon'], [])

    def test_two_blanks_part_texts(self):
        self.assertEqual(self.texts('one two  three'), ['one two', 'three'])

    def test_a_box_gets_its_colour(self):
        found = self.picture('+----+----+', '| ab | b  |', '+----+----+', '%%',
                             '#123456 b')
        self.assertEqual([rect.get('fill') for rect in found['rect']],
                         ['#fff', '#123456'])
        self.assertGreater(float(found['rect'][1].get('x')), 40)

    def test_a_colour_without_a_box_is_refused(self):
        for rows in (('a', '%%', '#fff b'), ('+--', '| a', '+--', '%%', '#fff a')):
            with self.assertRaises(draw.DrawError):
                self.picture(*rows)


if __name__ == '__main__':
    unittest.main()
