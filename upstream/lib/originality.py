# No upstream source in this repository: find every run of equal lines between
# our files and QEMU's. Lines count after their blanks are normalised; braces,
# includes, and licence lines neither count nor end a run.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re

from .common import REPO

RUN = 6     # so many equal lines in a row are a copy
SOURCES = ('.build', '.c', '.cc', '.h', '.hx', '.inc', '.json', '.mak', '.md',
           '.py', '.rs', '.rst', '.S', '.s', '.sh', '.txt')
NAMES = ('configure', 'Kconfig', 'MAINTAINERS', 'Makefile', 'trace-events')

IGNORED = re.compile(r'#\s*include|import\b|from \S+ import|'
                     r'.*(SPDX-License-Identifier|Copyright)')
WORDS = re.compile(r'\w\w')


def is_source(path):
    name = os.path.basename(path)
    return name.endswith(SOURCES) or name in NAMES


def counted(text):
    """[(line number, normalised line)] of the lines that count."""
    out = []
    for number, line in enumerate(text.split('\n'), 1):
        line = ' '.join(line.split())
        if WORDS.search(line) and not IGNORED.match(line):
            out.append((number, line))
    return out


def read(path):
    """A file's text, or nothing for links and binary files."""
    if os.path.islink(path) or not os.path.isfile(path):
        return ''
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


class Index:
    """Our lines, and where each group of RUN lines in a row begins."""

    def __init__(self, paths, root=REPO):
        self.lines, self.files, self.groups = set(), {}, {}
        for path in paths:
            rows = counted(read(os.path.join(root, path)))
            self.files[path] = rows
            self.lines.update(line for _, line in rows)
            for start in range(len(rows) - RUN + 1):
                group = tuple(line for _, line in rows[start:start + RUN])
                self.groups.setdefault(group, (path, start))

    def runs(self, rows, theirs):
        """Sentences about the runs that QEMU's file shares with ours."""
        found, at = [], 0
        while at + RUN <= len(rows):
            group = tuple(line for _, line in rows[at:at + RUN])
            hit = self.groups.get(group)
            if not hit:
                at += 1
                continue
            path, start = hit
            ours, length = self.files[path], RUN
            while (at + length < len(rows) and start + length < len(ours)
                   and rows[at + length][1] == ours[start + length][1]):
                length += 1
            found.append(f'{path}:{ours[start][0]}: {length} lines as in '
                         f'{theirs}:{rows[at][0]}')
            at += length
        return found


def candidates(text, lines):
    """Cheap test that most files fail: are RUN of our lines in it at all?"""
    hits = 0
    for line in text.split('\n'):
        if ' '.join(line.split()) in lines:
            hits += 1
            if hits == RUN:
                return True
    return False


def sources(tree):
    for folder, subfolders, names in os.walk(tree):
        subfolders[:] = [n for n in subfolders if n not in ('.git', '.pc')]
        for name in names:
            if is_source(name):
                yield os.path.join(folder, name)


def compare(ours, pristine, root=REPO):
    """All runs of equal lines, as sentences. `ours` are paths below `root`."""
    paths = [path for path in ours if os.path.basename(path) != 'COPYING']
    index, found = Index(paths, root), []
    for path in sources(pristine):
        text = read(path)
        if candidates(text, index.lines):
            found += index.runs(counted(text), os.path.relpath(path, pristine))
    return found
