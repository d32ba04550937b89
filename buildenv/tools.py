# The build tools that Debian 12 has only in its backports: meson, pycotap.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import subprocess

from .apt import debs, native_arch

NEEDED = (1, 5)
PYTHON = '/usr/bin/python3'


def system_has_them():
    """True where the installed meson and pycotap serve, as on Debian 13."""
    probe = 'import pycotap; from mesonbuild.coredata import version; print(version)'
    done = subprocess.run([PYTHON, '-c', probe], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    numbers = re.findall(r'\d+', done.stdout)[:2]
    return done.returncode == 0 and tuple(map(int, numbers)) >= NEEDED


def provide(into):
    """Unpack them where they are missing. Returns the folder of the Python
    modules, empty if the machine's own serve."""
    if system_has_them():
        return ''
    debs(native_arch(), ['bookworm-backports', 'trixie'], into,
         ['meson', 'python3-pycotap'])
    return into / 'usr/lib/python3/dist-packages'
