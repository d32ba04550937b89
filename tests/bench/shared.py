"""What the benchmarks share.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import os
import statistics
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from realm_vm import VmError  # noqa: E402

TICKS = os.sysconf('SC_CLK_TCK')


def count(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return int(text)


def say(text):
    print(text, flush=True)


def fill(vm, mib, options=''):
    """Makes the guest fill memory with what cannot be compressed; options of
    tests/guest/bench-load.c."""
    vm.console.wait_for('guest: ready', 180)
    vm.console.send(f'bench-load --mib {mib} {options} < /dev/null &')
    line = vm.console.wait_for('fill: ready|.*bench-load.*|Killed', 300)[0]
    if line != 'fill: ready':
        raise VmError(f'{vm.name}: filling {mib} MiB: {line}')


def verify_fill(vm):
    start = vm.console.mark()
    vm.console.send('killall -TERM bench-load')
    line = vm.console.wait_for('fill: verdict .*', 300, start)[0]
    if 'verdict OK' not in line:
        raise VmError(f'{vm.name}: the migration damaged memory: {line}')


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def cpu_seconds(*vms):
    """What their QEMUs have used so far, on all threads."""
    ticks = 0
    for vm in vms:
        with open(f'/proc/{vm.process.pid}/stat', encoding='utf-8') as file:
            fields = file.read().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS
