"""What the builds of guest images share: when there is something to do,
archives for the kernel, files that are whole or not there.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os


class BuildError(Exception):
    """Something the user has to mend; the text says what and how."""


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def up_to_date(inputs, outputs):
    try:
        return newest(inputs) <= min(os.path.getmtime(out) for out in outputs)
    except FileNotFoundError:
        return False


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def write(path, data):
    """Replaces the file at once, so that an interrupted build leaves none."""
    with open(path + '.new', 'wb') as file:
        file.write(data)
    os.replace(path + '.new', path)


class Cpio:
    """A cpio archive (newc) whose bytes depend on its members alone."""

    def __init__(self):
        self.parts = []
        self.size = 0
        self.inode = 0

    def _put(self, data):
        padding = b'\0' * (-(self.size + len(data)) % 4)
        self.parts += [data, padding]
        self.size += len(data) + len(padding)

    def _member(self, name, mode, data=b'', device=(0, 0)):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(name) + 1, 0)
        header = '070701' + ''.join(f'{field:08x}' for field in fields)
        self._put(header.encode() + name.encode() + b'\0')
        self._put(data)

    def folder(self, name):
        self._member(name, 0o040755)

    def file(self, name, data, mode=0o644):
        self._member(name, 0o100000 | mode, data)

    def link(self, name, target):
        self._member(name, 0o120777, target.encode())

    def device(self, name, major, minor):
        self._member(name, 0o020600, device=(major, minor))

    def bytes(self):
        self._member('TRAILER!!!', 0)
        return b''.join(self.parts)
