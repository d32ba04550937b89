# What this folder and the overlay tool share: the cache, how to run a program,
# and how to fail with one line.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


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


def run(*command, cwd=None, env=None, stdin=None):
    """Run a program and return what it printed; its stderr is in the error."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, cwd=cwd, env=env, text=True, input=stdin,
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
