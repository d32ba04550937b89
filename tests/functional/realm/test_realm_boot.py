#!/usr/bin/env python3
"""A stock kernel runs as a Realm, and the Realm is what was asked for.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import gzip
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from realm_case import RealmTest, guest_arguments, wait_until
from realm_vm import disk_arguments, guest_file

MIB = 1 << 20


def zboot(image):
    """An EFI zboot kernel as Linux's drivers/firmware/efi/libstub makes it,
    without the program that unpacks it under EFI."""
    payload = gzip.compress(image)
    header = struct.pack('<4s4sII8x32s4sI', b'MZ', b'zimg', 64, len(payload),
                         b'gzip', b'\xcd\x23\x82\x81', 64)
    return header + payload


class Answer(BaseHTTPRequestHandler):
    """A web server of one page."""

    page = os.urandom(300000)

    def do_GET(self):                           # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):                  # pylint: disable=W0221
        pass


class Boot(RealmTest):

    def test_linux_runs_on_one_cpu_without_tags(self):
        vm = self.boot(guest_arguments(
            cpus=1, memory='512M', mte=False, migratable=False,
            properties='measurement-algorithm=sha256'))
        vm.console.wait_for('RME: Using RSI version 1.0')
        vm.console.wait_for('guest: realm=yes mte=no cpus=1 rsi=1.0 '
                            'cca-report=yes')
        info = vm.qmp.cmd('query-realm')
        self.assertEqual(info['measurement-algorithm'], 'sha256')
        self.assertEqual(len(bytes.fromhex(info['rim'])), 32)
        self.assertFalse(info['migration'] or info['mte'])

    def test_linux_runs_on_four_cpus_with_tags_disk_and_network(self):
        disk = self.path('disk')
        pattern = os.urandom(2 * MIB)
        with open(disk, 'wb') as file:
            file.write(pattern + bytes(2 * MIB))
        vm = self.boot(guest_arguments(cpus=4, network=True)
                       + disk_arguments(disk))
        vm.console.wait_for('RME: Using RSI version 1.0')
        vm.console.wait_for('guest: realm=yes mte=yes cpus=4 rsi=1.0 '
                            'cca-report=yes net=yes disk=yes')
        self.guest(vm, 'realm-check --selftest')
        self.check_disk(vm, disk, pattern)
        self.check_network(vm)

    def check_disk(self, vm, disk, pattern):
        """The guest copies what it reads to the second half of the disk."""
        copy = 'dd if=/dev/vda bs=64k count=32 of=/dev/vda seek=32 ' \
               'conv=fsync 2>/dev/null'
        self.guest(vm, copy)
        with open(disk, 'rb') as file:
            self.assertEqual(file.read()[2 * MIB:], pattern)

    def check_network(self, vm):
        """The guest fetches a page from the host, and puts it on its disk."""
        with HTTPServer(('127.0.0.1', 0), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f'http://10.0.2.2:{server.server_port}/page'
            self.guest(vm, f'wget -q -O /tmp/page {url}')
            server.shutdown()
        self.guest(vm, 'dd if=/tmp/page of=/dev/vda conv=fsync 2>/dev/null')
        with open(self.path('disk'), 'rb') as file:
            self.assertTrue(file.read().startswith(Answer.page))


class Measurement(RealmTest):
    """The initial measurement says what the Realm is; it is known as soon as
    the machine runs."""

    def rim(self, **options):
        options = {'cpus': 1, 'memory': '512M', **options}
        with self.start(guest_arguments(**options)) as vm:
            def measured():
                return vm.qmp.cmd('query-realm').get('rim')
            return wait_until(measured, 'a measurement')

    def test_same_command_line_gives_same_measurement(self):
        self.assertEqual(self.rim(), self.rim())

    def test_whatever_the_realm_sees_changes_the_measurement(self):
        rims = {what: self.rim(**options) for what, options in {
            'as before': {},
            'migration': {'migratable': False},
            'tags': {'mte': False},
            'kernel command line': {'append': 'quiet'},
            'memory': {'memory': '768M'},
            'CPUs': {'cpus': 2},
            'hash': {'properties': 'measurement-algorithm=sha256'},
        }.items()}
        for what, rim in rims.items():
            others = [r for w, r in rims.items() if w != what]
            self.assertNotIn(rim, others, what)

    def rim_of_kernel(self, contents):
        path = self.path('kernel')
        with open(path, 'wb') as file:
            file.write(contents)
        arguments = guest_arguments(cpus=1, memory='512M')
        arguments[arguments.index('-kernel') + 1] = path
        with self.start(arguments) as vm:
            return wait_until(lambda: vm.qmp.cmd('query-realm').get('rim'),
                              'a measurement')

    def test_packed_kernels_have_the_measurement_of_the_plain_one(self):
        with open(guest_file('Image'), 'rb') as file:
            image = file.read()
        rim = self.rim()
        self.assertEqual(self.rim_of_kernel(gzip.compress(image)), rim)
        self.assertEqual(self.rim_of_kernel(zboot(image)), rim)
        self.assertNotEqual(self.rim_of_kernel(image + b'x'), rim)

    def test_personalization_does_not_change_the_measurement(self):
        value = 'personalization-value=' + 'A' * 84 + 'AQ=='
        self.assertEqual(self.rim(), self.rim(properties=value))

    def test_uefi_of_debian_stops_at_the_uart(self):
        """docs/system/arm/realm-devices.rst says so; should this fail, there
        is a UEFI that knows Realms."""
        vm = self.start(['-M', 'virt,confidential-guest-support=rme0',
                         '-object', 'rme-guest,id=rme0', '-cpu', 'max',
                         '-nic', 'none', '-bios',
                         '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd',
                         '-trace', 'realm_stage2_fault'])
        wait_until(lambda: any(' va 0x9000030 ipa 0x9000000 ' in line
                               for line in vm.errors()),
                   'the firmware meets an abort')
        vm.stop()
        self.assertEqual(vm.console.lines, [])


if __name__ == '__main__':
    RealmTest.main()
