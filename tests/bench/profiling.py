"""Where the time of a migration goes: perf on both QEMUs, in a run of its own.

perf has all threads once it has answered; what those start later is counted,
too.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess

TOP_FUNCTIONS = 10
PATIENCE_S = 30


def usable():
    return shutil.which('perf') is not None


def summed(text):
    """{function: percent} of perf's report.  What has no name is summed up
    under the library it is in; code that QEMU has made has none either."""
    shares = collections.Counter()
    for share, place, symbol in re.findall(
            r'^\s*(\d+\.\d+)%\s+(\S.*?)\s+\[.\]\s+(\S+)', text, re.M):
        if symbol.startswith('0x'):
            symbol = place if '.so' in place else 'translated code'
        shares[symbol] += float(share)
    return shares


def functions(path):
    """[(share, function), ...], the largest first."""
    text = subprocess.run(
        ['perf', 'report', '-i', path, '--stdio', '--no-children', '-g',
         'none', '--sort', 'dso,symbol'],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False).stdout
    return [(f'{share:.1f} %', name)
            for name, share in summed(text).most_common(TOP_FUNCTIONS)]


class Recorder:
    """perf on one process, from the moment that it is made."""

    def __init__(self, vm, path):
        self.path = path
        (order_out, order), (answer, answer_in) = os.pipe(), os.pipe()
        self.process = subprocess.Popen(
            ['perf', 'record', '-q', '-F', '997', '-D', '-1', '--control',
             f'fd:{order_out},{answer_in}', '-o', path, '-p',
             str(vm.process.pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(order_out, answer_in))
        os.close(order_out)
        os.close(answer_in)
        self.pipes = order, answer
        with contextlib.suppress(BrokenPipeError):      # perf was refused
            os.write(order, b'enable\n')
            select.select([answer], [], [], PATIENCE_S)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in self.pipes:
            os.close(pipe)
        return functions(self.path)


@contextlib.contextmanager
def profiled(pair, into):
    """Fills {side: functions} with what happens in the block."""
    running = {side: Recorder(vm, os.path.join(pair.folder, f'{side}.perf'))
               for side, vm in (('source', pair.source),
                                ('destination', pair.dest))}
    try:
        yield
    finally:
        into.update({side: recorder.end()
                     for side, recorder in running.items()})
