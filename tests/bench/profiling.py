"""Where the time of a migration goes: perf on both QEMUs, in a run of its own.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess

TOP_FUNCTIONS = 8


def usable():
    return shutil.which('perf') is not None


def functions(path):
    """[(share, function), ...], the largest first."""
    text = subprocess.run(
        ['perf', 'report', '-i', path, '--stdio', '--no-children', '-g',
         'none', '--sort', 'symbol'],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False).stdout
    found = re.findall(r'^\s*(\d+\.\d+%)\s+\[.\]\s+(\S+)', text, re.M)
    return found[:TOP_FUNCTIONS]


@contextlib.contextmanager
def profiled(pair, into):
    """Fills {side: functions} with what happens in the block."""
    running = {}
    for side, vm in (('source', pair.source), ('destination', pair.dest)):
        path = os.path.join(pair.folder, f'{side}.perf')
        running[side] = path, subprocess.Popen(
            ['perf', 'record', '-q', '-F', '997', '-o', path, '-p',
             str(vm.process.pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        for _, process in running.values():
            process.send_signal(signal.SIGINT)
        for side, (path, process) in running.items():
            process.wait(60)
            into[side] = functions(path)
