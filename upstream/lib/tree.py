# The prepared tree: upstream's files, ours linked in at the same paths, and the
# hooked files. Preparing again touches only what changed.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import shutil
from pathlib import Path

from . import hooks
from .common import FOLDERS, REPO, Failure, our_files, say, write_if_changed
from .source import version_of

STATE = '.overlay.json'


def no_firmware(folder, names):
    """For copytree: leave out the firmware sources below roms/, and what git
    and dpkg-source keep for themselves."""
    if os.path.basename(folder) == 'roms':
        return [name for name in names
                if os.path.isdir(os.path.join(folder, name))]
    return [name for name in names if name in ('.git', '.pc')]


def copy_pristine(pristine, tree):
    """A copy, not hard links: an edit in the tree must not reach the cache.
    Its files are new: what was built from another version must be rebuilt."""
    say(f'copying {pristine.name}')
    fresh = tree.with_name(tree.name + '.new')
    for old in (fresh, tree):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(pristine, fresh, symlinks=True, ignore=no_firmware,
                    copy_function=shutil.copy)
    fresh.rename(tree)


def identity(pristine):
    """Tells one pristine tree from another."""
    stat = (pristine / 'VERSION').stat()
    return f'{pristine} {version_of(pristine)} {stat.st_ino} {stat.st_mtime_ns}'


def read_state(tree):
    try:
        return json.loads((tree / STATE).read_text())
    except (OSError, ValueError):
        return {}


def collisions(pristine, ours):
    for path in ours:
        if os.path.lexists(pristine / path):
            raise Failure(f'{path}: QEMU has a file of this name; '
                          'rename ours, or write a hook')


def link(tree, path):
    """Relative, so that the repository and its build folder can move."""
    place = tree / path
    target = os.path.relpath(REPO / path, place.parent.resolve())
    if place.is_symlink() and os.readlink(place) == target:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def unlink(tree, path):
    """Remove a link of a file we no longer have, and folders left empty."""
    place = tree / path
    place.unlink(missing_ok=True)
    for folder in place.relative_to(tree).parents:
        if folder == Path('.') or any((tree / folder).iterdir()):
            break
        (tree / folder).rmdir()


def restore(pristine, tree, path):
    """A file whose hooks are gone; its time is now, so that ninja sees it."""
    if (pristine / path).exists():
        write_if_changed(tree / path, (pristine / path).read_text())


def prepare(pristine, tree):
    """Bring the tree up to date; refuses before it changes anything."""
    ours = our_files(*FOLDERS)
    collisions(pristine, ours)
    texts, _ = hooks.hooked(pristine)
    state, name = read_state(tree), identity(pristine)
    if state.get('pristine') != name:
        tree.parent.mkdir(parents=True, exist_ok=True)
        copy_pristine(pristine, tree)
        state = {}
    for path in set(state.get('links', [])) - set(ours):
        unlink(tree, path)
    for path in ours:
        link(tree, path)
    for path in set(state.get('hooked', [])) - set(texts):
        restore(pristine, tree, path)
    for path, text in texts.items():
        write_if_changed(tree / path, text)
    fresh = {'pristine': name, 'links': ours, 'hooked': sorted(texts)}
    if fresh != state:
        (tree / STATE).write_text(json.dumps(fresh, indent=1))
