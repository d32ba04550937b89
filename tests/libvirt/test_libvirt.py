"""libvirt runs and migrates Realms, by docs/system/arm/realm-libvirt.xml.

One Realm, and two daemons of this machine, whose QEMU is ours.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path
from xml.etree import ElementTree

from daemon import PATH, TOP, Daemon, Terminal, VirshError, why_not

sys.path.insert(0, str(TOP / 'scripts'))

from realm_vm import (guest_file, program, temporary_folder,  # noqa: E402
                      verdict)

HOOK = TOP / 'scripts/realm-libvirt-hook'
DOMAIN = TOP / 'docs/system/arm/realm-libvirt.xml'
BOOT = 120
# What gpio-keys does with the power button, which the test guest's kernel lacks:
# its line is the third of the board's GPIO controller, for a tenth of a second.
BUTTON = ('cd /sys/class/gpio; n=$(($(cat gpiochip*/base) + 3)); '
          'echo $n > export; echo rising > gpio$n/edge; '
          "(until awk '/gpiolib/ { n = $2 + $3 } END { exit !n }' "
          '/proc/interrupts; do usleep 100000; done; poweroff -f) & true')


def domain(folder):
    """The documented domain, with this machine's paths and a check of memory."""
    text = DOMAIN.read_text(encoding='utf-8')
    for old, new in (('/usr/local/bin/qemu-system-aarch64-realm', program()),
                     ('/srv/realm/Image', guest_file('Image')),
                     ('/srv/realm/initrd', guest_file('initramfs.cpio')),
                     ('/srv/realm/', f'{folder}/'),
                     ('console=ttyAMA0',
                      'console=ttyAMA0 realm.check=16,1,2')):
        if old not in text:
            raise AssertionError(f'{DOMAIN} has no {old}')
        text = text.replace(old, new)
    path = Path(folder, 'realm.xml')
    path.write_text(text, encoding='utf-8')
    return path


@unittest.skipUnless(shutil.which('libvirtd', path=PATH) and shutil.which('virsh'),
                     'no libvirt; make check-deps installs it')
class LibvirtTest(unittest.TestCase):
    """The tests are one story, told in the order of their names."""

    @classmethod
    def setUpClass(cls):
        if why_not():
            raise unittest.SkipTest(f'no namespaces here: {why_not()}')
        cls.folder = cls.enterClassContext(temporary_folder())
        cls.a = cls.enterClassContext(Daemon('a', cls.folder))
        cls.b = cls.enterClassContext(Daemon('b', cls.folder))
        cls.list_hosts(cls.a, cls.b.uri)
        cls.list_hosts(cls.b, cls.a.uri)

    @staticmethod
    def list_hosts(daemon, *uris):
        (daemon.etc / 'realm-hosts').write_text(
            '# Where Realms come from\n' + ''.join(f'{uri}\n' for uri in uris))

    def monitor(self, daemon, command):
        return json.loads(daemon.virsh('qemu-monitor-command', '--return-value',
                                       'realm', json.dumps({'execute': command})))

    def console(self, daemon, words=('console', 'realm'), until='realm-check: t='):
        """The Realm's console, once the Realm has said something: virsh drops
        what is typed before."""
        terminal = self.enterContext(Terminal(daemon, *words))
        terminal.console.wait_for(until, BOOT)
        return terminal.console

    def migrate(self, source, dest, *words):
        return source.start(
            'migrate', '--live', *words, 'realm', dest.uri, '--migrateuri',
            f'unix://{self.folder}/stream')

    def wait_for(self, answer, daemon, *words):
        """A daemon notices some time later that a QEMU has ended."""
        deadline = time.monotonic() + 60
        while daemon.virsh(*words) != answer:
            self.assertLess(time.monotonic(), deadline, words)
            time.sleep(0.1)

    def assert_runs(self, daemon, elsewhere):
        """One libvirt runs the Realm, the other one has none.  Returns the Realm's
        console."""
        self.assertEqual(daemon.virsh('domstate', 'realm'), 'running')
        self.wait_for('', elsewhere, 'list', '--name')
        console = self.console(daemon)
        self.assertEqual(console.run('echo $kept'), (0, ['4711']))
        return console

    def test_1_capabilities(self):
        text = self.a.virsh('domcapabilities', '--virttype', 'qemu', '--arch',
                            'aarch64', '--machine', 'virt', '--emulatorbin',
                            program())
        tree = ElementTree.fromstring(text)
        self.assertEqual(tree.findtext('arch'), 'aarch64')
        self.assertRegex(tree.findtext('machine'), r'virt-\d+')
        self.assertIn('3', [value.text for value in
                            tree.iterfind('features/gic/enum/value')])
        self.assertIn('max', [model.text for model in
                              tree.iterfind('cpu/mode/model')])

    def test_2_define_start_console(self):
        self.a.virsh('define', domain(self.folder))
        console = self.console(self.a, ('start', 'realm', '--console'),
                               'guest: ready')
        facts = [line for line in console.lines if 'guest: realm=' in line]
        self.assertRegex(facts[0], 'realm=yes .*cpus=2 .*net=yes')
        self.assertEqual(console.run('kept=4711')[0], 0)
        self.assertTrue(self.monitor(self.a, 'query-realm')['migration'])

    def test_3_hook_without_a_source(self):
        self.list_hosts(self.b, f'qemu+unix:///session?socket={self.folder}/no')
        with self.assertRaisesRegex(
                VirshError, 'no host of /etc/libvirt/realm-hosts has agreed'):
            self.a.finish(self.migrate(self.a, self.b))
        self.assert_runs(self.a, self.b)
        self.list_hosts(self.b, self.a.uri)

    def migrate_slowly(self):
        """A migration that has begun to send the Realm, a MiB a second."""
        self.a.virsh('migrate-setspeed', 'realm', 1)
        process = self.migrate(self.a, self.b)
        deadline = time.monotonic() + 60
        while self.monitor(self.a, 'query-realm-migration')['phase'] != 'exporting':
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
        return process

    def test_4_cancel(self):
        process = self.migrate_slowly()
        self.a.virsh('domjobabort', 'realm')
        # QEMU 10.0 ends the return path, which is the same socket, before it
        # says that it cancels: its thread may find that first.
        with self.assertRaisesRegex(
                VirshError,
                'cancell?ed|abort|Broken pipe|Input/output error'):
            self.a.finish(process)
        self.assert_runs(self.a, self.b)

    def test_4_destination_dies(self):
        process = self.migrate_slowly()
        self.b.kill_guests()
        with self.assertRaises(VirshError):
            self.a.finish(process)
        self.assert_runs(self.a, self.b)

    def test_5_migrate(self):
        self.a.virsh('migrate-setspeed', 'realm', 1000)
        self.a.finish(self.migrate(self.a, self.b))
        self.assert_runs(self.b, self.a)

    def test_6_back_by_the_daemons_alone(self):
        self.b.finish(self.migrate(self.b, self.a, '--p2p'))
        self.assert_runs(self.a, self.b)

    def test_7_shutdown(self):
        console = self.assert_runs(self.a, self.b)
        ok, line = verdict(console)
        self.assertTrue(ok, line)
        self.assertEqual(console.run(BUTTON)[0], 0)
        self.a.virsh('shutdown', 'realm')
        self.wait_for('shut off', self.a, 'domstate', 'realm')
        self.a.virsh('undefine', 'realm')


class HookTest(unittest.TestCase):
    """What the hook does without libvirt."""

    def hook(self, step, words):
        xml = ('<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">'
               '<uuid>u</uuid><qemu:commandline>'
               + ''.join(f'<qemu:arg value="{word}"/>' for word in words)
               + '</qemu:commandline></domain>')
        done = subprocess.run([HOOK, 'guest', step, 'begin', '-'], input=xml,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_other_guests_and_steps_are_left_alone(self):
        no_socket = '-qmp', 'unix:/no/such,server=on,wait=off'
        realm = '-object', 'rme-guest,id=rme0'
        for step, words in (('started', no_socket), ('started', realm),
                            ('migrate', realm + no_socket),
                            ('stopped', realm + no_socket)):
            with self.subTest(step, words=words):
                self.assertEqual(self.hook(step, words), (0, ''))

    def test_socket_that_is_not_there(self):
        status, text = self.hook('started', ['-object', 'rme-guest,id=rme0',
                                             '-qmp', 'unix:/no/such,server=on'])
        self.assertEqual(status, 1)
        self.assertIn('connecting to /no/such', text)


if __name__ == '__main__':
    unittest.main()
