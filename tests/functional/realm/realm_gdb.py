"""As much of a debugger as is needed to read a guest through QEMU's gdbstub.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import socket

CHUNK = 2000            # bytes in one answer


class Gdb:
    """Connection to -gdb unix:PATH; the guest stops while it lasts.  Use it
    in a with statement."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(path)
        self._stream = self._socket.makefile('rb')
        self.ask('?')

    def ask(self, packet):
        """Sends a packet; returns the answer."""
        data = packet.encode()
        self._socket.sendall(b'$%s#%02x' % (data, sum(data) & 255))
        while (byte := self._stream.read(1)) != b'$':
            if not byte:
                raise OSError('the debugger stub has gone')
        answer = bytearray()
        while (byte := self._stream.read(1)) != b'#':
            answer += byte
        self._stream.read(2)
        self._socket.sendall(b'+')
        return answer.decode()

    def physical(self, on):
        """What addresses are from here on: physical, or the CPU's."""
        assert self.ask(f'Qqemu.PhyMemMode:{int(on)}') == 'OK'

    def select(self, cpu):
        assert self.ask(f'Hg{cpu + 1:x}') == 'OK'

    def registers(self):
        return bytes.fromhex(self.ask('g').replace('xx', '00'))

    def read(self, address, size):
        """The bytes at an address; what cannot be read is left out."""
        data = b''
        for at in range(address, address + size, CHUNK):
            length = min(CHUNK, address + size - at)
            answer = self.ask(f'm{at:x},{length:x}')
            if not answer.startswith('E'):
                data += bytes.fromhex(answer)
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.ask('D')
        finally:
            self._stream.close()
            self._socket.close()
