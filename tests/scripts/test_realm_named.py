# Tests of scripts/realm_named.py with stand-ins for QEMU: processes that do nothing,
# and QMP that answers what the test says. A migration that breaks off must never
# cost the guest, and nothing that hangs or floods holds up the person.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import base64
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

import realm_named  # noqa: E402
from realm_qmp import Migration, Qmp, QmpError  # noqa: E402
from realm_vm import VmError  # noqa: E402

SEALED = {'phase': 'sealed', 'holds': False}
HERE = {'phase': 'here', 'holds': True}
IMPORTING = {'phase': 'importing', 'holds': False}
TOKEN = 'UkVMTQEAIgA='


class Side(Qmp):
    """A QEMU that answers a question as the dictionary says, and refuses what is
    not in it.  Functions are called with the arguments."""

    def __init__(self, realm=None, **answers):
        self.answers = {name.replace('_', '-'): answer
                        for name, answer in answers.items()}
        if realm:
            self.answers['query-realm-migration'] = realm
        self.asked = []

    def cmd(self, command, **arguments):
        self.asked.append(command)
        if command not in self.answers:
            raise QmpError(f'{command}: no answer')
        answer = self.answers[command]
        return answer(**arguments) if callable(answer) else answer

    def close(self):
        pass


class Interrupted(Migration):
    """Ctrl-C when the source has accepted the destination's offer, and ran."""
    error = KeyboardInterrupt

    def run(self):
        self.accepted = self.was_running = True
        raise self.error


class Flood(contextlib.nullcontext):
    """A socket that has always one more line."""

    def __init__(self):
        super().__init__(self)
        self.end = time.monotonic() + 10

    def sendall(self, _):
        pass

    def settimeout(self, _):
        pass

    def recv(self, _):
        if time.monotonic() > self.end:
            raise AssertionError('nobody has had enough in 10 s')
        return b'x\n'


class Named(unittest.TestCase):

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(unittest.mock.patch.dict(os.environ,
                                                   XDG_RUNTIME_DIR=folder))
        self.processes = {}
        self.sides = {}         # number of the run: Side; without: it is silent
        self.patch('Qmp', self.qmp)
        self.patch('Migration', Interrupted)
        self.enterContext(unittest.mock.patch.object(
            realm_named.Run, 'start', lambda run, *_: self.start(run)))
        self.vm = realm_named.NamedVm('a')
        self.vm.start([], guest='', realm=True, memory='1G', network=False)

    def patch(self, name, value):
        self.enterContext(unittest.mock.patch.object(realm_named, name, value))

    def qmp(self, path, **_):
        number = int(Path(path).parent.name)
        if number not in self.sides:
            raise QmpError(f'{path}: no QMP greeting')
        return self.sides[number]

    def start(self, run):
        """A process with the path of its socket in its command line."""
        os.mkdir(run.folder)
        process = self.enterContext(subprocess.Popen(
            [run.path('qmp')], executable='cat', bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.addCleanup(process.kill)
        process.stdin.write(b'x')
        process.stdout.read(1)              # so it is that program now
        self.processes[run.number] = process
        Path(run.path('pid')).write_text(f'{process.pid}\n', encoding='ascii')
        run.qmp = self.sides.get(run.number, Side())

    def alive(self):
        """The runs whose process goes on."""
        return [number for number, process in sorted(self.processes.items())
                if process.poll() is None]

    def kill(self, number):
        self.processes[number].kill()
        self.processes[number].wait()

    def migrate(self, source, dest):
        source.answers['quit'] = self.processes[1].kill
        self.sides = {1: source, 2: dest}
        self.vm.migrate(None)

    # ---- A migration that breaks off ----

    @contextlib.contextmanager
    def left(self, why=''):
        """Nothing has ended, and a person is told where both are."""
        with self.assertRaises(BaseException) as caught:
            yield
        text = str(caught.exception)
        self.assertRegex(text, f'^{why}it is not certain where a is')
        for number in 1, 2:
            self.assertIn(str(self.processes[number].pid), text)
            self.assertIn(f'{self.vm.folder}/{number}/qmp', text)
        self.assertEqual(self.alive(), [1, 2])
        self.assertEqual(self.vm.state['run'], 1)

    def test_the_only_one_that_can_give_a_sealed_realm_back_is_left(self):
        with self.left('interrupted; '):
            self.migrate(Side(SEALED), Side(IMPORTING))
        with self.left():       # the next try does not end it either
            self.vm.migrate(None)
        self.sides[2].answers['query-realm-migration'] = HERE
        self.sides[3] = Side({'phase': 'waiting', 'holds': False})
        with self.assertRaises(KeyboardInterrupt):      # of a new migration
            self.vm.migrate(None)
        self.assertEqual((self.alive(), self.vm.state['run']), ([2], 2))

    def test_the_source_is_gone_or_silent(self):
        for source in Side({'phase': 'gone', 'holds': False}), Side():
            with self.subTest(str(source.answers)), self.left('interrupted; '):
                self.migrate(source, Side(IMPORTING))
            self.kill(2)

    def test_a_signal_and_an_error_are_the_same(self):
        for error, why in ((SystemExit(143), 'interrupted; '),
                           (QmpError('no luck'), 'no luck; ')):
            with self.subTest(why), self.left(why), \
                    unittest.mock.patch.object(Interrupted, 'error', error):
                self.migrate(Side(SEALED), Side(IMPORTING))
            self.kill(2)

    def test_an_interrupted_realm_is_taken_back(self):
        def resume(token):
            self.assertEqual(token, TOKEN)
            source.answers['query-realm-migration'] = HERE

        source = Side(SEALED, realm_migration_resume=resume, cont={})
        with self.assertRaises(KeyboardInterrupt):
            self.migrate(source, Side(IMPORTING, realm_migration_abort={
                'token': TOKEN}))
        self.assertEqual(self.alive(), [1])
        self.assertEqual(self.vm.state['run'], 1)
        self.assertIn('cont', source.asked)
        self.assertNotIn('2', os.listdir(self.vm.folder))

    def test_an_interrupted_realm_that_has_arrived(self):
        with self.assertRaises(KeyboardInterrupt):
            self.migrate(Side(SEALED), Side(HERE))
        self.assertEqual((self.alive(), self.vm.state['run']), ([2], 2))

    def test_an_interrupted_realm_that_never_left(self):
        with self.assertRaises(KeyboardInterrupt):
            self.migrate(Side(HERE), Side(IMPORTING))
        self.assertEqual((self.alive(), self.vm.state['run']), ([1], 1))

    def test_an_offer_of_a_destination_that_has_ended_is_forgotten(self):
        def prepare():
            self.assertEqual(self.alive(), [1])
            source.answers['query-realm-migration'] = HERE

        source = Side({'phase': 'accepted', 'holds': True},
                      realm_migration_prepare=prepare)
        with self.assertRaises(KeyboardInterrupt):
            self.migrate(source, Side({'phase': 'offered', 'holds': False}))
        self.assertEqual(source.answers['query-realm-migration'], HERE)

    def test_a_source_that_could_not_be_asked_to_migrate(self):
        with self.assertRaises(QmpError):
            self.vm.migrate(None)
        self.assertEqual((self.alive(), self.vm.state['run']), ([1], 1))

    # ---- The console ----

    def test_nothing_is_lost_between_history_and_console(self):
        def chardevs():
            taken = next(answers)
            return [{'label': 'qmp', 'filename': 'unix:x,server=on'},
                    {'label': 'console', 'filename': 'unix:y,server=on'
                     if taken else 'disconnected:unix:y,server=on'}]

        for ring, sent, shown in ((b'lost', b'', b'lost'),
                                  (b'', b'new', b'new'),
                                  (b'lost, both', b', both', b'lost, both'),
                                  (b'lost, both', b', both, new',
                                   b'lost, both, new'),
                                  (b'both', b'both, new', b'both, new')):
            with self.subTest(shown):
                ours, theirs = socket.socketpair()
                answers = iter((False, False, True))
                self.sides = {1: Side(
                    query_chardev=chardevs, ringbuf_read=lambda ring=ring, **_:
                    base64.b64encode(ring).decode())}
                with ours, theirs:
                    theirs.sendall(sent)
                    self.assertEqual(self.vm.history_until(ours), shown)
                self.assertIsNone(next(answers, None))

    # ---- What hangs or floods ----

    def test_a_console_that_qemu_does_not_take_is_told(self):
        self.sides = {1: Side(query_chardev=[
            {'label': 'console', 'filename': 'disconnected:unix:y'}])}
        with (unittest.mock.patch.object(realm_named.time, 'monotonic',
                                         itertools.count(0, 7).__next__),
              self.assertRaisesRegex(VmError, 'a: QEMU has not taken the')):
            self.vm.history_until(None)
        self.assertEqual((self.alive(), self.vm.state['run']), ([1], 1))

    def test_a_qemu_that_hangs_is_stopped(self):
        self.assertFalse(self.vm.stop(1))
        self.assertEqual(self.alive(), [])
        self.assertFalse(os.path.exists(self.vm.folder))

    def test_a_socket_at_which_nobody_is_accepted(self):
        path = self.vm.run.path('agent')
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(path)
            server.listen(0)
            with self.assertRaises(BlockingIOError):
                while True:
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    client.connect(path)
            with self.assertRaisesRegex(VmError, f'connecting to {path}: '):
                self.vm.open('agent')

    def test_a_guest_that_floods_instead_of_a_token(self):
        with unittest.mock.patch.object(self.vm, 'open', return_value=Flood()), \
                self.assertRaisesRegex(VmError, 'in 0.1 s'):
            self.vm.token(bytes(64), 0.1)


if __name__ == '__main__':
    unittest.main()
