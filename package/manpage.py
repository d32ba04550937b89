"""Man pages from package/man/NAME.rst, which docutils turns into troff.

A line @OPTIONS@ becomes the options that the program itself says it has,
@OPTIONS COMMAND@ those of one of its commands, and @PROPERTIES KIND@ what QEMU
says of a kind of object: nobody writes them twice.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import subprocess

PLACE = re.compile(r'^@(OPTIONS|PROPERTIES)(?: (\S+))?@$', re.M)
# What the programs list: a name, or several; then what it is, here or in the
# next line.
ITEM = re.compile(r'^  (?P<name>\S.*?)(?:(?: {2,}| (?=- ))(?:- )?(?P<text>.*))?$')
# So that argparse puts nothing into more lines than that.
WIDE = '10000'
NOTHING = '\\ '                 # a definition must have a text


def escape(text):
    return re.sub(r'([\\*`|_])', r'\\\1', text)


def definitions(text):
    """What a program lists, as a definition list of reStructuredText."""
    items = []
    for line in text.splitlines():
        item = ITEM.match(line)
        if item:
            items.append([item['name'], item['text'] or ''])
        elif items and line.startswith('   '):
            items[-1][1] = line.strip()
    # Without stars, an option would be one of reStructuredText's own kind of list.
    return '\n'.join(f'**{escape(name)}**\n    {escape(text) or NOTHING}\n'
                     for name, text in items)


def said(*words):
    return subprocess.run(
        words, env={**os.environ, 'COLUMNS': WIDE, 'LC_ALL': 'C.UTF-8'},
        check=True, capture_output=True, text=True).stdout


def options(program, command):
    """Of a program that uses argparse, or of one of its commands."""
    text = said(program, *([command] if command else []), '--help')
    sections = re.split(r'^(?=\S.*:$)', text, flags=re.M)
    return '\n'.join(definitions(section)
                     for section in sections
                     if section.startswith(('positional', 'options')))


def properties(program, kind):
    """Of a kind of object of QEMU's."""
    return definitions(said(program, '-object', f'{kind},help'))


def page(source, program):
    """The troff of a page. program: what is asked for its options."""
    lists = {'OPTIONS': options, 'PROPERTIES': properties}
    text = PLACE.sub(lambda place: lists[place[1]](program, place[2]),
                     source.read_text(encoding='utf-8'))
    return subprocess.run(
        ['/usr/bin/rst2man', '--report=warning', '--halt=warning', '-', '-'],
        input=text, check=True, capture_output=True, text=True).stdout
