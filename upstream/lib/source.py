# Get the one QEMU source tree that this fork stands on, verified and pristine.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import fnmatch
import hashlib
import os
import shutil
from pathlib import Path

from buildenv.apt import PrivateApt, native_arch

from .common import Failure, cache, cache_lock, pin, run, say

# The pristine tree that was chosen last, for commands that take no option.
CURRENT = 'current'


def accepted(version):
    patterns = [words[0] for words in pin()['accept']]
    return any(fnmatch.fnmatch(version, pattern) for pattern in patterns)


def version_of(tree):
    """The tree's version, refused unless upstream/pin accepts it."""
    try:
        version = (tree / 'VERSION').read_text().strip()
    except OSError:
        raise Failure(f'{tree}: no QEMU source tree (it has no file VERSION); '
                      'give --qemu-source the folder or tarball of one') from None
    if not accepted(version):
        patterns = ' '.join(words[0] for words in pin()['accept'])
        raise Failure(f'{tree}: QEMU {version} is not accepted; '
                      f'upstream/pin accepts {patterns}')
    return version


def sha256(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(path):
    """Compare with upstream/pin. An unknown file passes: apt has checked its
    signature, and the version pattern follows."""
    known = {name: digest for digest, name in pin().get('sha256', [])}
    if path.name not in known:
        say(f'{path.name}: not in upstream/pin; sha256 {sha256(path)}')
    elif sha256(path) != known[path.name]:
        raise Failure(f'{path}: SHA-256 differs from upstream/pin; delete the '
                      'file and run ./configure again')


def from_apt():
    """Debian's source package: the newest accepted version that downloads."""
    folder = cache() / 'source'
    folder.mkdir(exist_ok=True)
    suites = [words[0] for words in pin()['suite']]
    dsc = newest_cached(folder) or download_source(folder, suites)
    tree = cache() / f'qemu-{dsc.name.split("_")[1].removesuffix(".dsc")}'
    if not (tree / 'VERSION').exists():
        for part in [dsc, *parts_of(dsc)]:
            verify(part)
        unpack(tree, lambda into: run('dpkg-source', '--no-copy', '-x',
                                      dsc, into))
    return tree


def newest_cached(folder):
    found = sorted(folder.glob('qemu_*.dsc'), key=os.path.getmtime)
    return found[-1] if found else None


def parts_of(dsc):
    """The files that a .dsc lists under Checksums-Sha256, checked by it."""
    parts, inside = [], False
    for line in dsc.read_text().splitlines():
        if not line.startswith(' '):
            inside = line.startswith('Checksums-Sha256:')
        elif inside:
            digest, _size, name = line.split()
            path = dsc.parent / name
            if not path.exists() or sha256(path) != digest:
                raise Failure(f'{path}: missing or not what {dsc.name} says; '
                              f'delete {dsc} and run ./configure again')
            if not name.endswith('.asc'):
                parts.append(path)
    return parts


def download_source(folder, suites):
    apt = PrivateApt(native_arch(), suites, sources=True)
    apt.update()
    problem = 'no such version'
    for name, version in apt.candidates('qemu'):
        if not accepted(version.split(':')[-1].split('+')[0].split('-')[0]):
            continue
        say(f'apt: downloading the source of {name} {version}')
        try:
            apt.call('apt-get', 'source', '--download-only',
                     f'{name}={version}', cwd=folder)
            return newest_cached(folder)
        except Failure as failed:
            problem = failed
    patterns = ' '.join(words[0] for words in pin()['accept'])
    raise Failure(f'the source of QEMU {patterns} in {" ".join(suites)}: '
                  f'{problem}; pass --qemu-source=DIR|TARBALL to ./configure')


def unpack(tree, extract):
    """Extract beside the final place, so that an interrupted run leaves no
    half a tree; leave out the bundled firmware sources, two thirds of it."""
    say(f'unpacking {tree.name}')
    fresh = tree.with_name(tree.name + '.new')
    shutil.rmtree(fresh, ignore_errors=True)
    extract(fresh)
    for firmware in (fresh / 'roms').glob('*/'):
        shutil.rmtree(firmware)
    fresh.rename(tree)


def from_tarball(path):
    verify(path)
    tree = cache() / f'qemu-{sha256(path)[:16]}'
    if not (tree / 'VERSION').exists():
        unpack(tree, lambda into: extract_tarball(path, into))
    return tree


def extract_tarball(path, into):
    """The tarball's one top folder becomes `into`."""
    outer = into.with_name(into.name + '.outer')
    shutil.rmtree(outer, ignore_errors=True)
    outer.mkdir()
    try:
        run('tar', '-xf', path, '-C', outer)
    except Failure as problem:
        why = str(problem).rpartition(': ')[2]
        raise Failure(f'{path}: cannot be unpacked ({why}); '
                      'give --qemu-source a tarball of QEMU') from None
    tops = list(outer.iterdir())
    (tops[0] if len(tops) == 1 else outer).rename(into)
    shutil.rmtree(outer, ignore_errors=True)


def fetch(source=None):
    """The pristine tree, from the given folder or tarball or else from apt."""
    with cache_lock():
        if not source:
            tree = from_apt()
        elif Path(source).is_dir():
            tree = Path(source).resolve()
        elif Path(source).is_file():
            tree = from_tarball(Path(source).resolve())
        else:
            raise Failure(f'--qemu-source={source}: no such folder or file')
        version_of(tree)
        (cache() / CURRENT).write_text(f'{tree}\n')
    return tree


def current():
    """The pristine tree that ./configure chose last."""
    try:
        tree = Path((cache() / CURRENT).read_text().strip())
    except OSError:
        raise Failure('no QEMU source was fetched yet; run ./configure') from None
    version_of(tree)
    return tree
