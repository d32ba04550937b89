#!/usr/bin/env python3
"""What realm-measure says of a command line is what the Realm's RMM measures,
and the Realm's measurement log leads to it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import base64
import gzip
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys

from realm_case import RealmTest, guest_arguments
from realm_vm import REALM, TOP, disk_arguments, guest_file, network_arguments

sys.path.insert(0, os.path.join(TOP, 'scripts'))
from realm_log import Log  # noqa: E402

PROGRAM = os.path.join(TOP, 'scripts', 'realm-measure')
LOG_SIZE = 65536
NODE = '/proc/device-tree/reserved-memory/event-log@*'


def waiting_kernel():
    """An arm64 Image whose code waits, and no more."""
    code = [0x14000010, 0, 0, 0, 0x100000, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x644d5241, 0, 0xd503207f, 0x17ffffff]
    return struct.pack(f'<{len(code)}I', *code)


class Measure(RealmTest):

    def file(self, name, data):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def realm(self, *words, machine='', **properties):
        """Options of a Realm."""
        given = ''.join(f',{name.replace("_", "-")}={value}'
                        for name, value in properties.items())
        return ['-M', f'virt,confidential-guest-support={REALM}{machine}',
                '-object', f'rme-guest,id={REALM}{given}', *words]

    def measure(self, arguments, *words):
        return subprocess.run(
            [PROGRAM, '--qemu', os.environ['QEMU_PROGRAM'], *words, '--',
             *arguments], capture_output=True, text=True, check=False)

    def rim(self, arguments):
        """What the RMM has measured when the machine runs."""
        vm = self.start([*arguments, '-S'])
        self.assertNotIn('rim', vm.qmp.cmd('query-realm'))
        vm.qmp.cmd('cont')
        self.assertEqual(vm.qmp.cmd('query-status')['status'], 'running')
        rim = vm.qmp.cmd('query-realm')['rim']
        vm.stop()
        return rim

    def check(self, name, arguments):
        with self.subTest(name):
            rim = self.rim(arguments)
            self.assertNotIn(rim, self.seen, f'{name} changes nothing')
            self.seen[rim] = name
            result = self.measure(arguments, '--rim', rim)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout.strip(), rim)

    def policy_files(self):
        key, rules = self.path('key'), self.path('key.pem')
        subprocess.run(['openssl', 'ecparam', '-name', 'secp384r1', '-genkey',
                        '-noout', '-out', key], check=True)
        subprocess.run(['openssl', 'ec', '-in', key, '-pubout', '-out', rules],
                       check=True, capture_output=True)
        return rules, self.file('rules', b'signer "RMM model" ' + b'5a' * 32 +
                                b' >= 1.2\nmeasurement * ' + b'a5' * 64)

    def images(self):
        """Ways to get code into a Realm, beside a plain kernel."""
        bios = self.file('bios', waiting_kernel() * 999)
        kernel = self.path('kernel')
        tree = self.path('tree')
        subprocess.run(
            [os.environ['QEMU_PROGRAM'], *self.realm(), '-display', 'none',
             '-M', f'dumpdtb={tree}'], check=True, capture_output=True)
        return {
            'no image': self.realm('-m', '1G'),
            'firmware': self.realm('-bios', bios),
            'firmware that loads': self.realm(
                '-bios', bios, '-kernel', kernel, '-append', 'x', '-smp', '2'),
            'a kernel that is compressed': self.realm(
                '-m', '512M', '-kernel', self.file(
                    'packed', gzip.compress(waiting_kernel() + b'packed'))),
            'an ELF file': self.realm('-kernel', guest_file('realm-bare'),
                                      '-m', '256M'),
            'a loader': self.realm(
                '-kernel', kernel, '-device',
                f'loader,file={bios},addr=0x41000123,force-raw=on'),
            'a device tree': self.realm('-kernel', kernel, '-dtb', tree,
                                        '-append', 'with a tree'),
            'Linux': guest_arguments(network=True),
        }

    def machines(self):
        kernel = ['-kernel', self.path('kernel')]
        anchors, rules = self.policy_files()
        rpv = base64.b64encode(bytes(64)).decode()
        return {
            'default': self.realm(*kernel),
            'vCPUs': self.realm(*kernel, '-smp', '5'),
            'a little memory': self.realm(*kernel, '-m', '64M'),
            'pieces of memory': self.realm(*kernel, '-m', '2099204K'),
            'much memory': self.realm(*kernel, '-m', '3G'),
            'SHA-256': self.realm(*kernel, measurement_algorithm='sha256'),
            'MTE': self.realm(*kernel, machine=',mte=on', mte='on'),
            'migration': self.realm(*kernel, migration='on'),
            'migration with MTE, personalized': self.realm(
                *kernel, machine=',mte=on', mte='on', migration='on',
                personalization_value=rpv, measurement_algorithm='sha256'),
            'a policy': self.realm(
                *kernel, migration='on', migration_compact='required',
                migration_life_cycle='any', migration_rules=rules,
                migration_trust_anchors=anchors,
                migration_implementation='3c' * 32),
            'initrd': self.realm(*kernel, '-initrd', self.file(
                'initrd', b'initrd' * 12345)),
            'words for the kernel': self.realm(*kernel, '-append', 'a,b c'),
            'properties of the machine': self.realm(
                machine=f',kernel={kernel[1]},append=words'),
            'no high memory': self.realm(*kernel, machine=',highmem=off'),
            'no ITS': self.realm(*kernel, machine=',its=off'),
            'SVE': self.realm(*kernel, '-cpu', 'max,sve=on'),
            'vectors': self.realm(*kernel, '-cpu', 'max,sve-max-vq=3'),
            'a vector': self.realm(*kernel, '-cpu', 'max,sve512=on,pmu=on'),
            'PMU': self.realm(*kernel, '-cpu', 'max,pmu=on'),
            'another CPU': self.realm(*kernel, '-cpu', 'neoverse-v1,sve=on'),
            'a PMU with more counters': self.realm(
                *kernel, '-cpu', 'cortex-a710,pmu=on', machine=',highmem=off'),
            'a second UART': self.realm(*kernel, '-serial', 'null', '-serial',
                                        'null', '-smp', '3'),
            'log': self.realm(*kernel, measurement_log='on'),
            'firmware with a log': self.realm(
                '-bios', kernel[1], measurement_log='on', migration='on'),
        }

    def test_every_configuration_is_measured_as_was_said(self):
        self.seen = {}
        self.file('kernel', waiting_kernel())
        for name, arguments in {**self.machines(), **self.images()}.items():
            self.check(name, arguments)
        self.assertGreaterEqual(len(self.seen), 30)

    def test_what_is_not_measured_changes_nothing(self):
        plain = self.realm('-kernel', self.file('kernel', waiting_kernel()))
        disk = self.file('disk', bytes(1 << 20))
        rpv = base64.b64encode(b'x' * 64).decode()
        wanted = self.measure(plain).stdout
        devices = self.realm(
            *plain[4:], *network_arguments(), *disk_arguments(disk), '-device',
            'virtio-rng-pci', '-device', 'pcie-root-port', '-S', '-nographic',
            personalization_value=rpv)
        self.assertEqual(self.measure(devices).stdout, wanted)
        self.assertEqual(self.rim(devices), wanted.strip())

    def test_without_qemu_a_device_tree_is_enough(self):
        arguments = self.realm('-kernel', self.file('kernel', waiting_kernel()))
        tree = self.path('tree')
        subprocess.run(
            [os.environ['QEMU_PROGRAM'], *arguments, '-display', 'none',
             '-M', f'dumpdtb={tree}'], check=True, capture_output=True)
        offline = self.measure(arguments, '--qemu', '/nonexistent', '--dtb',
                               tree)
        self.assertEqual(offline.stdout, self.measure(arguments).stdout)
        broken = self.measure([*arguments, '-device', 'nonsense'])
        self.assertEqual(broken.returncode, 2)
        self.assertRegex(broken.stderr, "no device tree .*'nonsense'")


class MeasurementLog(RealmTest):

    def read_log(self, vm):
        """The log, as Linux in the Realm finds it."""
        self.assertEqual(self.guest(vm, f'cat {NODE}/compatible; echo'),
                         'cc-event-log\0')
        reg = self.guest(vm, f'hexdump -v -e \'1/1 "%02x"\' {NODE}/reg; echo')
        place, size = (int(number, 16) for number in (reg[:16], reg[16:]))
        self.assertEqual(size, LOG_SIZE)
        text = self.guest(vm, f'read-memory {place} {size} | gzip | base64')
        return place, gzip.decompress(base64.b64decode(text))

    def check_replay(self, log, rim, *images):
        words = [word for path in images for word in ('--image', path)]
        path = self.path('log')
        with open(path, 'wb') as file:
            file.write(log)
        result = subprocess.run([PROGRAM, '--log', path, '--rim', rim, *words],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def parse_with_another_tool(self, log):
        if not shutil.which('tpm2_eventlog'):
            self.skipTest('needs tpm2-tools')
        path = self.path('events')
        with open(path, 'wb') as file:
            file.write(log)
        return subprocess.run(['tpm2_eventlog', path], check=True, text=True,
                              capture_output=True).stdout

    def test_linux_finds_a_log_that_leads_to_the_rim(self):
        arguments = guest_arguments(cpus=2, memory='512M', mte=False,
                                    properties='measurement-log=on')
        vm = self.boot(arguments)
        rim = vm.qmp.cmd('query-realm')['rim']
        place, log = self.read_log(vm)
        tree = self.path('tree')
        text = self.guest(vm, 'gzip < /sys/firmware/fdt | base64', 240)
        with open(tree, 'wb') as file:
            file.write(gzip.decompress(base64.b64decode(text)))
        kernel = guest_file('Image')
        self.check_replay(log, rim, kernel, guest_file('initramfs.cpio'), tree)

        # A second Realm of the same options has the same log.
        parsed = Log(log)
        self.assertEqual(parsed.blobs()[-1][:3], ('LOG', place, LOG_SIZE))
        with self.subTest('the log of a second Realm'):
            vm.stop()
            self.assertEqual(self.read_log(self.boot(arguments)), (place, log))
        with self.subTest('tpm2_eventlog reads it'):
            events = self.parse_with_another_tool(log[:parsed.size])
            with open(kernel, 'rb') as file:
                digest = hashlib.sha512(file.read()).hexdigest()
            self.assertIn(f'Digest: "{digest}"', events)
            self.assertEqual(len(re.findall('^- EventNum:', events, re.M)),
                             1 + len(parsed.events))


if __name__ == '__main__':
    RealmTest.main()
