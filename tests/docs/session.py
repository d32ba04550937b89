"""Runs the commands of one page, as a reader would: in one folder, in order.

The folder has the entries of this repository, a kernel Image, its initrd, the
public key bob.pub of another platform, and a home of its own.  Nobody types
anything: a console that a command opens is left at once.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

from pages import TOP

sys.path.insert(0, str(TOP / 'scripts'))

from realm_qmp import Qmp  # noqa: E402
from realm_vm import Console, guest_file, program  # noqa: E402

SECONDS = 180                   # for one block, on a busy machine
PROGRAM = 'qemu-system-aarch64'
LEAVE = b'\x01x'                # what ends QEMU with -nographic
REALM = '-object rme-guest,id=rme0'
MACHINE = '-M virt,confidential-guest-support=rme0'


class CommandError(Exception):
    """A command of a page did not do what the page says."""


def listens(path):
    """QEMU takes connections; its socket's file is there a bit earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


class Terminal:
    """A machine that a block of the page started."""

    def __init__(self, name, text, folder, env):
        self.name, self.text = name, text
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ['bash', '-c', f'exec {text}'], cwd=folder, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            start_new_session=True)
        self.console = Console(self, self.process.stdout, self.process.stdin)

    def last_words(self):
        size = os.fstat(self._log.fileno()).st_size
        said = os.pread(self._log.fileno(), size, 0).decode(errors='replace')
        return (f'; status {self.process.poll()}, it said: {said.strip()}; '
                f'its console ends with: {self.console.lines[-3:]}')

    def wait_for_socket(self, path):
        """Until QEMU listens."""
        deadline = time.monotonic() + SECONDS
        while not listens(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f'{self.name}: no {path}{self.last_words()}')
            time.sleep(0.02)

    def leave(self):
        """As a reader ends it, who was told so; it may have ended by itself."""
        try:
            self.process.stdin.write(LEAVE)
            self.process.stdin.flush()
        except OSError:
            pass
        try:
            if self.process.wait(60):
                raise CommandError(f'{self.name}: failed{self.last_words()}')
        except subprocess.TimeoutExpired as err:
            raise CommandError(f'{self.name}: Ctrl-A X does not end it; beside '
                               '-qmp that takes -serial mon:stdio'
                               f'{self.last_words()}') from err

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self._log.close()


class Session:
    """The folder and the machines of a page.  Use it in a with statement."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix='docs-')
        self.folder = self._folder.name
        self.terminals = {}
        self.said = {}          # what a page shows: what QEMU said instead
        for entry in TOP.iterdir():
            if not entry.name.startswith('.'):
                os.symlink(entry, self.path(entry.name))
        os.symlink(guest_file('Image'), self.path('Image'))
        os.symlink(guest_file('initramfs.cpio'), self.path('initrd'))
        subprocess.run(['openssl', 'ecparam', '-name', 'secp384r1', '-genkey',
                        '-noout', '-out', self.path('bob.key')], check=True)
        subprocess.run(['openssl', 'pkey', '-in', self.path('bob.key'), '-pubout',
                        '-out', self.path('bob.pub')], check=True)
        os.mkdir(self.path('home'))
        os.mkdir(self.path('run'), 0o700)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith('XDG_')}
        build = os.path.dirname(program())
        self.env.update(HOME=self.path('home'), LC_ALL='C.UTF-8',
                        XDG_RUNTIME_DIR=self.path('run'),
                        PATH=f'{build}:{os.environ["PATH"]}')
        if os.path.exists(os.path.join(build, 'build.ninja')):
            self.env['BUILD'] = build       # make has nothing to build then

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for terminal in self.terminals.values():
            terminal.kill()
        self.end_guests()
        self._folder.cleanup()

    def end_guests(self):
        """Those that a page left, or has no time to end."""
        names = self.path('run/realm-vm')
        for name in os.listdir(names) if os.path.isdir(names) else []:
            subprocess.run([TOP / 'scripts/realm-vm', 'stop', '--now', name],
                           env=self.env, check=False, capture_output=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, block):
        getattr(self, block.kind)(block)

    def bash(self, script, given='', seconds=SECONDS):
        """What a script prints; it has to succeed."""
        try:
            done = subprocess.run(
                ['bash', '-ec', script], cwd=self.folder, env=self.env,
                input=given, capture_output=True, text=True, timeout=seconds,
                check=False)
        except subprocess.TimeoutExpired as err:
            raise CommandError(f'{script!r}: not done after {seconds} s') from err
        if done.returncode:
            raise CommandError(f'{script!r}: status {done.returncode}: '
                               f'{done.stdout}{done.stderr}')
        return done.stdout

    def shell(self, block):
        self.bash(block.text)

    def start(self, name, text):
        sockets = [self.path(path) for path
                   in re.findall(r'unix:([^,\s]+),server', text)]
        for path in sockets:
            if os.path.exists(path):        # of a machine before this one
                os.unlink(path)
        terminal = Terminal(name, text, self.folder, self.env)
        self.terminals[name] = terminal
        for path in sockets:
            terminal.wait_for_socket(path)
        if '-incoming' not in text:
            terminal.console.wait_for('^guest: ready', SECONDS)
        return terminal

    def terminal(self, block):
        name, _, says = block.argument.partition(' says ')
        if name in self.terminals:
            raise CommandError(f'{block}: this terminal is in use')
        terminal = self.start(name, block.text)
        if says:
            terminal.console.wait_for(re.escape(says), SECONDS)

    def anew(self, _=None):
        old = [(t.name, t.text) for t in self.terminals.values()]
        self.leave()
        for name, text in old:
            self.start(name, text)

    def leave(self):
        """The reader ends all machines."""
        for name in list(self.terminals):
            self.terminals[name].leave()
            self.terminals.pop(name).kill()

    def guest(self, block):
        console = self.terminals[block.argument].console
        for line in block.text.strip().split('\n'):
            status, output = console.run(line, SECONDS)
            if status:
                raise CommandError(f'{block}: {line!r} in the guest: status '
                                   f'{status}: {output}')

    def options(self, block):
        """Assignments of the shell's are for the lines after them."""
        before = []
        for line in block.text.replace('\\\n', ' ').strip().split('\n'):
            line = line.removeprefix(f'{PROGRAM} ')
            words = shlex.split(line, comments=True)
            if re.fullmatch(r'\w+=\S*', line.strip()):
                before.append(line)
            elif words:
                self.starts('\n'.join(before), line, words)

    def starts(self, before, line, words):
        """A machine starts with options; QEMU builds its Realm."""
        command = [f'{PROGRAM} -nodefaults -display none -qmp stdio '
                   '-no-reboot -no-shutdown',
                   *([] if '-kernel' in words or '-bios' in words else
                     ['-kernel', guest_file('realm-bare')]),
                   *([] if '-M' in words or 'rme-guest' in line else [REALM]),
                   *([] if '-M' in words else [MACHINE]), line]
        commands = ('qmp_capabilities', 'query-realm', 'quit')
        said = self.bash(f'exec 2>&1\n{before}\n{" ".join(command)}', ''.join(
            json.dumps({'execute': name}) for name in commands))
        realm = MACHINE in command or 'confidential-guest-support' in line
        if realm and '"rim":' not in said:
            raise CommandError(f'{line}: there is no Realm: {said}')
        if f'{PROGRAM}:' in said:
            raise CommandError(f'{line}: QEMU warns: {said}')

    def qmp(self, block):
        """Commands, and the answers that the page shows.  What an answer says is
        not what the page shows, so later commands get what was said."""
        path, _, until = block.argument.partition(' until ')
        deadline = time.monotonic() + SECONDS
        qmp = Qmp(self.path(path))
        try:
            while until not in self.converse(qmp, block):
                if time.monotonic() > deadline:
                    raise CommandError(f'{block}: not so after {SECONDS} s')
                time.sleep(0.1)
        finally:
            qmp.close()

    def converse(self, qmp, block):
        """All commands of a block once; returns what was said."""
        text = ''
        for command, shown in exchanges(block):
            arguments = {name: self.said.get(str(value), value) for name, value
                         in command.get('arguments', {}).items()}
            answer = qmp.cmd(command['execute'], **arguments)
            text += json.dumps(answer)
            if shown is not None:
                compare(block, shown, answer, self.said)
        return text


def exchanges(block):
    """(command, what the page shows as its answer, or None), in order."""
    decode = json.JSONDecoder().raw_decode
    result, text = [], block.text
    while text.strip():
        arrow, value = re.fullmatch(r'(->|<-)?\s*(.*)', text.strip(), re.S).groups()
        try:
            value, end = decode(value)
        except ValueError as err:
            raise CommandError(f'{block}: {err}') from err
        text = text.strip()[len(arrow or ''):].strip()[end:]
        if arrow == '<-':
            if 'return' in value:           # else an event
                result[-1] = (result[-1][0], value['return'])
        else:
            result.append((value, None))
    return result


def compare(block, shown, answer, said):
    """All that is shown is there; remembers texts that differ."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            if not isinstance(answer, dict) or name not in answer:
                raise CommandError(f'{block}: {name} is not in {answer}')
            compare(block, value, answer[name], said)
    elif type(shown) is not type(answer):
        raise CommandError(f'{block}: {answer!r} instead of {shown!r}')
    elif isinstance(shown, str):
        said[shown] = answer


__all__ = ['CommandError', 'Session', 'compare', 'exchanges']
