"""Reads tests/errors/table, whose head says what its lines mean.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """state: of the machine, or '' for a command line.  upstream: why the
    message has no remedy."""
    call: str
    says: str
    state: str
    upstream: str


def expand(text, names):
    return re.sub(r'\$\{?([A-Z]\w*)\}?', lambda match: names[match[1]], text)


def read_table(path, files):
    """The rows.  files: where $FILES is."""
    names, rows, state = {'FILES': str(files)}, [], ''
    call = None
    says, why = [], ''
    lines = path.read_text(encoding='utf-8').splitlines()
    for line in [*lines, '']:
        if call is not None and line:
            if line.startswith('upstream: '):
                why = line.removeprefix('upstream: ')
            else:
                says.append(expand(line, names))
        elif call is not None:
            rows.append(Row(call, '\n'.join(says), state, why))
            call, says, why = None, [], ''
        elif line.startswith('$ '):
            state, call = '', expand(line[2:], names)
        elif line.startswith('> '):
            call = expand(line[2:], names)
        elif line.startswith('(qemu) '):
            call = line
        elif line.startswith('machine '):
            state = line.split()[1]
        elif match := re.fullmatch(r'(\w+) = (.*)', line):
            names[match[1]] = expand(match[2], names)
        elif line and not line.startswith('#'):
            raise ValueError(f'{path}: what is this: {line}')
    return rows
