#!/usr/bin/env python3
"""Nothing that the host can look at shows a Realm's memory or registers.

The same looks find everything in an ordinary guest, and find what a Realm
shares, so they would find what leaks.  Where a Realm has private memory they
are refused.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import itertools
import os
import re
import struct
import time

from realm_case import RealmTest, guest_arguments, incoming, wait_until
from realm_case import MIGRATION_SECONDS, Migration
from realm_gdb import Gdb
from realm_relay import Relay
from realm_vm import disk_arguments

MIB = 1 << 20
RAM_BASE, RAM_SIZE = 1 << 30, 256 * MIB
SHARED_BIT = 1 << 40
PAGE = 4096
NT_PRSTATUS = 1
LOOKS = 5                       # until the busy program is on the CPU

# A shell whose variable holds the marker, and which never leaves its CPU: so
# a debugger finds its addresses in the CPU's current translation.
BUSY = "sh -c 'M={}; M=${{M}}{}; echo busy: $$; while :; do :; done' &"


def marker():
    """A text, and its reverse, which the guest is told: so the text itself
    is only where the guest puts it."""
    text = 'marker-' + os.urandom(12).hex()
    return text.encode(), text[::-1]


def register_notes(path):
    """The general registers of each CPU in a dump."""
    with open(path, 'rb') as file:
        header = file.read(64)
        offset, = struct.unpack_from('<Q', header, 32)
        size, count = struct.unpack_from('<HH', header, 54)
        file.seek(offset)
        for number in range(count):
            file.seek(offset + number * size)
            kind, _, at, _, _, length = struct.unpack('<IIQQQQ', file.read(40))
            if kind == 4:                       # PT_NOTE
                file.seek(at)
                yield from notes(file.read(length))


def notes(data):
    at = 0
    while at + 12 <= len(data):
        name, size, kind = struct.unpack_from('<III', data, at)
        at += 12 + (name + 3 & ~3)
        if kind == NT_PRSTATUS:
            yield data[at + 112:at + 112 + 34 * 8]
        at += size + 3 & ~3


def process_has(vm, text):
    """Whether a text is anywhere in the memory of QEMU itself."""
    with open(f'/proc/{vm.process.pid}/maps', encoding='ascii') as maps, \
            open(f'/proc/{vm.process.pid}/mem', 'rb', buffering=0) as memory:
        for line in maps:
            begin, end = (int(at, 16) for at in line.split()[0].split('-'))
            if line.split()[1].startswith('rw'):
                memory.seek(begin)
                if text in read_all(memory, end - begin):
                    return True
    return False


def read_all(memory, size):
    """What can be read: a part of a mapping may have nothing behind it."""
    parts = []
    while size:
        try:
            part = memory.read(min(size, 64 * MIB))
        except OSError:
            break
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b''.join(parts)


class Looks:
    """Everything that the host has to look into a guest."""

    def __init__(self, test, vm):
        self.test, self.vm = test, vm

    def pmemsave(self, base=RAM_BASE):
        path = self.test.path('pmemsave')
        self.vm.qmp.cmd('pmemsave', val=base, size=RAM_SIZE, filename=path)
        with open(path, 'rb') as file:
            return file.read()

    def dump(self):
        path = self.test.path('dump')
        self.vm.qmp.cmd('dump-guest-memory', paging=False,
                        protocol=f'file:{path}')
        with open(path, 'rb') as file:
            return file.read(), list(register_notes(path))

    def gdb(self):
        path = self.test.path(f'{self.vm.name}.gdb')
        if not os.path.exists(path):
            self.vm.qmp.hmp(f'gdbserver unix:{path},server=on,wait=off')
        return Gdb(path)

    def memsave(self, address, size):
        path = self.test.path('memsave')
        open(path, 'wb').close()
        self.vm.qmp.try_cmd('memsave', val=address, size=size, filename=path)
        with open(path, 'rb') as file:
            return file.read()


class Secret(RealmTest):

    def arguments(self, realm):
        disk = self.path('disk')
        with open(disk, 'ab') as file:
            file.truncate(MIB)
        return (guest_arguments(realm=realm, cpus=1, memory='256M')
                + disk_arguments(disk))

    def put_private_marker(self, vm):
        """Returns the marker and the physical address of a page with it."""
        text, reverse = marker()
        vm.console.send(f'realm-check --marker-private {reverse} &')
        vm.console.wait_for('marker-private: ready')
        # The pages are the only locked memory of that process.
        where = self.guest(vm, 'pid=$(pidof realm-check); '
                               "awk '/-/ { at = $1 } "
                               '/^Locked: *[1-9]/ { print at }\' '
                               '/proc/$pid/smaps')
        page = int(where.split('-')[0], 16) // PAGE
        entry = self.guest(vm, 'dd if=/proc/$(pidof realm-check)/pagemap bs=8 '
                               f'skip={page} count=1 2>/dev/null '
                               '| od -An -tx8')
        return text, (int(entry, 16) & (1 << 55) - 1) * PAGE

    def put_shared_marker(self, vm):
        text, reverse = marker()
        self.guest(vm, f'realm-check --marker-shared /dev/vda {reverse}')
        return text

    def put_busy_marker(self, vm):
        """Returns the marker and where it is for the program on the CPU."""
        text, _ = marker()
        half = len(text) // 2
        start = vm.console.mark()
        vm.console.send(BUSY.format(text[:half].decode(),
                                    text[half:].decode()))
        pid = vm.console.wait_for(r'^busy: (\d+)', after=start)[1]
        heap = self.guest(vm, f'grep heap /proc/{pid}/maps')
        begin, end = re.match('([0-9a-f]+)-([0-9a-f]+)', heap).groups()
        return text, int(begin, 16), int(end, 16)

    def look_with_gdb(self, looks, physical, busy, seconds=0):
        """What a debugger sees at a physical address, and of the busy
        program, until that is what happens to run: LOOKS times at least,
        and for so many seconds."""
        text, begin, end = busy
        deadline = time.monotonic() + seconds
        for number in itertools.count(1):
            with looks.gdb() as gdb:
                gdb.physical(True)
                by_address = gdb.read(physical, PAGE)
                gdb.physical(False)
                by_program = gdb.read(begin, end - begin)
                registers = gdb.registers()
            by_program += looks.memsave(begin, end - begin)
            if text in by_program or (number >= LOOKS and
                                      time.monotonic() > deadline):
                return by_address, by_program, registers

    def shown_registers(self, vm):
        """The numbers in `info registers`, while the guest runs."""
        text = vm.qmp.hmp('info registers -a')
        return [number for number in re.findall(r'=\s*([0-9a-f]{8,})', text)
                if int(number, 16)]

    def test_every_look_finds_the_memory_of_an_ordinary_guest(self):
        vm = self.boot(self.arguments(realm=False))
        looks = Looks(self, vm)
        private, physical = self.put_private_marker(vm)
        busy = self.put_busy_marker(vm)
        self.assertTrue(private in looks.pmemsave())
        contents, registers = looks.dump()
        self.assertTrue(private in contents)
        self.assertTrue(any(registers[0]))
        by_address, by_program, registers = self.look_with_gdb(
            looks, physical, busy, seconds=60)
        self.assertIn(private, by_address)
        self.assertTrue(busy[0] in by_program)
        self.assertTrue(any(registers))
        self.assertTrue(self.shown_registers(vm))

    def test_no_look_finds_private_memory_of_a_realm(self):
        arguments = self.arguments(realm=True)
        source = self.boot(arguments)
        private, physical = self.put_private_marker(source)
        shared = self.put_shared_marker(source)
        busy = self.put_busy_marker(source)
        self.check_looks(source, private, shared, physical, busy)

        self.assertTrue(process_has(source, private))
        dest, stream = self.migrate_recorded(source, arguments)
        self.assertFalse(private in stream or busy[0] in stream)
        self.assertTrue(shared in stream)
        self.check_wiped(source, [private, busy[0]])
        self.check_memory(Looks(self, source), [private, busy[0]], shared)
        source.stop()
        self.check_looks(dest, private, shared, physical, busy)

    def migrate_recorded(self, source, arguments):
        """Migrates through a relay; returns the destination and all bytes
        that went over the wire."""
        dest = self.start(incoming(arguments))
        path = self.path('stream')
        with Relay(self.path('relay'), path) as relay:
            migration = Migration(source.qmp, dest.qmp, f'unix:{path}',
                                  timeout=MIGRATION_SECONDS)
            migration.source_uri = relay.uri
            migration.run()
            relay.wait()
        return dest, bytes(relay.recorded)

    def check_wiped(self, source, private):
        """Nothing of it is left where it was, once the receipt has come."""
        wait_until(lambda: source.qmp.cmd('query-realm-migration')['phase']
                   == 'gone', 'the receipt comes')
        for secret in private:
            self.assertFalse(process_has(source, secret))

    def check_looks(self, vm, private, shared, physical, busy):
        looks = Looks(self, vm)
        self.check_memory(looks, [private, busy[0]], shared)
        by_address, by_program, registers = self.look_with_gdb(looks, physical,
                                                               busy)
        self.assertEqual(by_address, b'')
        self.assertFalse(busy[0] in by_program)
        self.assertEqual(registers, bytes(len(registers)))
        self.assertEqual(self.shown_registers(vm), [])
        wait_until(lambda: vm.qmp.cmd('query-status')['running'],
                   'the guest goes on after the debugger has gone')

    def check_memory(self, looks, private, shared):
        self.assert_refused('memory at 0x40000000 is private', looks.pmemsave)
        self.assert_refused('neither its memory nor its registers', looks.dump)
        base = SHARED_BIT | RAM_BASE
        contents = looks.pmemsave(base)
        for secret in private:
            self.assertFalse(secret in contents)
        at = base + contents.index(shared)
        with looks.gdb() as gdb:
            gdb.physical(True)
            self.assertEqual(gdb.read(at, len(shared)), shared)


if __name__ == '__main__':
    RealmTest.main()
