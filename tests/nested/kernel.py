"""The kernel of the machine that is a host of Realms: the newest that Debian has
for arm64, or one of the user's.

    newest()    from the first suite's packages to the last's; without a network
                the newest that is already here
    given()     the user's file, refused if it is no arm64 Image

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import glob
import importlib.machinery
import importlib.util
import os
import re
import sys
import zlib
from pathlib import Path

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path += [TOP, os.path.join(TOP, 'tests', 'guest')]

from buildenv import apt  # noqa: E402
from buildenv.common import Failure, cache_lock, say  # noqa: E402
from image import BuildError  # noqa: E402

SUITES = ['experimental', 'sid', 'trixie-backports']
IMAGES = 'linux-binary-*-cloud-arm64'
IMAGE = re.compile(r'linux-binary-(\d.*-cloud-arm64)')
TRIES = 4                   # kernels, of which a mirror may lack the newest
LONGEST = 512 << 20         # bytes of a user's file

# modules: the folder of its modules, None if all that it needs is built in.
Kernel = collections.namedtuple('Kernel', 'name image modules')


def guest_build():
    """tests/guest/build, which knows kernels and their modules."""
    path = os.path.join(TOP, 'tests', 'guest', 'build')
    loader = importlib.machinery.SourceFileLoader('guest_build', path)
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def newest_releases(packages):
    """The releases that are packaged, the newest of all suites first."""
    rows = packages.versions([name for name in packages.names(IMAGES)
                              if IMAGE.fullmatch(name)])
    rows = sorted((row[:2] for row in rows), key=apt.newest_first)
    return list(dict.fromkeys(IMAGE.fullmatch(name)[1] for name, _ in rows))


def packaged_releases():
    with cache_lock():
        packages = apt.PrivateApt('arm64', SUITES)
        packages.update()
        return newest_releases(packages)


def download(release, folder):
    into = Path(folder, release)
    apt.debs('arm64', SUITES, into, [f'linux-binary-{release}',
                                     f'linux-modules-{release}'])
    return str(into)


def first_that_downloads(folder):
    releases = packaged_releases()[:TRIES]
    problem = f'no package like {IMAGES}'
    for release in releases:
        try:
            return download(release, folder)
        except Failure as err:
            problem = err
    raise Failure(f'{problem}; give a kernel as KERNEL=Image')


def newest_here(folder, key):
    here = [path for path in glob.glob(os.path.join(folder, '[0-9]*'))
            if os.path.exists(os.path.join(path, '.debs'))]
    return max(here, key=lambda path: key(os.path.basename(path)),
               default=None)


def newest(folder):
    """folder: where packages are unpacked, one below it for each kernel."""
    build = guest_build()
    try:
        root = first_that_downloads(folder)
    except Failure as err:
        root = newest_here(folder, build.version_key)
        if not root:
            raise BuildError(f'the newest kernel for arm64: {err}') from err
        say(f'nested: {err}; taking {os.path.basename(root)}')
    name, image, modules = build.find_kernel(root)
    return Kernel(name, build.read_image(image), modules)


def given(path):
    try:
        if not os.path.isfile(path):
            raise BuildError(f'KERNEL={path} is no file; name an arm64 Image')
        if os.path.getsize(path) > LONGEST:
            raise BuildError(f'KERNEL={path} has more than {LONGEST >> 20} MiB;'
                             ' name an arm64 Image')
        return Kernel(path, guest_build().read_image(path), None)
    except (OSError, EOFError, zlib.error) as err:
        raise BuildError(f'KERNEL={path}: {err}; name an arm64 Image or a gzip '
                         'of one') from err
