# What the parts of the overlay tool share: where things lie, how to run a
# program, and how to fail with one line.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
HOOKS = REPO / 'upstream' / 'hooks'
PIN = REPO / 'upstream' / 'pin'

# The prepared tree. It is not below build/, since meson refuses a source folder
# inside its build folder; all build folders share it.
TREE = REPO / 'qemu'

# QEMU's folders in which we have files; each file appears at the same path in
# the prepared tree. All else in this repository is ours alone.
FOLDERS = ('accel', 'configs', 'docs', 'hw', 'include', 'linux-headers',
           'migration', 'qapi', 'scripts', 'stubs', 'target', 'tests')


class Failure(Exception):
    """An expected error: one line that names operation, value and remedy."""


def say(text):
    """Progress goes to stderr: stdout belongs to a command's result."""
    print(text, file=sys.stderr, flush=True)


def cache():
    """The folder of everything downloaded; survives `make clean`."""
    folder = Path(os.environ.get('REALM_CACHE') or REPO / '.cache')
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def cache_lock():
    """Two commands that fetch at the same time take turns."""
    with open(cache() / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command, cwd=None, env=None):
    """Run a program and return what it printed; its stderr is in the error."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, cwd=cwd, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Failure(f'{command[0]}: no such program; '
                      f'`make deps` installs what is missing') from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Failure(f'{" ".join(command)}: exit status {done.returncode}: '
                      f'{" / ".join(last)}')
    return done.stdout


def write_if_changed(path, text):
    """Write only what differs, so that ninja rebuilds only what must be."""
    if path.exists() and not path.is_symlink() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


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
