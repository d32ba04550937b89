# Packages of any Debian suite and architecture, without touching the machine's
# apt: a private configuration in the cache, the mirror that apt already uses,
# apt's own signature checks.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import fnmatch
import functools
import json
import os
import re
import shutil
import subprocess

from .common import Failure, cache, cache_lock, run, say

KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

CONFIG = '''\
// Private apt configuration, written by buildenv.
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::Lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures "{arch}";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
'''


def mirror():
    """The address of the Debian archive that this machine's apt uses."""
    form = '$(ORIGIN) $(LABEL) $(REPO_URI)'
    for line in run('apt-get', 'indextargets', '--format', form).splitlines():
        origin, label, uri = (line.split() + [''] * 3)[:3]
        if (origin, label) == ('Debian', 'Debian'):
            return uri
    return mirror_without_lists()


def mirror_without_lists():
    """The same, when apt has never fetched its package lists."""
    found = re.findall(r"^'(\S+/)dists/([a-z]+)/InRelease'",
                       run('apt-get', 'update', '--print-uris'), re.M)
    for uri, _suite in found:
        return uri
    raise Failure('apt names no Debian archive in its sources; add one, or '
                  'pass --qemu-source=DIR|TARBALL to ./configure')


def native_arch():
    return run('dpkg', '--print-architecture').strip()


class PrivateApt:
    """apt for one architecture and one list of suites."""

    def __init__(self, arch, suites, sources=False):
        kind = 'source' if sources else arch
        self.arch, self.suites, self.sources = arch, suites, sources
        self.root = cache() / 'apt' / f'{kind}-{"-".join(suites)}'
        self.config = self.root / 'apt.conf'

    def setup(self):
        for folder in ('lists/partial', 'cache/archives/partial'):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / 'status').touch()
        kind = 'deb-src' if self.sources else 'deb'
        uri = mirror()
        (self.root / 'sources.list').write_text(''.join(
            f'{kind} [signed-by={KEYRING}] {uri} {suite} main\n'
            for suite in self.suites))
        self.config.write_text(CONFIG.format(root=self.root, arch=self.arch))

    def call(self, tool, *words, cwd=None):
        return run(tool, '-q', '-c', self.config, *words, cwd=cwd)

    def update(self):
        self.setup()
        say(f'apt: reading the lists of {", ".join(self.suites)} '
            f'({"source" if self.sources else self.arch})')
        try:
            self.call('apt-get', 'update')
        except Failure:
            self.call('apt-get', 'update')  # a mirror in the middle of its push

    def versions(self, names):
        """(name, version, suite) of every candidate, from `apt-cache madison`,
        whose rows look like: name | version | uri suite/component Packages"""
        rows = []
        if names:
            for line in self.call('apt-cache', 'madison', *names).splitlines():
                name, version, origin = (f.strip() for f in line.split('|'))
                rows.append((name, version, origin.split()[1].split('/')[0]))
        return rows

    def names(self, pattern):
        prefix = re.split(r'[*?\[]', pattern)[0]
        if prefix == pattern:
            return [pattern]
        listed = self.call('apt-cache', 'pkgnames', prefix).split()
        return fnmatch.filter(listed, pattern)

    def candidates(self, wanted):
        """What fits `A|B|C`: patterns in order, then suites in order, then the
        newest version first."""
        found = []
        for pattern in wanted.split('|'):
            rows = self.versions(self.names(pattern))
            for suite in self.suites:
                here = [row[:2] for row in rows if row[2] == suite]
                found += sorted(here, key=newest_first)
        return found


@functools.cmp_to_key
def newest_first(one, other):
    if one[1] == other[1]:
        return 0
    newer = subprocess.run(['dpkg', '--compare-versions',
                            one[1], 'gt', other[1]]).returncode == 0
    return -1 if newer else 1


def download(apt, wanted, folder):
    """Fetch the first candidate that downloads; returns the file."""
    problems = []
    for name, version in apt.candidates(wanted):
        before = set(folder.glob(f'{name}_*.deb'))
        try:
            apt.call('apt-get', 'download', f'{name}={version}', cwd=folder)
        except Failure as problem:
            problems.append(str(problem))
            continue
        new = set(folder.glob(f'{name}_*.deb')) - before
        if new:
            return new.pop()
        escaped = version.replace(':', '%3a')
        return next(folder.glob(f'{name}_{escaped}_*.deb'))
    why = problems[-1] if problems else 'no package of that name'
    raise Failure(f'{wanted} for {apt.arch} in {", ".join(apt.suites)}: '
                  f'{why}; name another pattern or suite')


class Choices:
    """Which file was chosen for which request, so that it is asked once."""

    def __init__(self):
        self.path = cache() / 'debs' / 'choices.json'
        self.path.parent.mkdir(exist_ok=True)
        self.known = {}
        if self.path.exists():
            self.known = json.loads(self.path.read_text())

    def get(self, key):
        name = self.known.get(key)
        deb = self.path.parent / name if name else None
        return deb if deb and deb.exists() else None

    def put(self, key, deb):
        self.known[key] = deb.name
        fresh = self.path.with_suffix('.new')
        fresh.write_text(json.dumps(self.known, indent=1, sort_keys=True))
        os.replace(fresh, self.path)


def debs(arch, suites, into, wanted):
    """Download (once) and unpack packages; returns {request: file}."""
    chosen, apt = {}, None
    with cache_lock():
        choices = Choices()
        for one in wanted:
            key = f'{arch} {",".join(suites)} {one}'
            deb = choices.get(key)
            if not deb:
                if not apt:
                    apt = PrivateApt(arch, suites)
                    apt.update()
                deb = download(apt, one, choices.path.parent)
                choices.put(key, deb)
            chosen[one] = deb
        unpack(chosen.values(), into)
    return chosen


def with_dependencies(arch, suite, wanted, purpose=''):
    """Download (once) packages and all that they need; returns the files. The
    folder belongs to this list alone, whose names are written when it is full.
    """
    folder = cache() / 'debs' / f'{arch}-{suite}{purpose and "-"}{purpose}'
    names = folder / 'wanted'
    with cache_lock():
        if not names.exists() or names.read_text().split() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / 'partial').mkdir(parents=True)
            apt = PrivateApt(arch, [suite])
            apt.update()
            apt.call('apt-get', '-o', f'Dir::Cache::archives={folder}',
                     'install', '--download-only', '--yes',
                     '--no-install-recommends', *wanted)
            names.write_text('\n'.join(wanted) + '\n')
    return sorted(folder.glob('*.deb'))


def unpack(files, into):
    """dpkg-deb -x, skipped for what is already there."""
    into.mkdir(parents=True, exist_ok=True)
    stamp = into / '.debs'
    present = stamp.read_text().split() if stamp.exists() else []
    for deb in files:
        if deb.name not in present:
            run('dpkg-deb', '-x', deb, into)
            present.append(deb.name)
            stamp.write_text('\n'.join(present) + '\n')
