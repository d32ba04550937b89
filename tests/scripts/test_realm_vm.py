# Tests of scripts/realm-vm without a guest: what it makes of its arguments, what
# it says to a newcomer, and that a refusal leaves everything as it was. A stand-in
# for QEMU writes down what it is started with, and ends with an error.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / 'scripts/realm-vm'
sys.path.insert(0, str(TOP / 'scripts'))

import realm_vm  # noqa: E402

STAND_IN = '''\
#!/bin/sh
[ "$2" != help ] || { echo "$OBJECTS"; exit; }
for word; do echo "$word"; done > "$ARGUMENTS"
echo 'no such luck' >&2
exit 3
'''
# A guest: what realm_named.py keeps of one.
STATE = {'arguments': [], 'cwd': '/', 'run': 1, 'port': 0, 'guest': 'test',
         'realm': True, 'memory': '1G', 'network': False}


class RealmVm(unittest.TestCase):

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.runtime = self.folder / 'run'
        self.guests = self.runtime / 'realm-vm'
        self.guests.mkdir(parents=True, mode=0o700)
        (self.folder / 'guest').mkdir()
        for name in 'Image', 'initramfs.cpio', 'own', 'disk, two':
            (self.folder / 'guest' / name).write_text(name)
        self.qemu = self.folder / 'qemu-system-aarch64'
        self.qemu.write_text(STAND_IN)
        self.qemu.chmod(0o755)
        self.environment = {
            **os.environ, 'XDG_RUNTIME_DIR': str(self.runtime),
            'XDG_STATE_HOME': str(self.folder / 'state'),
            'GUEST_DIR': str(self.folder / 'guest'),
            'QEMU_PROGRAM': str(self.qemu),
            'ARGUMENTS': str(self.folder / 'arguments')}

    def run_it(self, *words, program=PROGRAM, **environment):
        return subprocess.run([program, *words], text=True, check=False,
                              capture_output=True, timeout=60,
                              cwd=self.folder / 'guest',
                              env=self.environment | environment)

    def there(self):
        """Every guest's files, with what is in them; locks are nobody's."""
        return {str(path): path.read_bytes()
                for path in self.guests.glob('[!.]*/**/*') if path.is_file()}

    def refused(self, message, *words, **environment):
        """One line that says so, and no guest is there that was not."""
        before = self.there()
        done = self.run_it(*words, **environment)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stderr, message)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        self.assertEqual(self.there(), before)

    def arguments(self, *words):
        """What QEMU is started with."""
        self.refused('QEMU ended with status 3: no such luck', 'start', 'a',
                     *words)
        return (self.folder / 'arguments').read_text().splitlines()

    def after(self, option, arguments):
        """The values of an option."""
        return [value for word, value in zip(arguments, arguments[1:])
                if word == option]

    def leave(self, name, pid):
        """What a guest has left behind."""
        run = self.guests / name / '1'
        run.mkdir(parents=True)
        (run.parent / 'vm.json').write_text(json.dumps(STATE))
        (run / 'pid').write_text(f'{pid}\n')
        (run / 'log').write_text('')

    # ---- QEMU's arguments ----

    def test_the_test_guest_is_a_realm_that_can_migrate(self):
        arguments = self.arguments()
        self.assertEqual(self.after('-kernel', arguments),
                         [str(self.folder / 'guest/Image')])
        self.assertEqual(self.after('-initrd', arguments),
                         [str(self.folder / 'guest/initramfs.cpio')])
        self.assertIn('realm.shell=1', self.after('-append', arguments)[0])
        self.assertRegex(self.after('-object', arguments)[0],
                         r'^rme-guest,.*migration=on')
        self.assertEqual(self.after('-smp', arguments), ['2'])

    def test_a_guest_of_ones_own(self):
        arguments = self.arguments(
            '--kernel', 'own', '--append', 'a="b c" $d', '--smp', '4', '--mem',
            '2G', '--mte', '--disk', 'disk, two', '--properties',
            'measurement-algorithm=sha256', '--', '-s', '--', '-S')
        own = str(self.folder / 'guest/own')
        self.assertEqual(self.after('-kernel', arguments), [own])
        self.assertNotIn('-initrd', arguments)
        self.assertEqual(self.after('-append', arguments),
                         ['console=ttyAMA0 a="b c" $d'])
        self.assertEqual(self.after('-smp', arguments), ['4'])
        self.assertEqual(self.after('-m', arguments), ['2G'])
        self.assertIn('mte=on', self.after('-M', arguments)[0])
        self.assertRegex(self.after('-object', arguments)[0],
                         'mte=on,measurement-algorithm=sha256$')
        # A comma in an option of QEMU's is doubled.
        self.assertIn(f'file={self.folder}/guest/disk,, two,',
                      self.after('-drive', arguments)[0])
        start = arguments.index('-s')
        self.assertEqual(arguments[start:start + 3], ['-s', '--', '-S'])

    def test_an_ordinary_guest(self):
        arguments = self.arguments('--no-realm', '--no-network', '--mte=off')
        self.assertNotIn('-object', arguments)
        self.assertNotIn('confidential', self.after('-M', arguments)[0])
        self.assertNotIn('-netdev', arguments)

    def test_make_hands_on_any_text(self):
        append = '''x="y 'z'" ; `false` \\ $HOME'''
        done = subprocess.run(
            ['make', '-C', TOP, '-o', 'build', '-o', 'guest', 'run', 'MTE=1',
             f'KERNEL={self.folder}/guest/disk, two', 'NAME=made',
             'APPEND=' + append.replace('$', '$$')], env=self.environment,
            text=True, check=False, capture_output=True)
        self.assertIn('no such luck', done.stderr)
        arguments = (self.folder / 'arguments').read_text().splitlines()
        self.assertEqual(self.after('-append', arguments),
                         [f'console=ttyAMA0 {append}'])
        self.assertEqual(self.after('-kernel', arguments),
                         [f'{self.folder}/guest/disk, two'])
        self.assertIn('mte=on', self.after('-M', arguments)[0])
        self.assertEqual(self.after('-name', arguments), ['made'])

    def test_make_run_alone_is_the_demonstration(self):
        done = subprocess.run(['make', '-n', '-C', TOP, '-o', 'build', '-o',
                               'guest', 'run'], text=True, check=True,
                              stdout=subprocess.PIPE)
        self.assertIn('scripts/realm-demo\n', done.stdout)

    def test_a_disk_of_debian_for_each_name(self):
        """Whole and nobody else's; what is there already stays."""
        source = self.folder / 'guest/debian'
        source.mkdir()
        names = 'disk.img', 'key', 'known_hosts'
        for name in names:
            (source / name).write_text(name)
        copy = self.folder / 'state/realm-vm/a'
        for _ in range(2):
            disk = self.after('-drive', self.arguments('--guest', 'debian'))[0]
            self.assertIn(f'file={copy}/disk.img,', disk)
            self.assertEqual(os.listdir(copy.parent), ['a'])
            self.assertEqual({path.name: path.read_text()
                              for path in copy.iterdir()},
                             {name: name for name in names})
            self.assertEqual(copy.stat().st_mode & 0o777, 0o700)
            (source / 'disk.img').write_text('newer')

    # ---- Refusals ----

    def test_what_is_no_name(self):
        for name in '', '../a', '.a', 'a/b', 'a b', 'a' * 33:
            self.refused('is no name: at most 32 letters', 'start', name)
        for command in 'console', 'migrate', 'stop', 'token':
            self.refused('is no name: at most 32 letters', command, '../a')

    def test_a_name_that_nobody_has(self):
        self.leave('other', 0)
        for command in 'console', 'migrate', 'stop', 'token':
            self.refused(r'a: no such guest \(there are: other\); '
                         '`.*realm-vm start a`', command, 'a')

    def test_files_that_are_missing(self):
        for option in 'kernel', 'initrd', 'disk':
            self.refused(f'--{option} {self.folder}/guest/not: No such file',
                         'start', 'a', f'--{option}', 'not')
        self.refused(r'Debian guest is not there; make it with `make debian`',
                     'start', 'a', '--guest', 'debian')
        self.assertFalse((self.folder / 'state').exists())

    def test_a_kernel_that_nobody_has_built(self):
        self.refused('nowhere/initramfs.cpio does not exist; run tests/guest/build',
                     'start', 'a', GUEST_DIR='nowhere')
        # Installed, it has nothing to build a guest with.
        with unittest.mock.patch.object(realm_vm, 'TOP', '/none'), \
                unittest.mock.patch.dict(os.environ, GUEST_DIR='nowhere'), \
                self.assertRaisesRegex(realm_vm.VmError, 'give --kernel and '
                                       '--initrd, or set GUEST_DIR'):
            realm_vm.guest_file('Image')

    def test_a_qemu_that_is_not_there(self):
        self.refused('starting /nowhere/qemu .*: No such file.*QEMU_PROGRAM',
                     'start', 'a', QEMU_PROGRAM='/nowhere/qemu')

    def test_a_challenge_that_is_too_long(self):
        self.refused('--challenge has 65 bytes; give at most 64', 'token', 'a',
                     '--challenge', '00' * 65)

    def test_a_folder_that_others_can_enter(self):
        self.guests.chmod(0o755)
        self.refused('is no folder that only you can enter', 'list')
        self.guests.chmod(0o700)
        self.guests.rmdir()
        self.guests.symlink_to(self.folder)
        self.refused('is no folder that only you can enter', 'list')

    def test_a_path_that_is_too_long_for_sockets(self):
        deep = self.folder / ('d' * 90)
        deep.mkdir()
        self.refused('too long for a socket.*set XDG_RUNTIME_DIR to a shorter',
                     'start', 'a', XDG_RUNTIME_DIR=str(deep))

    def test_options_of_qemu_for_another_command(self):
        done = self.run_it('stop', 'a', '--', '-s')
        self.assertEqual(done.returncode, 2)
        self.assertIn('only for start', done.stderr)

    # ---- What is left of a guest whose QEMU died ----

    def test_a_dead_guest_is_listed_and_removed(self):
        dead = subprocess.Popen(['true'])
        dead.wait()
        self.leave('a', dead.pid)
        self.assertRegex(self.run_it('list').stdout, r'\na +Realm +ended ')
        for command in 'console', 'migrate', 'token':
            self.refused(r'a has ended, see .*/1/log; `.*stop a` removes',
                         command, 'a')
        self.assertEqual(self.run_it('stop', 'a').returncode, 0)
        self.assertEqual(self.there(), {})

    def test_a_process_with_the_number_of_a_dead_guest_lives_on(self):
        with subprocess.Popen(['sleep', '1000']) as other:
            self.leave('a', other.pid)
            self.assertRegex(self.run_it('list').stdout, r'\na .* ended ')
            self.assertEqual(self.run_it('stop', 'a').returncode, 0)
            self.assertIsNone(other.poll())
            other.send_signal(signal.SIGKILL)

    def test_a_start_removes_what_a_dead_guest_left(self):
        self.leave('a', 0)
        done = self.run_it('start', 'a')
        self.assertIn('no such luck', done.stderr)
        self.assertEqual(self.there(), {})

    def test_a_damaged_state_is_said(self):
        self.leave('a', 0)
        (self.guests / 'a/vm.json').write_text('{')
        self.refused('a: reading .*/a/vm.json: .*remove that folder',
                     'console', 'a')

    # ---- Which QEMU ----

    def program(self, **environment):
        changed = {'QEMU_PROGRAM': '', **environment}
        with unittest.mock.patch.dict(os.environ, changed), \
                unittest.mock.patch.multiple(realm_vm, HERE='/none',
                                             BUILD='/none'):
            return realm_vm.program()

    def test_a_qemu_on_the_path_has_to_know_realms(self):
        path = f'{self.folder}:{os.environ["PATH"]}'
        self.assertEqual(self.program(PATH=path, OBJECTS='rme-guest'),
                         str(self.qemu))
        with self.assertRaisesRegex(realm_vm.VmError, 'knows no Realms'):
            self.program(PATH=path, OBJECTS='tdx-guest')
        with self.assertRaisesRegex(realm_vm.VmError, 'build it'):
            self.program(PATH='/none')
        self.assertEqual(self.program(QEMU_PROGRAM='mine'), 'mine')


if __name__ == '__main__':
    unittest.main()
