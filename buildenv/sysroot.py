# The libraries of another architecture, to build QEMU for it: Debian's packages
# of the machine's own suite, whose C library the cross compiler links with.
#
# A folder that has PKG_CONFIG in it is complete: it is written last.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re
import shutil

from .apt import unpack, with_dependencies
from .common import Failure, REPO, write_if_changed

# Debian's name of an architecture, and what its folders are called.
TRIPLETS = {'arm64': 'aarch64-linux-gnu'}
PKG_CONFIG = 'pkg-config'

# QEMU's configure and, later, ninja run it in place of the machine's own.
WRAPPER = '''\
#!/bin/sh
# pkg-config for the libraries of this folder. Written by buildenv/get.
export PKG_CONFIG_SYSROOT_DIR='{root}' PKG_CONFIG_PATH=
export PKG_CONFIG_LIBDIR='{root}/usr/lib/{triplet}/pkgconfig:{root}/usr/share/pkgconfig'
exec pkg-config "$@"
'''


def suite():
    """The machine's release of Debian."""
    with open('/etc/os-release', encoding='utf-8') as file:
        found = re.search(r'^VERSION_CODENAME=(\w+)', file.read(), re.M)
    if not found:
        raise Failure('/etc/os-release names no release (VERSION_CODENAME); '
                      'cross-build on Debian 12 or 13')
    return found[1]


def libraries():
    """The packages that buildenv/packages wants for the program itself: its
    -dev packages whose reason begins with QEMU or the RMM library."""
    text = (REPO / 'buildenv' / 'packages').read_text()
    return re.findall(r'^(\S+-dev) +(?:QEMU|the RMM library)\b', text, re.M)


def mend(root):
    """Make the unpacked packages serve as --sysroot: absolute links to
    libraries lead into the folder, and /lib is there on a merged /usr, too."""
    if not (root / 'lib').exists():
        (root / 'lib').symlink_to('usr/lib')
    for link in root.glob('usr/lib/*/*.so'):
        target = os.readlink(link) if link.is_symlink() else ''
        if target.startswith('/'):
            link.unlink()
            link.symlink_to(os.path.relpath(root / target[1:], link.parent))


def provide(arch, root):
    """Fill the folder, unless it holds these packages already."""
    if arch not in TRIPLETS:
        raise Failure(f'--arch {arch}: not known; one of {", ".join(TRIPLETS)}')
    files = with_dependencies(arch, suite(), libraries())
    wanted = '\n'.join(file.name for file in files) + '\n'
    stamp = root / '.debs'
    if not (root / PKG_CONFIG).exists() or stamp.read_text() != wanted:
        shutil.rmtree(root, ignore_errors=True)
        unpack(files, root)
        mend(root)
    wrapper = root / PKG_CONFIG
    write_if_changed(wrapper, WRAPPER.format(root=root, triplet=TRIPLETS[arch]))
    wrapper.chmod(0o755)
    return root
