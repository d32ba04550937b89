"""The commands of the documentation: every block of the shell's, and every block
with commands of QMP.

A comment before a block says how a test runs it:

    .. run: terminal NAME           it starts a machine, which stays until the
                                    page ends; its guest takes commands, unless
                                    the machine waits for a migration
    .. run: terminal NAME says TEXT     so, and prints that
    .. run: guest NAME              lines for the guest's shell in that terminal
    .. run: options                 each line is options of a machine, of one with a
                                    Realm if there is no -M; it starts
    .. run: qmp SOCKET              commands, with the answers
    .. run: qmp SOCKET until TEXT   so, until an answer has that in it
    .. run by: FILE                 that test of ours runs it
    .. not run: REASON              nothing here can

Without such a comment a block of the shell's is a script that succeeds.  By
itself, `.. run: anew` ends the machines of the page and starts them again.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import shlex
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / 'docs'
# Unknown roles and domains, which Sphinx knows, are not reported.
SETTINGS = {'report_level': 5, 'halt_level': 5, 'syntax_highlight': 'none'}
KINDS = ('terminal', 'guest', 'options', 'qmp', 'anew')


class PageError(Exception):
    """A page has something in it that no test can make sense of."""


class Block:
    """Commands, in the shell's language or QMP's, and how they are run."""

    def __init__(self, page, text, kind, argument='', language='shell'):
        self.page, self.text, self.language = page, text, language
        self.kind, self.argument = kind, argument

    def __str__(self):
        head = self.text.strip().split('\n', 1)[0]
        return f'{self.page}: {self.kind} {self.argument}: {head}'


def marker(comment, page):
    """(kind, argument) that a comment gives, or None if it is another one."""
    match = re.fullmatch(r'(run|run by|not run):\s+(\S.*)', comment,
                         re.S)
    if not match:
        return None
    word, rest = match[1], ' '.join(match[2].split())
    if word != 'run':
        return word, rest
    kind, _, argument = rest.partition(' ')
    if kind not in KINDS or bool(argument) == (kind in ('options', 'anew')):
        raise PageError(f'{page}: ".. run: {rest}" is none of the comments that '
                        'tests/docs/pages.py explains')
    return kind, argument


def is_commands(node):
    return 'shell' in node['classes'] or '"execute":' in node.astext()


def names(block):
    """The program of each line, with what it is told to do (make's target, a
    command of virsh), or the commands of QMP; the one that every client sends
    first does not count."""
    found = set(re.findall(r'"execute": *"([\w-]+)"', block.text))
    if block.language != 'shell':
        return found - {'qmp_capabilities'}
    found = set()
    for line in block.text.replace('\\\n', ' ').split('\n'):
        words = shlex.split(line, comments=True)
        found |= {word.rsplit('/', 1)[-1] for word in words[:1]}
        found |= {word for word in words[1:2] if re.fullmatch('[a-z-]+', word)
                  and word[0] != '-'}
    return found


def blocks(text, page):
    """The blocks of a page, in order."""
    found, how, used = [], None, True
    for node in publish_doctree(text, settings_overrides=SETTINGS).findall():
        if isinstance(node, nodes.comment):
            new = marker(node.astext(), page)
            if not new:
                continue
            if not used:
                raise PageError(f'{page}: no commands follow {how}')
            how, used = new, new[0] == 'anew'
            if used:
                found.append(Block(page, '', 'anew'))
                how = None
        elif isinstance(node, nodes.literal_block) and is_commands(node):
            language = 'shell' if 'shell' in node['classes'] else 'qmp'
            if language == 'qmp' and not how:
                raise PageError(f'{page}: nobody runs {node.astext()!r}; put '
                                '".. run: qmp SOCKET" before it')
            found.append(Block(page, node.astext(), *(how or ('shell', '')),
                               language))
            how, used = None, True
    if not used:
        raise PageError(f'{page}: no commands follow {how}')
    return found


def of_all_pages():
    """{name of a page below docs/: its blocks}, of those that have any."""
    result = {}
    for path in sorted(DOCS.rglob('*.rst')):
        page = str(path.relative_to(DOCS))
        found = blocks(path.read_text(encoding='utf-8'), page)
        if found:
            result[page] = found
    return result
