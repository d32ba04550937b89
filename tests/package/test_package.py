# What `make install` and `make deb` make of the build: the program runs where it
# was put and finds its data, a Realm moves from one to another by the programs
# beside it, and nothing is left when it is removed. This machine's own system is
# not touched.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import gzip
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))
sys.dont_write_bytecode = True

from realm_vm import (Vm, guest_arguments, guest_file, incoming,  # noqa: E402
                      network_arguments)

BUILD = Path(os.environ.get('BUILD', TOP / 'build'))
QEMU = 'qemu-system-aarch64'
PACKAGE = 'qemu-system-arm-realm'
SECONDS = 240
# What a root without the real one's privileges takes: its own user is root.
AS_ROOT = [] if os.geteuid() == 0 else ['unshare', '-r']
# Where dpkg looks for programs that only root has on its PATH.
os.environ['PATH'] += ':/usr/sbin:/sbin'


def run(*words, **options):
    """What a program prints; it ends well."""
    result = subprocess.run([str(word) for word in words], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            check=False, **options)
    if result.returncode:
        raise AssertionError(f'{words}: {result.stdout}')
    return result.stdout


def files(root):
    """All that is no folder, below a root."""
    return sorted(str(path.relative_to(root)) for path in root.rglob('*')
                  if path.is_symlink() or not path.is_dir())


def newest_release():
    """From CHANGELOG.md, read in another way than package/release.py does."""
    for line in (TOP / 'CHANGELOG.md').read_text().splitlines():
        if line.startswith('## Realms '):
            version, when = line.removeprefix('## Realms ').split(', ')
            return version + ('~unreleased' if when.startswith('unreleased')
                              else '')
    return None


def options_of(program, *words):
    return set(re.findall(r'(?<![\w-])--[a-z][a-z-]*',
                          run(program, *words, '--help')))


class Installed:
    """What holds wherever it was put: below self.root, with self.prefix."""

    @property
    def bin(self):
        return self.root / self.prefix / 'bin'

    def program(self, name):
        return self.bin / name

    def programs(self):
        return {path.name for path in self.bin.iterdir()}

    def test_version_is_of_qemu_and_ours(self):
        first = run(self.program(f'{QEMU}-realm'),
                    '--version').splitlines()[0]
        qemu = (TOP / 'qemu/VERSION').read_text().strip()
        self.assertEqual(first, f'QEMU emulator version {qemu} (Realms '
                                f'{newest_release()})')

    def test_programs_are_beside_those_of_a_distribution(self):
        self.assertLessEqual({f'{QEMU}-realm', 'realm-migrate',
                              'realm-stream'}, self.programs())
        for name in self.programs():
            self.assertRegex(name, r'^realm-|-realm$')
            self.assertTrue(os.access(self.program(name), os.X_OK), name)

    def test_every_program_has_a_page_with_its_options(self):
        pages = self.root / self.prefix / 'share/man/man1'
        self.assertEqual({path.name for path in pages.iterdir()},
                         {f'{name}.1.gz' for name in self.programs()})
        for name in sorted(self.programs() - {f'{QEMU}-realm', 'realm-vm'}):
            with gzip.open(pages / f'{name}.1.gz', 'rt') as file:
                page = file.read().replace('\\-', '-')
            self.assertEqual(options_of(self.program(name)),
                             set(re.findall(r'^\.B .*?(--[a-z][a-z-]*)', page,
                                            re.M)), name)

    def test_page_of_qemu_has_the_properties_of_the_object(self):
        program = self.program(f'{QEMU}-realm')
        names = re.findall(r'^  ([\w-]+)=',
                           run(program, '-object', 'rme-guest,help'), re.M)
        page = gzip.decompress(
            (self.root / self.prefix / f'share/man/man1/{QEMU}-realm.1.gz')
            .read_bytes()).decode().replace('\\-', '-')
        self.assertIn('migration-trust-anchors', names)
        for name in names:
            self.assertRegex(page, rf'(?m)^\.B \\fB{name}=')

    def complete(self, *words):
        """What bash proposes for the last word."""
        script = (self.root / self.prefix /
                  f'share/bash-completion/completions/{words[0]}')
        text = ('source "$1"; shift; COMP_WORDS=("$@"); '
                'COMP_CWORD=$(($# - 1)); PATH=$BIN:$PATH; '
                '_realm_completion "$1" "${@: -1}" "${@: -2:1}"; '
                'printf "%s\\n" "${COMPREPLY[@]}"')
        return run('bash', '-c', text, 'bash', script, *words,
                   env={**os.environ, 'BIN': str(self.bin)}).split()

    def test_bash_completes_options(self):
        self.assertEqual(self.complete('realm-migrate', '--ban'),
                         ['--bandwidth'])
        self.assertEqual(self.complete('realm-migrate', 'a', '--t'),
                         ['--timeout'])
        self.assertEqual(self.complete(f'{QEMU}-realm', '-obj'), ['-object'])
        self.assertEqual(self.complete('realm-stream', 'fi'), [])

    def test_program_finds_its_data_where_it_is(self):
        """The default network card wants its option ROM."""
        said = run(self.program(f'{QEMU}-realm'), '-display', 'none',
                   '-machine', 'virt', '-nic', 'user', '-qmp', 'stdio',
                   input='{"execute": "qmp_capabilities"}{"execute": "quit"}')
        self.assertIn('SHUTDOWN', said)

    def test_hook_is_where_the_documentation_says(self):
        page = (TOP / 'docs/system/arm/realm-libvirt.rst').read_text()
        said, = re.findall(r'ln -s /usr/local/(\S+)', page)
        self.assertTrue(os.access(self.root / self.prefix / said, os.X_OK))

    def test_realm_boots_and_moves(self):
        folder = self.enterContext(
            tempfile.TemporaryDirectory(prefix='realm-'))
        self.start_named(folder)            # boots meanwhile
        self.move(folder, guest_arguments(cpus=1, memory='384M')
                  + network_arguments())
        self.stop_named()

    def start_named(self, folder):
        """realm-vm has the QEMU beside it, and no guest of ours."""
        files = [guest_file(name) for name in ('Image', 'initramfs.cpio')]
        self.env = {name: value for name, value in os.environ.items()
                    if name not in ('QEMU_PROGRAM', 'GUEST_DIR')}
        self.env['XDG_RUNTIME_DIR'] = folder
        self.addCleanup(subprocess.run, [self.program('realm-vm'), 'stop',
                                         '--now', 'r'], env=self.env,
                        capture_output=True, check=False)
        said = self.realm_vm('start', 'r', '--kernel', files[0], '--initrd',
                             files[1], '--smp', '1', '--mem', '384M',
                             '--append', 'realm.shell=1')
        pid = re.search('runs, as process ([0-9]+)', said)[1]
        self.assertEqual(os.readlink(f'/proc/{pid}/exe'),
                         str(self.program(f'{QEMU}-realm').resolve()))

    def stop_named(self):
        self.assertRegex(self.realm_vm('list'),
                         r'(?m)^r +Realm +running +here +384M ')
        self.assertEqual(self.realm_vm('stop', 'r', '--timeout', SECONDS),
                         'r has ended\n')
        self.assertIn('no guests', self.realm_vm('list'))

    def realm_vm(self, *words):
        return run(self.program('realm-vm'), *words, env=self.env)

    def move(self, folder, arguments):
        program = str(self.program(f'{QEMU}-realm'))
        with mock.patch.dict(os.environ, {'QEMU_PROGRAM': program}), \
             Vm('source', arguments, folder) as source, \
             Vm('dest', incoming(arguments), folder) as dest:
            source.console.wait_for('^guest: ready', SECONDS)
            for vm in source, dest:
                vm.qmp.cmd('query-status')
                vm.hang_up()
            said = run(self.program('realm-migrate'), source.qmp_path,
                       dest.qmp_path, f'unix:{folder}/stream')
            self.assertIn('migrated: ', said)
            self.assertEqual(dest.console.run('echo it runs'),
                             (0, ['it runs']))


class Make(Installed, unittest.TestCase):
    """make install DESTDIR=, and uninstall"""
    prefix = 'opt/qemu'

    @classmethod
    def setUpClass(cls):
        cls.root = Path(cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix='realm-install-')))
        cls.make('install')

    @classmethod
    def make(cls, target):
        return run('make', '-C', TOP, target, f'BUILD={BUILD}',
                   f'DESTDIR={cls.root}', f'prefix=/{cls.prefix}',
                   umask=0o077)

    def test_everybody_can_use_it_whatever_the_umask(self):
        modes = {path: path.stat().st_mode & 0o777
                 for path in self.root.rglob('*') if path.is_dir()}
        self.assertEqual(set(modes.values()), {0o755}, modes)

    def test_only_its_own_files_are_removed_and_all_of_them(self):
        def state():
            return {name: (self.root / name).read_bytes()
                    for name in files(self.root)
                    if (self.root / name).exists()}
        before, other = state(), self.bin / QEMU
        other.touch()
        self.make('uninstall')
        self.assertEqual(files(self.root), [f'{self.prefix}/bin/{QEMU}'])
        self.assertFalse((self.root / self.prefix / 'lib/qemu-realm').exists())
        other.unlink()
        self.make('install')
        self.assertEqual(state(), before)

    test_realm_boots_and_moves = None           # the package's does


class Refused(unittest.TestCase):
    def refused(self, *words):
        result = subprocess.run([TOP / 'package/install', *words], text=True,
                                capture_output=True, check=False)
        self.assertEqual(result.returncode, 1)
        return result.stderr.strip()

    def test_what_is_not_built(self):
        self.assertEqual(
            self.refused('--build-dir', '/nowhere', '--destdir', '/nowhere'),
            f'package/install: no {QEMU} in /nowhere; run `make`')

    def test_half_a_path(self):
        self.assertEqual(
            self.refused('--build-dir', BUILD, '--prefix', 'usr'),
            'package/install: the prefix usr is no whole path; give one, as in '
            'prefix=/usr/local')


class Package(Installed, unittest.TestCase):
    """make deb, and dpkg in a root of its own"""
    prefix = 'usr'

    @classmethod
    def setUpClass(cls):
        folder = Path(cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix='realm-deb-')))
        cls.deb = Path(run(TOP / 'package/deb', '--build-dir', BUILD,
                           '--work', folder / 'work').strip())
        cls.root = folder / 'root'
        for name in 'info', 'updates':
            (cls.root / 'var/lib/dpkg' / name).mkdir(parents=True)
        (cls.root / 'var/lib/dpkg/status').touch()
        (cls.root / 'var/log').mkdir()
        # What the package ipxe-qemu has.
        (cls.root / 'usr/lib').mkdir(parents=True)
        (cls.root / 'usr/lib/ipxe').symlink_to('/usr/lib/ipxe')
        cls.dpkg('--install', cls.deb)

    @classmethod
    def dpkg(cls, *words):
        return run(*AS_ROOT, 'dpkg', f'--root={cls.root}', '--force-depends',
                   *words)

    def test_nothing_is_left_when_it_is_removed(self):
        run(self.program('realm-migrate'), '--help')
        self.dpkg('--remove', PACKAGE)
        left = [name for name in files(self.root)
                if not name.startswith('var/')]
        gone = not (self.root / 'usr/lib/qemu-realm').exists()
        self.dpkg('--install', self.deb)
        self.assertEqual((left, gone), (['usr/lib/ipxe'], True))

    def test_lintian_finds_nothing(self):
        said = run('lintian', '--allow-root', '--fail-on', 'error,warning',
                   '--pedantic', '--info', self.deb)
        self.assertEqual(said, '')

    def field(self, name):
        return run('dpkg-deb', '--field', self.deb, name).strip()

    def test_its_version_is_the_programs(self):
        qemu = (TOP / 'qemu/VERSION').read_text().strip()
        self.assertEqual(self.field('Version'),
                         f'{newest_release()}+qemu{qemu}')

    def test_it_needs_what_the_program_is_linked_with(self):
        self.assertRegex(self.field('Depends'), r'\blibc6 \(>= ')
        self.assertRegex(self.field('Depends'), r'\blibgnutls30(t64)? ')

    def test_it_shares_no_file_with_what_is_installed_here(self):
        names = [f'/{name}' for name in files(self.root)
                 if name.startswith('usr/') and name != 'usr/lib/ipxe']
        owners = subprocess.run(['dpkg', '--search', *names], text=True,
                                capture_output=True, check=False).stdout
        self.assertEqual([line for line in owners.splitlines()
                          if not line.startswith(f'{PACKAGE}: ')], [])

    def test_its_files_are_whole(self):
        self.assertEqual(self.dpkg('--verify', PACKAGE), '')


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        spec = importlib.util.spec_from_file_location(
            'release', TOP / 'package/release.py')
        cls.release = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.release)

    def test_newest_heading_is_the_version(self):
        for line, expected in (
                ('## Realms 0.1, 2026-01-31 (QEMU 10.0)',
                 ('0.1', '2026-01-31')),
                ('## Realms 1.2.3, unreleased (QEMU 10.0)',
                 ('1.2.3~unreleased', None))):
            self.assertEqual(self.release.newest(
                f'# Changes\n\n{line}\n\n## Realms 0.0, x\n'), expected)

    def test_other_headings_are_refused(self):
        for line in ('## Realms 0.1', '## Realms 0.1, soon (QEMU 10.0)',
                     '## Realms x, unreleased (QEMU 10.0)', '## QEMU 10.0',
                     ''):
            with self.assertRaisesRegex(ValueError, 'write "## Realms 0.1'):
                self.release.newest(f'# Changes\n\n{line}\n')

    def test_unreleased_is_before_the_release(self):
        run('dpkg', '--compare-versions', '0.1~unreleased+qemu10.0.1', 'lt',
            '0.1+qemu10.0.1')


if __name__ == '__main__':
    unittest.main()
