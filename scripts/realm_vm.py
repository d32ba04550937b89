"""Starts a guest in QEMU and talks to its console.

All options that a guest needs are in guest_arguments().

SPDX-License-Identifier: GPL-2.0-or-later
"""

import atexit
import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from realm_qmp import Qmp, QmpError

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.path.join(TOP, 'build')
QEMU = 'qemu-system-aarch64'
REALM = 'rme0'


class VmError(Exception):
    """A guest or its QEMU did not do what was asked."""


def program():
    """The QEMU to run: that of $QEMU_PROGRAM, beside this file, in build/, or
    on PATH, where it may be one that knows no Realms."""
    given = os.environ.get('QEMU_PROGRAM')
    if given:
        return given
    for folder in HERE, BUILD:
        path = os.path.join(folder, QEMU)
        if os.path.exists(path):
            return path
    return program_on_path()


def program_on_path():
    path = shutil.which(QEMU)
    if not path:
        raise VmError(f'no {QEMU} in {BUILD} or on PATH; build it (`make`), '
                      'or set QEMU_PROGRAM')
    objects = subprocess.run([path, '-object', 'help'], text=True, check=False,
                             capture_output=True).stdout
    if 'rme-guest' not in objects:
        raise VmError(f'{path} knows no Realms (no rme-guest in its -object '
                      'help); build ours (`make`), or set QEMU_PROGRAM')
    return path


def guest_file(name):
    """A file of the test guest; GUEST_DIR overrides build/guest."""
    path = os.path.join(os.environ.get('GUEST_DIR',
                                       os.path.join(BUILD, 'guest')), name)
    if not os.path.exists(path):
        built = os.path.exists(os.path.join(TOP, 'tests/guest/build'))
        raise VmError(f'{path} does not exist; ' + (
            'run tests/guest/build' if built else
            'give --kernel and --initrd, or set GUEST_DIR'))
    return path


def kernel_version():
    with open(guest_file('kernel-version'), encoding='utf-8') as file:
        return file.read().strip()


def shell_word(command):
    """A kernel command line word that makes the guest run a command."""
    return 'realm.cmd=' + base64.b64encode(command.encode()).decode()


def escaped(path):
    """A path among the options of an argument of QEMU's."""
    return path.replace(',', ',,')


def network_arguments(backend='user'):
    """A network device; the guest has 10.0.2.15, its peer is 10.0.2.2.
    No option ROM: the guest does not boot from the network."""
    return ['-netdev', f'{backend},id=net0',
            '-device', 'virtio-net-pci,netdev=net0,romfile=']


def disk_arguments(*paths):
    """Disks, /dev/vda and so on in the guest."""
    arguments = []
    for number, path in enumerate(paths):
        arguments += ['-drive', f'file={escaped(path)},format=raw,if=none,'
                                f'id=disk{number}',
                      '-device', f'virtio-blk-pci,drive=disk{number}']
    return arguments


def guest_arguments(realm=True, cpus=4, memory='1G', mte=True, append='',
                    network=False, migratable=True, properties='', cpu='max',
                    kernel=None, initrd=None):
    """QEMU's arguments for a guest, as a Realm or an ordinary one.
    network: False, True or the type and options of a -netdev.
    properties: more properties of rme-guest, as in 'a=b,c=d'.
    kernel: another than the test guest's; then the initrd may be ''.
    initrd: another than the test guest's."""
    on = {True: 'on', False: 'off'}
    machine = f'virt,gic-version=3,mte={on[mte]}'
    arguments = []
    if realm:
        machine += f',confidential-guest-support={REALM}'
        arguments += ['-object', f'rme-guest,id={REALM},'
                                 f'migration={on[migratable]},mte={on[mte]}'
                                 + (properties and f',{properties}')]
    if initrd is None:
        initrd = guest_file('initramfs.cpio')
    return arguments + [
        '-M', machine, '-cpu', cpu, '-smp', str(cpus), '-m', str(memory),
        '-kernel', kernel or guest_file('Image'),
        *(['-initrd', initrd] if initrd else []),
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


def connect(path, vm):
    """The QMP connection to a QEMU that may not listen yet.
    vm: has name, process and last_words()."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return Qmp(path)
        except QmpError as err:
            if vm.process.poll() is not None:
                why = vm.last_words().removeprefix('; ')
                raise VmError(f'{vm.name}: {why}') from err
            if time.monotonic() > deadline:
                raise VmError(f'{vm.name}: {err}{vm.last_words()}') from err
            time.sleep(0.02)


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
        if not self._qmp:
            self._qmp = connect(self.qmp_path, self)
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
