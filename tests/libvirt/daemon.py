"""Private session daemons of libvirt, and the console of their guests.

A daemon has its own folders, sockets and host UUID.  It runs in namespaces: as no
root, since root's libvirt is the system's whatever its folders are, and with its own
/etc/libvirt, where libvirt has hooks for session daemons, too.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))

from realm_vm import Console  # noqa: E402

NOBODY = 65534          # has to have a name, so it is not the caller's own number
NAMESPACES = ['unshare', '--user', f'--map-user={NOBODY}',
              f'--map-group={NOBODY}', '--keep-caps', '--mount']
PATH = f'{os.environ["PATH"]}:/usr/sbin:/sbin'
# Folder in, capabilities out: what follows is an ordinary user's.
ENTER = ('mount --bind "$0" /etc/libvirt && exec setpriv --inh-caps=-all '
         '--ambient-caps=-all libvirtd')
SECONDS = 60


class VirshError(Exception):
    """virsh ended with a failure; the text is what it said."""


def why_not():
    """What the machine forbids of a daemon's namespaces; '' if nothing."""
    mount = subprocess.run(
        [*NAMESPACES, 'mount', '--bind', '/etc', '/etc'], text=True,
        stdin=subprocess.DEVNULL, capture_output=True)
    return mount.stderr.strip()


class Daemon:
    """One libvirtd.  Use it in a with statement: no QEMU of it outlives that."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = Path(folder, name)
        self.etc = self.folder / 'etc'
        hooks = self.etc / 'hooks/qemu.d'
        hooks.mkdir(parents=True)
        (hooks / 'realm').symlink_to(TOP / 'scripts/realm-libvirt-hook')
        self.env = {'PATH': PATH, 'HOME': str(self.folder)}
        for kind in ('RUNTIME_DIR', 'CONFIG_HOME', 'CACHE_HOME', 'DATA_HOME'):
            path = self.folder / kind.partition('_')[0].lower()
            path.mkdir(0o700)
            self.env[f'XDG_{kind}'] = str(path)
        config = self.folder / 'config/libvirt'
        config.mkdir()
        (config / 'libvirtd.conf').write_text(f'host_uuid = "{uuid.uuid4()}"\n')
        self.socket = self.folder / 'runtime/libvirt/libvirt-sock'
        self.uri = f'qemu+unix:///session?socket={self.socket}'
        self.log = self.folder / 'log'
        self.process = None

    def __enter__(self):
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [*NAMESPACES, 'sh', '-c', ENTER, self.etc], env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise VirshError(f'libvirtd {self.name} does not answer: '
                                 + self.log.read_text(encoding='utf-8'))
            time.sleep(0.05)
        return self

    def answers(self):
        """Whether it takes calls: it says how it is called."""
        with contextlib.suppress(VirshError):
            return self.socket.exists() and self.virsh('uri')
        return False

    def __exit__(self, *_):
        self.stop()

    def kill_guests(self):
        for path in self.folder.glob('runtime/libvirt/qemu/run/*.pid'):
            if path.name != 'driver.pid':
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(path.read_text()), signal.SIGKILL)

    def stop(self):
        self.kill_guests()
        self.process.terminate()
        self.process.wait()

    def command(self, *words):
        return ['virsh', '--quiet', '-c', self.uri, *map(str, words)]

    def start(self, *words):
        """virsh in the background."""
        return subprocess.Popen(self.command(*words), env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def finish(self, process, timeout=SECONDS):
        """What virsh prints, once it ends."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err = f'not finished after {timeout} s; {err}'
        if process.returncode:
            raise VirshError(f'{err}{out}'.strip())
        return out.strip()

    def virsh(self, *words, timeout=SECONDS):
        return self.finish(self.start(*words), timeout)


class Terminal:
    """virsh at a terminal of its own, with the console of a guest."""

    def __init__(self, daemon, *words):
        self.name = f'virsh {" ".join(words)} ({daemon.name})'
        self._own, other = pty.openpty()
        self._writer = os.fdopen(os.dup(self._own), 'wb', 0)
        self.process = subprocess.Popen(
            daemon.command(*words), env=daemon.env, stdin=other, stdout=other,
            stderr=other, start_new_session=True)
        os.close(other)
        self.console = Console(self, self._lines(), self._writer)

    def _lines(self):
        text = b''
        with os.fdopen(self._own, 'rb', 0) as terminal:
            while True:
                try:
                    text += terminal.read(65536)
                except OSError:         # virsh has ended
                    return
                *lines, text = text.split(b'\n')
                yield from lines

    def last_words(self):
        return f'; it ends with: {" | ".join(self.console.lines[-5:])}'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._writer.close()
