"""The floor: what a page costs at least, measured on this machine (floor.c).

A page of a Realm is read and encrypted at once, goes into a socket and out of
it, and is decrypted to where it stays, which the kernel clears before.  An
ordinary guest's goes into the socket and out of it.  With that much CPU time a
page, no migration is faster than all of it shared by the cores evenly, nor
than one channel's copies, which follow each other.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import statistics
import subprocess
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
PAGE_GIB = 4096 / (1 << 30)


def compile_c(name, folder, *libraries):
    out = os.path.join(folder, name)
    compiler = os.environ.get('CC', 'gcc')
    subprocess.run([compiler, '-O2', '-Wall', '-o', out,
                    os.path.join(HERE, f'{name}.c'), *libraries], check=True)
    return out


def measure(runs=3, mib=512):
    """{step: nanoseconds a page}, medians."""
    steps = {}
    with tempfile.TemporaryDirectory() as folder:
        program = compile_c('floor', folder, '-lgnutls')
        for _ in range(runs):
            text = subprocess.run([program, str(mib)], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            for line in text.splitlines():
                name, value = line.split()
                steps.setdefault(name, []).append(float(value))
    return {name: statistics.median(all_) for name, all_ in steps.items()}


def compose(steps, cores):
    """What each side costs, ns a page, and the GiB/s that this allows."""
    sealed = {'source': steps['encrypt'] + steps['send'],
              'destination': (steps['receive'] + steps['decrypt']
                              + steps['clear-huge'])}
    plain = {'source': steps['send'],
             'destination': steps['receive'] + steps['clear-huge']}
    out = {}
    for name, sides, channels in (('a', plain, 1), ('c', plain, 2),
                                  ('e', sealed, 1), ('f', sealed, 2)):
        shared = sum(sides.values()) / cores
        serial = max(steps['send'], steps['receive']) / channels
        ns = max(shared, serial)
        out[name] = {**sides, 'elapsed': ns,
                     'throughput': PAGE_GIB / (ns * 1e-9)}
    return out
