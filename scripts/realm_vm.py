"""Starts the test guest in QEMU and talks to its console.

All options that a test guest needs are in guest_arguments().

SPDX-License-Identifier: GPL-2.0-or-later
"""

import atexit
import base64
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from realm_qmp import Qmp, QmpError

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = os.path.join(TOP, 'build')
REALM = 'rme0'


class VmError(Exception):
    """A guest or its QEMU did not do what was asked."""


def program():
    """The QEMU to run; QEMU_PROGRAM overrides the one in build/."""
    return os.environ.get('QEMU_PROGRAM',
                          os.path.join(BUILD, 'qemu-system-aarch64'))


def guest_file(name):
    """A file of the test guest; GUEST_DIR overrides build/guest."""
    path = os.path.join(os.environ.get('GUEST_DIR',
                                       os.path.join(BUILD, 'guest')), name)
    if not os.path.exists(path):
        raise VmError(f'{path} does not exist; run tests/guest/build')
    return path


def kernel_version():
    with open(guest_file('kernel-version'), encoding='utf-8') as file:
        return file.read().strip()


def shell_word(command):
    """A kernel command line word that makes the guest run a command."""
    return 'realm.cmd=' + base64.b64encode(command.encode()).decode()


def network_arguments(backend='user'):
    """A network device; the guest has 10.0.2.15, its peer is 10.0.2.2.
    No option ROM: the guest does not boot from the network."""
    return ['-netdev', f'{backend},id=net0',
            '-device', 'virtio-net-pci,netdev=net0,romfile=']


def disk_arguments(path):
    """A disk, /dev/vda in the guest."""
    return ['-drive', f'file={path},format=raw,if=none,id=disk0',
            '-device', 'virtio-blk-pci,drive=disk0']


def guest_arguments(realm=True, cpus=4, memory='1G', mte=True, append='',
                    network=False, migratable=True, properties='', cpu='max'):
    """QEMU's arguments for the test guest, as a Realm or an ordinary guest.
    network: False, True or the type and options of a -netdev.
    properties: more properties of rme-guest, as in 'a=b,c=d'."""
    on = {True: 'on', False: 'off'}
    machine = f'virt,gic-version=3,mte={on[mte]}'
    arguments = []
    if realm:
        machine += f',confidential-guest-support={REALM}'
        arguments += ['-object', f'rme-guest,id={REALM},'
                                 f'migration={on[migratable]},mte={on[mte]}'
                                 + (properties and f',{properties}')]
    return arguments + [
        '-M', machine, '-cpu', cpu, '-smp', str(cpus), '-m', str(memory),
        '-kernel', guest_file('Image'),
        '-initrd', guest_file('initramfs.cpio'),
        '-append', f'console=ttyAMA0 {append}'.strip(),
    ] + (network_arguments('user' if network is True else network)
         if network else ['-nic', 'none'])


class Console:
    """The guest's serial line, read by a thread that keeps all lines."""

    def __init__(self, vm, reader, writer):
        self._vm = vm
        self._reader, self._writer = reader, writer
        self._lock = threading.Condition()
        self.lines = []
        self.closed = False
        self.watcher = None         # called with each line as it comes
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for raw in self._reader:
            line = raw.decode(errors='replace').rstrip('\r\n')
            with self._lock:
                self.lines.append(line)
                self._lock.notify_all()
            if self.watcher:
                self.watcher(line)
        with self._lock:
            self.closed = True
            self._lock.notify_all()

    def mark(self):
        """The place where the next line will be, for wait_for(after=)."""
        with self._lock:
            return len(self.lines)

    def wait_for(self, pattern, timeout=120, after=0):
        """Waits for a line that matches; returns the match object."""
        deadline = time.monotonic() + timeout
        regex = re.compile(pattern)
        with self._lock:
            while True:
                for after in range(after, len(self.lines)):
                    match = regex.search(self.lines[after])
                    if match:
                        return match
                after = len(self.lines)
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    break
                self._lock.wait(left)
        until = 'before QEMU ended' if self.closed else f'in {timeout} s'
        raise VmError(f'{self._vm.name}: no line like {pattern!r} on the '
                      f'console {until}{self._vm.last_words()}')

    def send(self, line):
        try:
            self._writer.write(line.encode() + b'\n')
            self._writer.flush()
        except OSError as err:
            raise VmError(f'{self._vm.name}: sending {line!r} to the '
                          f'console: {err}{self._vm.last_words()}') from err

    def run(self, command, timeout=120):
        """Runs a shell command; returns (exit status, lines of output).
        The progress lines of realm-check are left out."""
        start = self.mark()
        self.send(f'{command}; echo "@@$?"')
        status = int(self.wait_for(r'^@@(\d+)$', timeout, start)[1])
        output = []
        for line in self.lines[start:]:
            if line == f'@@{status}':
                break
            if not line.startswith('realm-check: t='):
                output.append(line)
        return status, output


class Vm:
    """One QEMU process with a QMP socket and a console.

    Use it in a with statement: the process never outlives the block, nor
    this program.  prefix: a program that becomes QEMU, as in ('ip', 'netns',
    'exec', 'NAME')."""

    running = set()

    def __init__(self, name, arguments, folder, log=None, prefix=()):
        self.name = name
        self.qmp_path = os.path.join(folder, f'{name}.qmp')
        # What QEMU has said is here before it answers; a pipe's end is not.
        self._stderr = tempfile.TemporaryFile()
        self._said = None           # once it has ended
        command = [*prefix, program(), *arguments, '-name', name,
                   '-display', 'none', '-monitor', 'none', '-serial', 'stdio',
                   '-no-reboot', '-qmp',
                   f'unix:{self.qmp_path},server=on,wait=off']
        if log:
            print(' '.join(command), file=log, flush=True)
        self.started = time.monotonic()
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._stderr, start_new_session=True)
        except OSError as err:
            raise VmError(f'starting {command[0]}: {err.strerror}; build it, '
                          'or set QEMU_PROGRAM') from err
        Vm.running.add(self)
        self.console = Console(self, self.process.stdout, self.process.stdin)
        self._qmp = None

    @property
    def qmp(self):
        """The QMP connection, made at first use."""
        deadline = time.monotonic() + 60
        while not self._qmp:
            try:
                self._qmp = Qmp(self.qmp_path)
            except QmpError as err:
                dead = self.process.poll() is not None
                if dead or time.monotonic() > deadline:
                    raise VmError(f'{self.name}: {err}'
                                  f'{self.last_words()}') from err
                time.sleep(0.02)
        return self._qmp

    def hang_up(self):
        """Leaves the QMP socket to somebody else."""
        self.qmp.close()
        self._qmp = None

    def errors(self, last=50):
        """What QEMU wrote to its standard error, the last lines of it; all of
        them if that is 0."""
        if self._said is not None:
            return self._said
        file = self._stderr.fileno()        # whose offset is QEMU's, too
        text = os.pread(file, os.fstat(file).st_size, 0)
        return [line.rstrip() for line in
                text.decode(errors='replace').splitlines()[-last:]]

    def last_words(self):
        """Why QEMU ended, or what the console shows, to append to an error."""
        if self.console.closed:     # QEMU is about to end, if it has not
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        status = self.process.poll()
        if status is None:
            tail = ' | '.join(self.console.lines[-3:])
            return f'; the console ends with: {tail}' if tail else ''
        words = ' | '.join(self.errors())
        return f'; QEMU ended with status {status}: {words or "no message"}'

    def wait(self, timeout=60):
        """Waits until QEMU ends; returns its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise VmError(f'{self.name}: QEMU runs on after {timeout} s'
                          f'{self.last_words()}') from err

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._said is None:
            self._said = self.errors()
            self._stderr.close()
        Vm.running.discard(self)
        if self._qmp:
            self._qmp.close()
            self._qmp = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@atexit.register
def stop_all():
    for vm in list(Vm.running):
        vm.stop()


def incoming(arguments):
    """The same guest as a migration's destination."""
    return [*arguments, '-incoming', 'defer']


def temporary_folder():
    """A folder for sockets; its path is short, as socket paths must be."""
    return tempfile.TemporaryDirectory(prefix='realm-')


def end_on_signals():
    """Makes SIGTERM and SIGHUP leave through the with statements."""
    def leave(number, _):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def verdict(console, timeout=120):
    """Ends the realm-check that runs in the guest; returns (ok, its line)."""
    start = console.mark()
    console.send('killall -TERM realm-check')
    match = console.wait_for(r'realm-check: verdict (OK|FAIL) .*', timeout,
                             start)
    return match[1] == 'OK', match[0]


def table(rows, head=None):
    """Rows of equal length as aligned text; the first column to the left."""
    rows = [[str(cell) for cell in row] for row in ([head] if head else [])
            + list(rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ['  '.join([row[0].ljust(widths[0])]
                       + [cell.rjust(width)
                          for cell, width in zip(row[1:], widths[1:])])
             for row in rows]
    if head:
        lines.insert(1, '-' * len(lines[0]))
    return '\n'.join(lines)
