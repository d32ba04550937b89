# The fork as series of patches against QEMU: for each series (upstream/series)
# one patch for each folder's new files, and one for the hooks. Made in a
# repository of its own that holds only what is touched, so it takes no time.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import shutil

from . import common, hooks
from .common import FOLDERS, Failure, run
from .source import version_of

# The last series has what no other one has.
LAST = 'realm'
TITLES = {'tags': 'memory tags that migrate', LAST: 'Arm CCA Realms'}


class Repository:
    """A git repository that is filled without a work tree."""

    def __init__(self, folder):
        self.git_dir = folder / 'git'
        who = {}
        for role in ('AUTHOR', 'COMMITTER'):
            who[f'GIT_{role}_NAME'] = self.identity('name')
            who[f'GIT_{role}_EMAIL'] = self.identity('email')
        self.env = {**os.environ, **who, 'GIT_DIR': str(self.git_dir)}
        run('git', 'init', '-q', '--bare', self.git_dir)

    @staticmethod
    def identity(field):
        """The user's name, or a stand-in where git knows none."""
        config = run('git', 'config', '--default', 'overlay', f'user.{field}')
        return config.strip()

    def git(self, *words, stdin=None):
        return run('git', *words, env=self.env, stdin=stdin).strip()

    def add(self, files):
        """Stage {path: the file with its text}, all with two processes."""
        blobs = self.git('hash-object', '-w', '--no-filters', '--stdin-paths',
                         stdin=''.join(f'{file}\n' for file in files.values()))
        modes = ['100755' if os.access(file, os.X_OK) else '100644'
                 for file in files.values()]
        self.git('update-index', '--index-info',
                 stdin=''.join(f'{mode} {blob}\t{path}\n' for mode, blob, path
                               in zip(modes, blobs.split(), files)))

    def commit(self, message):
        tree = self.git('write-tree')
        refs = self.git('for-each-ref', 'refs/heads/main')
        parents = ['-p', 'refs/heads/main'] if refs else []
        new = self.git('commit-tree', tree, *parents, '-m', message)
        self.git('update-ref', 'refs/heads/main', new)
        return new


def belongs(path, place):
    return path.startswith(place) if place.endswith('/') else path == place


def listed(file):
    """What upstream/series lists, as {series: [files and folders]}."""
    places = {}
    for number, line in enumerate(file.read_text().split('\n'), 1):
        words = line.partition('#')[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] not in TITLES:
            raise Failure(f'{file.name}:{number}: a line is a series, one of '
                          f'{", ".join(TITLES)}, and a file or folder')
        places.setdefault(words[0], []).append(words[1])
    return places


def files_of(places):
    """Our files as {series: [paths]}, in the order of the series."""
    rest, found = common.our_files(*FOLDERS), {}
    for series, wanted in places.items():
        for place in wanted:
            if not any(belongs(path, place) for path in rest):
                raise Failure(f'upstream/series: no file of ours is {place}, or '
                              'another line has it; name what there is')
        found[series] = [path for path in rest
                         if any(belongs(path, place) for place in wanted)]
        rest = [path for path in rest if path not in found[series]]
    return {**found, LAST: rest}


def commit_files(repository, series, paths):
    """One commit for each of QEMU's folders in which the series has files."""
    for folder in FOLDERS:
        ours = [path for path in paths if belongs(path, f'{folder}/')]
        if ours:
            repository.add({path: common.REPO / path for path in ours})
            repository.commit(f'{folder}: add the files for {TITLES[series]}')


def commit_hooks(repository, series, so_far, pristine, scratch):
    """One commit with the hooks of the series; those so far are there."""
    def is_wanted(hook):
        return (hook.series or LAST) in so_far
    texts, by_path = hooks.hooked(pristine, common.HOOKS, is_wanted)
    for path, text in texts.items():
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        (scratch / path).write_text(text)
        (scratch / path).chmod((pristine / path).stat().st_mode)
    repository.add({path: scratch / path for path in texts})
    shutil.rmtree(scratch)
    reasons = [f'{path}: {hook.fields["why"]}'
               for path in texts for hook in by_path[path]
               if (hook.series or LAST) == series]
    repository.commit(f'Call the code for {TITLES[series]}\n\n'
                      + '\n'.join(reasons))


def write(pristine, folder):
    """Each series as files in a folder of its name; returns their folder."""
    texts, by_path = hooks.hooked(pristine, common.HOOKS)
    for hook in sum(by_path.values(), []):
        if (hook.series or LAST) not in TITLES:
            raise Failure(f'{hook.where}: no series {hook.series}; there are '
                          f'{", ".join(TITLES)}')
    files = files_of(listed(common.SERIES))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    repository = Repository(folder)
    repository.add({path: pristine / path for path in texts})
    last = repository.commit(f'QEMU {version_of(pristine)}, as far as touched')
    so_far = set()
    for series, paths in files.items():
        so_far.add(series)
        commit_files(repository, series, paths)
        commit_hooks(repository, series, so_far, pristine, folder / 'hooked')
        repository.git('format-patch', '-q', '--signoff', '-o', folder / series,
                       f'{last}..refs/heads/main')
        last = repository.git('rev-parse', 'refs/heads/main')
    shutil.rmtree(repository.git_dir)
    return folder
