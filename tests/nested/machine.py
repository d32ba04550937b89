"""The nested machine: QEMU under TCG with EL2 and MTE, where Linux has KVM; and
guests in it, which our QEMU for arm64 runs with KVM.

    Machine     what scripts/realm_vm.py calls a Vm; its console is a shell
    RealmHost   a Machine that is a host of Realms, with the newest kernel
    Guest       a QEMU in there, with console and qmp as a Vm has them; so
                realm_qmp.Migration moves one Guest into another

A Guest's console and QMP are TCP ports of the machine, which its network
forwards to ports here.  One thread alone may use a Machine.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import shlex
import socket
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from realm_qmp import Qmp, QmpError  # noqa: E402
from realm_vm import (BUILD, Console, Vm, VmError,  # noqa: E402
                      guest_arguments)

FOLDER = os.path.join(BUILD, 'nested')
PROGRAM = 'qemu-system-aarch64'
FIRST_PORT = 4000           # in the machine


def kvm_arguments(machine='', memory='512M', append=''):
    """QEMU's arguments for the test guest with KVM, in the machine.
    machine: more properties of the board, as in 'mte=on'."""
    return ['-accel', 'kvm', '-cpu', 'host', '-m', memory, '-nic', 'none',
            '-M', 'virt,gic-version=3' + (machine and f',{machine}'),
            '-kernel', '/guest/Image', '-initrd', '/guest/initramfs.cpio',
            '-append', f'console=ttyAMA0 quiet {append}'.strip()]


def log_console(console, name):
    """Keeps what a console says in build/nested/NAME.log."""
    path = os.path.join(FOLDER, f'{name}.log')
    open(path, 'w', encoding='utf-8').close()

    def keep(line):
        with open(path, 'a', encoding='utf-8') as log:
            print(line, file=log)
    console.watcher = keep


class Machine(Vm):
    name = 'nested'
    board = 'virtualization=on'
    mte = True
    files = FOLDER          # what tests/nested/build made

    def __init__(self, folder):
        initramfs = os.path.join(self.files, 'initramfs.cpio')
        if not os.path.exists(initramfs):
            raise VmError(f'{initramfs} does not exist; run `make arm64 guest` '
                          'and tests/nested/build')
        # Of two -initrd the last counts; two -M add up.
        super().__init__(self.name, [
            *guest_arguments(realm=False, cpus=2, memory='4G', network=True,
                             mte=self.mte),
            '-M', self.board, '-initrd', initramfs, *self.kernel()], folder)
        self.ports = FIRST_PORT
        log_console(self.console, self.name)

    def kernel(self):
        """QEMU's arguments, if it is not that of the test guest."""
        return []

    def boot(self):
        """Waits for the shell; returns how long that took, in seconds."""
        self.console.wait_for('guest: ready', 180)
        if self.console.wait_for('guest: realm=.* net=(yes|no)')[1] == 'no':
            raise VmError(f'{self.name}: its kernel finds no network; build '
                          'VIRTIO_PCI and VIRTIO_NET into it')
        return time.monotonic() - self.started

    def run(self, command, timeout=120):
        """Runs a shell command; returns (exit status, output, seconds by the
        machine's own clock)."""
        clock = 'cut -d" " -f1 /proc/uptime'
        status, lines = self.console.run(
            f'{clock}; {command}; (s=$?; {clock}; exit $s)', timeout)
        return (status, '\n'.join(lines[1:-1]),
                float(lines[-1]) - float(lines[0]))

    def forward(self):
        """A new TCP port of the machine, and the address that leads there."""
        port, self.ports = self.ports, self.ports + 1
        self.qmp.hmp(f'hostfwd_add net0 tcp:127.0.0.1:0-:{port}')
        ours = re.search(rf'HOST_FORWARD\] +\d+ +\S+ +(\d+) +\S+ +{port} ',
                         self.qmp.hmp('info usernet'))
        if not ours:
            raise VmError(f'{self.name}: its network does not forward port '
                          f'{port}; see `info usernet` in its monitor')
        return port, ('127.0.0.1', int(ours[1]))


class RealmHost(Machine):
    name = 'host'
    board = 'rmm=on'
    mte = False             # RMM 1.0 knows none
    files = os.path.join(FOLDER, 'newest')

    def kernel(self):
        return ['-kernel', os.path.join(self.files, 'Image')]


class Guest:
    """A QEMU in the machine, with a guest or waiting for one; it ends with a
    with statement, or with the machine."""

    def __init__(self, machine, name, arguments):
        self.machine, self.name = machine, name
        self.started = time.monotonic()
        console, console_address = machine.forward()
        qmp, self.qmp_address = machine.forward()
        # Its guest says nothing before someone listens.
        hold = [] if '-incoming' in arguments else ['-S']
        command = shlex.join([
            PROGRAM, *arguments, *hold, '-name', name, '-display', 'none',
            '-monitor', 'none', '-no-reboot', '-pidfile', f'/tmp/{name}.pid',
            '-serial', f'tcp:0.0.0.0:{console},server=on,wait=off',
            '-qmp', f'tcp:0.0.0.0:{qmp},server=on,wait=off'])
        machine.run(f'rm -f /tmp/{name}.status; '
                    f'({command} < /dev/null > /tmp/{name}.says 2>&1; '
                    f'echo $? > /tmp/{name}.status) & true')
        self.qmp = self._connect()
        with socket.create_connection(console_address) as stream:
            self._files = stream.makefile('rb'), stream.makefile('wb')
        self.console = Console(self, *self._files)
        log_console(self.console, name)
        if hold:
            self.qmp.cmd('cont')

    def _connect(self):
        """The port is open, for us, before QEMU listens there."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return Qmp(self.qmp_address)
            except QmpError as err:
                if self.status() is not None or time.monotonic() > deadline:
                    raise VmError(f'{self.name}: {err}'
                                  f'{self.last_words()}') from err
                time.sleep(0.1)

    def status(self):
        """QEMU's exit status, None while it runs."""
        text = self.machine.run(f'cat /tmp/{self.name}.status 2>&-')[1]
        return int(text) if text else None

    def says(self):
        """What QEMU wrote, to standard output or error."""
        return self.machine.run(f'cat /tmp/{self.name}.says')[1]

    def last_words(self):
        """Why QEMU ended, to append to an error."""
        status = self.status()
        if status is None:
            return ''
        words = self.machine.run(f'tail -n 5 /tmp/{self.name}.says')[1]
        return f'; QEMU ended with status {status}: {words or "no message"}'

    def wait(self, timeout=60):
        """Waits until QEMU ends; returns its exit status."""
        deadline = time.monotonic() + timeout
        while (status := self.status()) is None:
            if time.monotonic() > deadline:
                raise VmError(f'{self.name}: QEMU runs on after {timeout} s')
            time.sleep(0.1)
        return status

    def stop(self):
        if self.status() is None:
            self.machine.run(f'kill -9 $(cat /tmp/{self.name}.pid)')
            self.wait()
        self.qmp.close()
        self._close_console()

    def _close_console(self):
        """Once the thread that reads it has met its end."""
        deadline = time.monotonic() + 5
        while not self.console.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        if self.console.closed:
            for file in self._files:
                file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
