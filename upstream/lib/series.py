# The fork as a series of patches against QEMU: one for each folder's new files,
# one for the hooks. Made in a repository of its own that holds only what is
# touched, so it takes no time.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import shutil

from . import hooks
from .common import FOLDERS, REPO, our_files, run
from .source import version_of


class Series:
    """A git repository that is filled without a work tree."""

    def __init__(self, folder):
        self.folder, self.git_dir = folder, folder / 'git'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
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

    def git(self, *words):
        return run('git', *words, env=self.env).strip()

    def add(self, path, file):
        mode = '100755' if os.access(file, os.X_OK) else '100644'
        blob = self.git('hash-object', '-w', '--no-filters', file)
        self.git('update-index', '--add', '--cacheinfo', f'{mode},{blob},{path}')

    def commit(self, message):
        tree = self.git('write-tree')
        refs = self.git('for-each-ref', 'refs/heads/main')
        parents = ['-p', 'refs/heads/main'] if refs else []
        new = self.git('commit-tree', tree, *parents, '-m', message)
        self.git('update-ref', 'refs/heads/main', new)
        return new


def new_files(series):
    """One commit for each of QEMU's folders in which we have files."""
    for folder in FOLDERS:
        paths = our_files(folder)
        for path in paths:
            series.add(path, REPO / path)
        if paths:
            series.commit(f'{folder}: add the files for Arm CCA Realms')


def write(pristine, folder):
    """The series as files; returns their folder."""
    texts, by_path = hooks.hooked(pristine)
    series = Series(folder)
    for path in texts:
        series.add(path, pristine / path)
    base = series.commit(f'QEMU {version_of(pristine)}, as far as touched')
    new_files(series)
    reasons = []
    for path, text in texts.items():
        scratch = folder / 'hooked'
        scratch.write_text(text)
        scratch.chmod((pristine / path).stat().st_mode)
        series.add(path, scratch)
        reasons += [f'{path}: {hook.fields["why"]}' for hook in by_path[path]]
    series.commit('Call the code for Arm CCA Realms\n\n' + '\n'.join(reasons))
    series.git('format-patch', '-q', '--signoff', '-o', folder, f'{base}..refs/heads/main')
    (folder / 'hooked').unlink(missing_ok=True)
    shutil.rmtree(series.git_dir)
    return folder
