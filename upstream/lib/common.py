# What the parts of the overlay tool share: where things lie, which files are
# ours, what upstream/pin says; and what it has from buildenv/.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re

from buildenv.common import (  # noqa: F401 - for the other parts
                             REPO, Failure, cache, cache_lock, run, say,
                             write_if_changed)

HOOKS = REPO / 'upstream' / 'hooks'
PIN = REPO / 'upstream' / 'pin'
SERIES = REPO / 'upstream' / 'series'

# The prepared tree. It is not below build/, since meson refuses a source folder
# inside its build folder; all build folders share it.
TREE = REPO / 'qemu'

# QEMU's folders in which we have files; each file appears at the same path in
# the prepared tree. All else in this repository is ours alone.
FOLDERS = ('accel', 'backends', 'configs', 'docs', 'hw', 'include',
           'linux-headers', 'migration', 'qapi', 'scripts', 'stubs', 'system',
           'target', 'tests')


def our_files(*folders):
    """Paths of our files (as strings, relative to the repository), without
    what git ignores; uncommitted files count."""
    listing = run('git', '-c', f'safe.directory={REPO}', '-C', REPO, 'ls-files',
                  '-z', '--cached', '--others', '--exclude-standard',
                  '--', *folders)
    names = sorted(set(filter(None, listing.split('\0'))))
    return [name for name in names if os.path.lexists(REPO / name)]


def pin():
    """upstream/pin as {key: [values]}; its format is explained in the file."""
    entries = {}
    for line in PIN.read_text().splitlines():
        words = re.sub(r'#.*', '', line).split()
        if words:
            entries.setdefault(words[0], []).append(words[1:])
    return entries
