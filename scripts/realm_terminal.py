"""A person's terminal at the console of a guest.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import select
import sys
import termios
import time
import tty

from realm_named import command
from realm_qmp import QmpError
from realm_vm import VmError

ESCAPE = b'\x1d'
ESCAPE_NAME = 'Ctrl-]'


@contextlib.contextmanager
def raw(fd):
    """Keys go to the guest as they are, Ctrl-C too; nothing if that is no
    terminal."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)   # what was typed already counts
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def say(text):
    """A line of ours between the guest's, in raw mode or not."""
    sys.stdout.write(f'\r\n[{text}]\r\n')
    sys.stdout.flush()


def show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def pump(end, fd):
    """Between the console and the terminal; returns whether the person has
    left it, which the end of the input does, too."""
    while True:
        ready = select.select([end, fd], [], [])[0]
        if end in ready:
            data = end.recv(65536)
            if not data:
                return False
            show(data)
        if fd in ready:
            keys = os.read(fd, 4096)
            before, escape, _ = keys.partition(ESCAPE)
            end.sendall(before)
            if escape or not keys:
                return True


def follow(vm, seconds=10):
    """After the console has closed: whether the guest goes on elsewhere."""
    old = vm.state['run']
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        vm.reload()
        pid = vm.pid()
        if pid and vm.state['run'] != old:
            say(f'{vm.name} goes on in another QEMU, process {pid}')
            return True
        if not pid:
            break
        time.sleep(0.05)
    return False


def attach(vm):
    """The terminal is the guest's console until the person leaves, or the
    guest ends; the console of a guest that migrates is where the guest is."""
    fd = sys.stdin.fileno()
    with vm.console_lock(), raw(fd):
        while True:
            try:
                show(vm.history())
                with vm.open('console') as end:
                    show(vm.history_until(end))
                    left = pump(end, fd)
            except (VmError, QmpError, ConnectionError):
                left = False            # it ended or went on meanwhile
            if left:
                say(f'{vm.name} goes on; back: {command()} console {vm.name}; '
                    f'its end: {command()} stop {vm.name}')
                return
            if not follow(vm):
                say(f'{vm.name} has ended')
                return
