#!/usr/bin/env python3
"""A TCP connection goes on while its Realm migrates.

QEMU's user network lives and dies with its process, so here it has a process
of its own, the switch, that both sides of a migration are plugged into:

    this program -- TCP -- switch (user network, hub) -+- source
                                                       +- destinations

SPDX-License-Identifier: GPL-2.0-or-later
"""

import socket
import struct
import threading
import time

from qemu.utils import get_info_usernet_hostfwd_port
from realm_case import RealmTest, guest_arguments, wait_until

SWITCH = ['-M', 'none', '-nic', 'none',
          '-netdev', 'user,id=user,hostfwd=tcp:127.0.0.1:0-10.0.2.15:7',
          '-netdev', 'hubport,id=port,hubid=0,netdev=user']


class Conversation:
    """Sends numbers to the guest, and takes the same numbers back."""

    def __init__(self, port):
        self.count = 0              # numbers that came back, in order
        self.error = None
        self._ending = False
        self._socket = socket.create_connection(('127.0.0.1', port))
        self._socket.settimeout(120)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self):
        with self._socket, self._socket.makefile('rb') as answers:
            try:
                while not self._ending:
                    numbers = struct.pack('!64Q', *range(self.count,
                                                         self.count + 64))
                    self._socket.sendall(numbers)
                    answer = answers.read(len(numbers))
                    if answer != numbers:
                        raise ValueError(f'wrong answer after {self.count}: '
                                         f'{answer[:16].hex()}...')
                    self.count += 64
                    time.sleep(0.005)
            except (OSError, ValueError) as err:
                self.error = err

    def goes_on(self):
        """Whether at least so much is said after this moment."""
        goal = self.count + 640
        wait_until(lambda: self.error or self.count >= goal,
                   'answers from the guest', 120)
        return self.error is None

    def end(self):
        self._ending = True
        self._thread.join()


class Network(RealmTest):

    def ports(self, number):
        """Sockets of the switch, and its arguments for them."""
        paths = [self.path(f'port{n}') for n in range(number)]
        arguments = []
        for n, path in enumerate(paths):
            arguments += ['-netdev', f'stream,id=s{n},server=on,'
                                     f'addr.type=unix,addr.path={path}',
                          '-netdev', f'hubport,id=p{n},hubid=0,netdev=s{n}']
        return paths, arguments

    def plugged_into(self, path):
        return guest_arguments(
            cpus=2, memory='512M', mte=False,
            network=f'stream,server=off,addr.type=unix,addr.path={path}')

    def test_connection_survives_two_migrations(self):
        paths, arguments = self.ports(3)
        switch = self.start(SWITCH + arguments)
        port = get_info_usernet_hostfwd_port(switch.qmp.hmp('info usernet'))
        vm = self.boot(self.plugged_into(paths[0]))
        vm.console.send('realm-check --tcp-echo 7 &')
        vm.console.wait_for('tcp-echo: ready')
        talk = Conversation(port)
        self.assertTrue(talk.goes_on(), talk.error)
        for path in paths[1:]:
            source = vm
            vm, _ = self.migrate(source, self.plugged_into(path))
            # Only the destination can answer from here on.
            source.stop()
            self.assertTrue(talk.goes_on(), talk.error)
        talk.end()
        self.assertIsNone(talk.error)


if __name__ == '__main__':
    RealmTest.main()
