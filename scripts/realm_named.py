"""Guests with a name, whose QEMU goes on when the program that started it has
ended.  scripts/realm-vm is the command for it.

A guest has a folder in root().  In it are vm.json, which says how the guest was
started and which run is the current one, and a folder for every run of QEMU,
named by a number, with its sockets and its log.  A migration starts a second
run, and ends the first.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import base64
import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

from realm_qmp import Migration, Qmp, QmpError
from realm_vm import VmError, connect, escaped, incoming, program

NAME = r'[A-Za-z0-9][A-Za-z0-9._-]{0,31}'
LONGEST_SOCKET = 107            # bytes in the path of a unix socket
HISTORY = 16384                 # bytes of the console that QEMU keeps
LONGEST_ANSWER = 1 << 20        # bytes; a token is some KiB

# Where a guest takes requests, if scripts/realm-agent runs in it.
AGENT_PORT = 'realm.agent'


def command():
    """How the person calls realm-vm: by its name, if that finds it."""
    called = sys.argv[0]
    found = shutil.which('realm-vm')
    if found and os.path.exists(called) and os.path.samefile(found, called):
        return 'realm-vm'
    return called


def root():
    """The folder of all guests of this user, and of nobody else."""
    base = os.environ.get('XDG_RUNTIME_DIR')
    path = (os.path.join(base, 'realm-vm') if base else
            os.path.join(tempfile.gettempdir(), f'realm-vm-{os.getuid()}'))
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        info = os.lstat(path)
    except OSError as err:
        raise VmError(f'making {path}: {err.strerror}; set XDG_RUNTIME_DIR to '
                      'a folder of yours') from err
    if (not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid()
            or info.st_mode & 0o077):
        raise VmError(f'{path} is no folder that only you can enter; remove '
                      'it, or set XDG_RUNTIME_DIR to a folder of yours')
    return path


def names():
    """Of all guests, those included whose QEMU has ended."""
    return sorted(entry.name for entry in os.scandir(root())
                  if entry.is_dir() and re.fullmatch(NAME, entry.name))


def channels(folder):
    """QEMU's arguments for what one talks to it and its guest by.  The history
    has what the console said while nobody was there."""
    def server(name):
        path = escaped(os.path.join(folder, name))
        return ['-chardev', f'socket,id={name},path={path},server=on,wait=off']

    return [*server('qmp'), '-mon', 'chardev=qmp,mode=control',
            # A migration keeps that to itself.
            *server('query'), '-mon', 'chardev=query,mode=control',
            *server('console'),
            '-chardev', f'ringbuf,id=history,size={HISTORY}',
            '-chardev', 'hub,id=serial,chardevs.0=console,chardevs.1=history',
            '-serial', 'chardev:serial',
            *server('agent'), '-device', 'virtio-serial-pci,id=realm-vm',
            '-device', f'virtserialport,chardev=agent,name={AGENT_PORT}',
            '-display', 'none', '-monitor', 'none']


def wait_for_end(pid, seconds):
    """Whether the process ends in this time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def forward(qmp, port):
    """Forwards a port of the loopback interface to port 22 of the guest, that
    one if it is free; returns which."""
    for wanted in dict.fromkeys((port, 0)):
        if not qmp.hmp(f'hostfwd_add net0 tcp:127.0.0.1:{wanted}-:22').strip():
            break
    found = re.search(r'HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\s',
                      qmp.hmp('info usernet'))
    if not found:
        raise VmError('QEMU forwards no port to the guest; start it with '
                      '--no-network, and give a -netdev of your own')
    return int(found[1])


class Run:
    """One QEMU of a guest."""

    def __init__(self, vm, number):
        self.name = vm.name
        self.number = number
        self.folder = os.path.join(vm.folder, str(number))
        self.process = self.qmp = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, arguments, cwd):
        """Starts QEMU; it answers when this returns."""
        os.mkdir(self.folder, 0o700)
        command = [program(), *arguments, *channels(self.folder),
                   '-name', self.name, '-pidfile', self.path('pid')]
        try:
            with open(self.path('log'), 'wb') as log:
                self.process = subprocess.Popen(
                    command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True)
        except OSError as err:
            raise VmError(f'starting {command[0]} in {cwd}: {err.strerror}; '
                          'set QEMU_PROGRAM') from err
        self.qmp = connect(self.path('qmp'), self)

    def last_words(self):
        """Why QEMU ended, to append to an error."""
        with open(self.path('log'), encoding='utf-8', errors='replace') as log:
            words = ' | '.join(log.read().splitlines()[-5:])
        status = self.process.poll()
        return ('' if status is None else f'; QEMU ended with status {status}: '
                f'{words or "no message"}')

    def pid(self):
        """The process of this run, or None.  What has its number may be
        another program by now, so the sockets have to be its own."""
        with contextlib.suppress(OSError, ValueError):
            with open(self.path('pid'), encoding='ascii') as file:
                pid = int(file.read())
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if escaped(self.path('qmp')).encode() in file.read():
                    return pid
        return None

    def end(self):
        """Ends QEMU, if it runs, and removes its folder."""
        if self.qmp:
            self.qmp.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        pid = self.pid()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_for_end(pid, 10)
        shutil.rmtree(self.folder, ignore_errors=True)


class NamedVm:
    """A guest, by its name.  state: what vm.json has, or None if there is no
    such guest."""

    def __init__(self, name):
        if not re.fullmatch(NAME, name):
            raise VmError(f'{name!r} is no name: at most 32 letters, digits, '
                          'dots, - and _, with a letter or digit first')
        self.name = name
        self.folder = os.path.join(root(), name)
        longest = os.path.join(self.folder, '999', 'console')
        if len(os.fsencode(longest)) > LONGEST_SOCKET:
            raise VmError(f'{longest} is too long for a socket; take a shorter '
                          'name, or set XDG_RUNTIME_DIR to a shorter path')
        self.state = self._load()

    # ---- What is on the disk ----

    def _load(self):
        try:
            with open(os.path.join(self.folder, 'vm.json'),
                      encoding='utf-8') as file:
                return json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as err:
            raise VmError(f'{self.name}: reading {self.folder}/vm.json: {err}; '
                          'end its QEMU, and remove that folder') from err

    def _save(self, **changes):
        state = {**(self.state or {}), **changes}
        path = os.path.join(self.folder, 'vm.json')
        with open(path + '.new', 'w', encoding='utf-8') as file:
            json.dump(state, file, indent=1)
        os.replace(path + '.new', path)
        self.state = state

    def reload(self):
        self.state = self._load()

    @contextlib.contextmanager
    def _lock(self, what, doing):
        """One at a time.  No name of a guest begins with a dot."""
        path = os.path.join(root(), f'.{self.name}.{what}')
        with open(path, 'w', encoding='utf-8') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise VmError(f'{self.name}: another realm-vm {doing}; wait '
                              'for it, or end it') from err
            yield

    def _change(self):
        """To be held while QEMUs are started or ended."""
        return self._lock('lock', 'starts, migrates or stops it')

    # ---- What there is ----

    @property
    def run(self):
        """The current run."""
        return Run(self, self.state['run'])

    def _runs(self):
        with contextlib.suppress(FileNotFoundError):
            return [Run(self, int(entry.name))
                    for entry in os.scandir(self.folder)
                    if entry.name.isdigit()]
        return []

    def pid(self):
        return self.run.pid() if self.state else None

    def need(self):
        """Refuses a guest that is not there."""
        if not self.state:
            there = ', '.join(names()) or 'none'
            raise VmError(f'{self.name}: no such guest (there are: {there}); '
                          f'`{command()} start {self.name}` starts one')
        if not self.pid():
            raise VmError(f'{self.name} has ended, see {self.run.path("log")};'
                          f' `{command()} stop {self.name}` removes what is '
                          f'left, `{command()} start {self.name} ...` starts '
                          'anew')

    def refuse_if_running(self):
        if self.pid():
            raise VmError(
                f'{self.name} runs already, as process {self.pid()}; take '
                f'another name, or `{command()} console {self.name}`, or '
                f'`{command()} stop {self.name}`')

    def query(self):
        """A QMP connection for questions."""
        try:
            return Qmp(self.run.path('query'), timeout=20)
        except QmpError as err:
            raise VmError(f'{self.name}: {err}') from err

    def facts(self):
        """(state, phase) for a list."""
        if not self.pid():
            return 'ended', '-'
        try:
            qmp = self.query()
        except VmError:
            return 'silent', '-'
        with contextlib.closing(qmp):
            status = (qmp.try_cmd('query-status') or {}).get('status', '-')
            realm = qmp.try_cmd('query-realm-migration') or {}
        return status, realm.get('phase', '-')

    def rim(self):
        """The initial measurement that QEMU reports, or None."""
        with contextlib.closing(self.query()) as qmp:
            return (qmp.try_cmd('query-realm') or {}).get('rim')

    # ---- Life ----

    def start(self, arguments, **facts):
        """Starts it; facts are kept with its state.  What an earlier one of
        this name has left is removed."""
        with self._change():
            self.reload()
            self.refuse_if_running()
            self._remove()
            os.mkdir(self.folder, 0o700)
            self.state = None
            run = Run(self, 1)
            try:
                run.start(arguments, os.getcwd())
                self._save(arguments=arguments, cwd=os.getcwd(), run=1, port=0,
                           **facts)
                self._forward(run)
            except BaseException:
                run.end()
                self._remove()
                raise
            run.qmp.close()

    def _forward(self, run):
        if self.state['network']:
            self._save(port=forward(run.qmp, self.state['port']))

    def _remove(self):
        for run in self._runs():
            run.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, seconds):
        """Asks the guest to power off, and ends QEMU if it has not in this
        time; returns whether it has."""
        with self._change():
            self.reload()
            if not self.state and not os.path.isdir(self.folder):
                self.need()
            pid = self.pid()
            willing = True
            if pid and seconds:
                # One that cannot be asked is ended, too.
                with contextlib.suppress(VmError, QmpError, OSError):
                    with contextlib.closing(self.query()) as qmp:
                        qmp.cmd('system_powerdown')
                    with self.open('agent') as agent:   # if it runs
                        agent.sendall(b'poweroff\n')
                        wait_for_end(pid, seconds)
                willing = not self.pid()
            if self.pid():
                with contextlib.suppress(VmError, QmpError):
                    with contextlib.closing(self.query()) as qmp:
                        qmp.cmd('quit')
                    wait_for_end(pid, 10)
            self._remove()
            return willing

    # ---- Migration ----

    def migrate(self, progress, **options):
        """Moves it to a new QEMU; returns what was measured."""
        with self._change():
            self.reload()
            self.need()
            for run in self._runs():
                if run.number != self.state['run']:     # of one that was killed
                    self._settle(run, self.run)
            old = self.run
            new = Run(self, old.number + 1)
            migration = None
            try:
                new.start(incoming(self.state['arguments']), self.state['cwd'])
                old.qmp = Qmp(old.path('qmp'))
                migration = Migration(old.qmp, new.qmp,
                                      f'unix:{new.path("stream")}',
                                      plain=not self.state['realm'],
                                      progress=progress, **options)
                report = migration.run()
            except BaseException as err:
                if not migration:
                    new.end()
                    raise
                migration.cancel()      # a signal may have come at any moment
                migration.take_back()
                self._settle(new, old, f'{err}; ' if isinstance(err, Exception)
                             else 'interrupted; ')
                raise
            self._go_on_in(new, old)
            return report

    def _settle(self, new, old, why=''):
        """After a migration that broke off: ends the QEMU that the guest is
        not in.  A destination must not be ended while the source is sealed:
        nobody else can give it the Realm back."""
        if self._has_arrived(new):
            self._go_on_in(new, old)
        elif not new.pid() or self._has_stayed(old):
            new.end()
            self._forget_offer(old)
        else:
            raise VmError(
                f'{why}it is not certain where {self.name} is, so both QEMUs '
                f'are left: process {old.pid()} ({old.path("qmp")}) and '
                f'process {new.pid()} ({new.path("qmp")}); ask them with '
                f'{self._question()}; `{command()} migrate {self.name}` goes '
                f'on when one has it, `{command()} stop {self.name}` ends both')

    def _forget_offer(self, run):
        """That of a destination which has ended before anything was sent."""
        if self._ask(run).get('phase') == 'accepted':
            with (contextlib.suppress(QmpError),
                  contextlib.closing(Qmp(run.path('query'))) as qmp):
                qmp.cmd('realm-migration-prepare')

    def _question(self):
        return ('query-realm-migration' if self.state['realm'] else
                'query-status')

    def _ask(self, run):
        """The answer of its QEMU, or nothing."""
        with (contextlib.suppress(QmpError),
              contextlib.closing(Qmp(run.path('query'), timeout=20)) as qmp):
            return qmp.cmd(self._question())
        return {}

    def _has_arrived(self, run):
        answer = self._ask(run)
        return (answer.get('holds', False) if self.state['realm'] else
                answer.get('status') in ('running', 'paused'))

    def _has_stayed(self, run):
        answer = self._ask(run)
        place = answer.get('phase' if self.state['realm'] else 'status')
        return place not in (None, 'sealed', 'gone',
                             'finish-migrate', 'postmigrate')

    def _go_on_in(self, new, old):
        """Whoever is at the console looks into vm.json when it closes."""
        pid = old.pid()
        self._save(run=new.number)
        if pid and old.qmp:
            old.qmp.try_cmd('quit')
            wait_for_end(pid, 10)
        old.end()
        new.qmp = new.qmp or Qmp(new.path('qmp'))
        self._forward(new)      # the port is free now
        new.qmp.close()

    # ---- The guest ----

    def console_lock(self):
        return self._lock('console', 'is at its console')

    def history(self):
        """What its console said last, and nobody has read this way."""
        with contextlib.closing(self.query()) as qmp:
            return self._read_history(qmp)

    @staticmethod
    def _read_history(qmp):
        data = qmp.cmd('ringbuf-read', device='history', size=HISTORY,
                       format='base64')
        return base64.b64decode(data)

    def history_until(self, end):
        """What its console said from the last history() on until now, where
        end, which is connected to it, will go on."""
        with contextlib.closing(self.query()) as qmp:
            deadline = time.monotonic() + 20
            while not self._listens(qmp):
                if time.monotonic() > deadline:
                    raise VmError(f'{self.name}: QEMU has not taken the '
                                  'connection to its console in 20 s')
                time.sleep(0.01)
            history = self._read_history(qmp)
        try:
            data = end.recv(HISTORY, socket.MSG_DONTWAIT)
        except BlockingIOError:
            data = b''
        # Since QEMU took the connection, it has written to both.
        both = next(size for size in range(min(len(history), len(data)), -1, -1)
                    if history.endswith(data[:size]))
        return history + data[both:]

    @staticmethod
    def _listens(qmp):
        """Whether QEMU has taken a connection to the console."""
        return any(each['label'] == 'console'
                   and not each['filename'].startswith('disconnected:')
                   for each in qmp.cmd('query-chardev'))

    def open(self, name):
        """Connects to a socket of the current run."""
        path = self.run.path(name)
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(20)          # a QEMU that hangs accepts nobody
        try:
            end.connect(path)
        except OSError as err:
            end.close()
            raise VmError(f'{self.name}: connecting to {path}: '
                          f'{err.strerror or err}') from err
        end.settimeout(None)
        return end

    def token(self, challenge, seconds):
        """The token that the guest gives for a challenge of 64 bytes."""
        self.need()
        words = base64.b64encode(challenge)
        data, deadline = b'', time.monotonic() + seconds
        with self.open('agent') as end:
            end.sendall(b'token ' + words + b'\n')
            while True:
                try:
                    left = deadline - time.monotonic()
                    if left <= 0:       # whatever else the guest says
                        raise TimeoutError
                    end.settimeout(left)
                    more = end.recv(65536)
                except TimeoutError as err:
                    raise VmError(
                        f'{self.name}: nothing in the guest answers at the '
                        f'port {AGENT_PORT} in {seconds:g} s; run '
                        'scripts/realm-agent there, or see "Tokens" in '
                        'docs/system/arm/realm-vm.rst') from err
                *lines, data = (data + more).split(b'\n')
                for line in lines:
                    tag, _, answer = line.strip().partition(b' ')
                    if tag == words:    # else of a request that was given up
                        return self._token_of(answer)
                if not more or len(data) > LONGEST_ANSWER:
                    raise VmError(f'{self.name}: the answer to a request for '
                                  'a token breaks off; ask again')

    def _token_of(self, answer):
        try:
            return base64.b64decode(answer, validate=True)
        except ValueError as err:
            text = answer[:200].decode(errors='replace')
            text = ''.join(c if c.isprintable() else '?' for c in text)
            raise VmError(f'{self.name}: the guest gives no token; it says: '
                          f'{text.removeprefix("error: ")}') from err
