"""What the hostile tests share: Realms that check themselves, a relay between
two QEMUs, and processes that work in parallel.

The Realm is tests/guest/payload-pages.c: it writes and checks its pages for
ever, and a migration of it takes a tenth of a second.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import collections
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

import items  # noqa: F401 - it knows where scripts/ is
from realm_qmp import Qmp, QmpError
from realm_stream import CHANNEL_MAGIC, ChannelSplitter, Splitter
from realm_vm import (REALM, Vm, VmError, end_on_signals, guest_file,
                      incoming, program, temporary_folder)

LIMIT = 60                  # s: what takes longer never ends
CHANNELS = 2                # of multifd, where there are any
ENDED = ('completed', 'failed', 'cancelled')
TOKEN = re.compile(r'realm-migration-resume: (\S+)')


class Failure(Exception):
    """Something that must not happen has happened; the text says what."""


def wait_until(condition, what, limit=LIMIT):
    """Waits until condition() is true, and returns its value."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failure(f'not in {limit} s: {what}')
        time.sleep(0.004)
    return value


# ---- Machines ----

def arguments(properties=''):
    """QEMU's arguments for the Realm."""
    return ['-object', f'rme-guest,id={REALM},migration=on,mte=on{properties}',
            '-M', 'virt,gic-version=3,acpi=off,mte=on,'
                  f'confidential-guest-support={REALM}',
            '-cpu', 'max', '-m', '16M', '-nodefaults', '-nic', 'none',
            '-kernel', guest_file('payload-pages')]


class Machine(Vm):
    """A QEMU with a Realm, or that waits for one."""

    def __init__(self, name, folder, command):
        self.others = [os.path.join(folder, f'{name}.{n}') for n in range(2)]
        for path in self.others:
            command = [*command, '-qmp', f'unix:{path},server=on,wait=off']
        super().__init__(name, command, folder)
        self.uri = os.path.join(folder, f'{name}.in')
        self.generation = 0             # last known
        self.channels = 0               # of multifd, in its next migration
        self.bandwidth = 0              # of that, in bytes/s; 0: no limit

    def other_qmp(self, number):
        """One more connection, for another thread."""
        self.qmp                        # it is there by now
        return Qmp(self.others[number])

    # -- What it says --

    def realm(self):
        return self.qmp.cmd('query-realm-migration')

    def phase(self):
        return self.realm()['phase']

    def holds(self):
        return self.realm()['holds']

    def running(self):
        return self.qmp.cmd('query-status')['running']

    def migration(self):
        return self.qmp.cmd('query-migrate').get('status', 'none')

    def phases(self):
        """The events so far: (time in s, phase, holds)."""
        return [(event['timestamp']['seconds']
                 + event['timestamp']['microseconds'] / 1e6,
                 event['data']['phase'], event['data']['holds'])
                for event in self.qmp.events
                if event['event'] == 'REALM_MIGRATION_PHASE']

    def check_goes_on(self):
        """The Realm runs, and has found nothing wrong since it began."""
        after = self.console.mark()
        # QEMU says that a migration failed before it starts its vCPUs again.
        wait_until(self.running, f'{self.name} runs', 10)
        # The first line of a Realm that came may be the end of one.
        line = self.console.wait_for('^generation.*', 30, after)[0]
        found = re.fullmatch(r'generation (\d+) wrong_bytes 0 wrong_tags 0',
                             line)
        if not found:
            raise Failure(f'{self.name}: its memory is wrong: {line}')
        if int(found[1]) <= self.generation:
            raise Failure(f'{self.name}: from generation {self.generation} '
                          f'back to {line}')
        self.generation = int(found[1])

    def check_never_runs(self):
        """Nothing makes it run, and nothing of the Realm ever ran here."""
        self.qmp.try_cmd('cont')
        if self.runs_on() or self.console.lines:
            raise Failure(f'{self.name}: the Realm runs, or did: '
                          f'{self.qmp.cmd("query-status")}, '
                          f'{self.console.lines[:2]}')
        if self.holds():
            raise Failure(f'{self.name}: it says that it holds the Realm')

    def runs_on(self):
        """A machine that must not run may be about to stop."""
        try:
            wait_until(lambda: not self.running(), 'it stops', 20)
        except Failure:
            return True
        return False

    # -- What it is told --

    def prepare(self):
        return self.qmp.cmd('realm-migration-prepare')['nonce']

    def offer(self, nonce):
        return self.qmp.cmd('realm-migration-offer', nonce=nonce)['offer']

    def use_channels(self):
        """As many of multifd as .channels says, for what comes next."""
        self.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'return-path', 'state': True},
            {'capability': 'multifd', 'state': self.channels > 0}])
        self.qmp.cmd('migrate-set-parameters', max_bandwidth=self.bandwidth,
                     multifd_channels=max(self.channels, 1))

    def accept(self, offer):
        self.use_channels()
        self.qmp.cmd('realm-migration-accept', offer=offer)

    def listen(self, exit_on_error=False):
        self.use_channels()
        self.qmp.cmd('migrate-incoming', uri=f'unix:{self.uri}',
                     exit_on_error=exit_on_error)

    def abort(self):
        return self.qmp.cmd('realm-migration-abort')['token']


class Lab:
    """A Realm, wherever it is now, and machines for it to go to."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.count = 0
        self.source = None
        self.offered = None             # the offer of the last honest migration
        self.channels = 0               # of multifd, from the next one on

    def start(self, waits=True, properties=''):
        self.count += 1
        command = arguments(properties)
        return Machine(f'{self.name}{self.count}', self.folder,
                       incoming(command) if waits else command)

    def boot(self):
        """A new Realm, which nobody has seen before."""
        if self.source:
            self.source.stop()
        self.source = self.start(waits=False)
        self.source.console.wait_for('^tags$', LIMIT)
        self.source.check_goes_on()

    def path(self, name):
        return os.path.join(self.folder, f'{self.name}-{name}')

    def offer(self, dest):
        """Of a destination, for the Realm as it is now."""
        self.source.channels = dest.channels = self.channels
        return dest.offer(self.source.prepare())

    def send(self, dest, change=None, **options):
        """Migrates to a machine that listens, through a relay, until the
        source's migration has ended.  The offer was accepted.  Returns the
        relay, closed, and how it ended."""
        with self.relay(dest, change, **options) as relay:
            self.begin(f'unix:{relay.path}')
            status = wait_until(lambda: self.ended(), 'the migration ends')
            relay.wait()
        return relay, status

    def relay(self, dest, change=None, **options):
        """For the connections that the two sides make with each other."""
        if not self.channels == self.source.channels == dest.channels:
            raise Failure(f'{self.channels} channels are wanted, and there are'
                          f' {self.source.channels} and {dest.channels}')
        relay_of = Channels if self.channels else Relay
        return relay_of(self.path('relay'), dest.uri, change, **options)

    def begin(self, uri):
        """QEMU says that a migration failed before it has cleaned up."""
        for left in range(100, -1, -1):
            try:
                self.source.qmp.cmd('migrate', uri=uri)
                return
            except QmpError as err:
                if not left or not re.search('duplicate yank|in progress|'
                                             'being cleaned up', str(err)):
                    raise
            time.sleep(0.02)

    def ended(self):
        status = self.source.migration()
        return status if status in ENDED else None

    def take_back(self, dest):
        """What the documentation says if the source is sealed and the
        destination does not run."""
        source = self.source
        if source.phase() == 'sealed':
            check_sealed(source)
            source.qmp.cmd('realm-migration-resume', token=token_of(dest))
            if not source.holds() or source.running():
                raise Failure('not here, and paused, after resume: '
                              f'{source.realm()}')
            source.qmp.cmd('cont')
            return True
        if not source.holds():
            raise Failure(f'the source lost its Realm: {source.realm()}')
        return False

    def move(self):
        """An honest migration; its relay.  The Realm goes on, there."""
        dest = self.start()
        self.offered = self.offer(dest)
        self.source.accept(self.offered)
        dest.listen()
        relay, status = self.send(dest)
        if status != 'completed':
            raise Failure(f'an honest migration: {status}; '
                          f'{reasons(self.source)}; {reasons(dest)}')
        self.moved_to(dest)
        return relay

    def moved_to(self, dest, phase='gone'):
        """The Realm has left for good, and runs there; phase: of the source,
        which got the receipt or did not, or both."""
        wait_until(dest.running, 'the destination runs')
        check_sealed(self.source, phase)
        if not dest.holds():
            raise Failure(f'it runs, and does not hold: {dest.realm()}')
        dest.generation = last_generation(self.source)
        dest.check_goes_on()
        self.source.stop()
        self.source = dest


def check_sealed(machine, phase='sealed'):
    """A source that has made the start token cannot be made to run."""
    mark = machine.console.mark()
    machine.qmp.try_cmd('cont')
    if machine.runs_on() or machine.holds():
        raise Failure(f'{machine.name}: it runs, or holds the Realm, after '
                      f'the start token: {machine.realm()}')
    phases = (phase,) if isinstance(phase, str) else phase
    wait_until(lambda: machine.phase() in phases,
               f'{machine.name}: {phase}: {machine.realm()}', 5)
    time.sleep(0.002)
    if machine.console.mark() != mark:
        raise Failure(f'{machine.name}: the Realm runs after its start token')


def last_generation(machine):
    for line in reversed(machine.console.lines):
        found = re.match(r'generation (\d+) ', line)
        if found:
            return int(found[1])
    return 0


def token_of(dest):
    """The abort token: from the machine, or if that has ended from its log."""
    if dest.process.poll() is None:
        return dest.abort()
    found = TOKEN.search('\n'.join(dest.errors()))
    if not found:
        raise Failure(f'{dest.name}: no abort token in its log: '
                      f'{dest.errors()}')
    return found[1]


def reasons(machine, after=0):
    """What it says about a failed migration; after: lines of its log that are
    older."""
    if machine.process.poll() is None:
        said = machine.qmp.cmd('query-migrate').get('error-desc', '')
    else:
        said = machine.last_words()
    return ' | '.join([said, *machine.errors(0)[after:]])


def outcome(dest):
    """What became of a destination whose source has ended: 'runs',
    'refused', 'exited', or a defect: 'crashed', 'hangs'."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = dest.process.poll()
        if status is not None:
            return 'exited' if status == 1 else 'crashed'
        try:
            if dest.running():
                return 'runs'
            if dest.migration() == 'failed':
                return 'refused'
        except QmpError:
            dest.wait(5)
        time.sleep(0.004)
    return 'hangs'


# ---- The relay ----

SWITCHOVER_ACK, REALM_REPLY = 7, 0x5245         # messages on the return path
REPLY = struct.Struct('>HH')            # what a message begins with: type, size
READY, RECEIPT = 35, 36                 # types of record


class Cut(Exception):
    """The relay closes both connections."""


class Relay:
    """Listens, passes a stream on Item by Item, and the answers back.

    change     function: Item to a list of bytes; with .done, true once
               it has changed something; raises Cut
    also       more paths that get what the destination gets
    reply      function: a reply of the destination's RMM, its ready record
               or its receipt, to what the source gets instead: bytes, or None
    forge      the source never hears what the destination says; when it waits
               for the destination it gets these bytes as a ready record
    Use it in a with statement."""

    def __init__(self, path, target, change=None, also=(), reply=None,
                 forge=None):
        self.path = path
        self.change = change
        self.reply = reply
        self.forge = forge
        self.items = []
        self.replies = []               # of the destination's RMM
        self.error = None               # an exception of change()
        self.hung_up = False            # see _receive()
        self._end_near = False          # the start token has passed
        self._targets = [target, *also]
        self._dests = []
        self._quiet = 0
        if os.path.exists(path):
            os.unlink(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._source, _ = self._listener.accept()
        except OSError:
            return                      # closed before it was used
        try:
            for path in self._targets:
                dest = socket.socket(socket.AF_UNIX)
                self._dests.append(dest)
                dest.connect(path)
            threading.Thread(target=self._pump_back, daemon=True).start()
            self._pump()
        except OSError:
            pass                        # one side has gone: so do we
        except Exception as err:        # pylint: disable=broad-except
            self.error = err
        finally:
            for end in (self._source, *self._dests):
                shut(end)

    def _pump(self):
        splitter = Splitter(self._receive)
        try:
            for item in splitter:
                self.items.append(item)
                for data in (self.change(item) if self.change
                             else [item.data]):
                    self._send(self._dests, data)
                self._end_near |= item.name == 'start'
                if item.name == 'ready' and self.forge is not None:
                    for message, data in ((SWITCHOVER_ACK, b''),
                                          (REALM_REPLY, self.forge)):
                        self._answer(message, data)
        except EOFError:
            self._send(self._dests, splitter.reader.rest())
        except Cut:
            pass

    def _send(self, dests, data):
        for dest in dests:
            try:
                dest.sendall(data)
            except OSError:
                if self.forge is None and dest is dests[0]:
                    raise

    def _answer(self, message, data):
        self._source.sendall(REPLY.pack(message, len(data)) + data)

    def _receive(self):
        """A destination that waits for bytes that never come waits for ever:
        then the relay, which made it so, hangs up.  And so does a source that
        waits for the last answer, if none gets through.  One that only got no
        CPU for so long is not told from them."""
        while not select.select([self._source], [], [], 0.1)[0]:
            self._quiet += 0.1
            if (self.change and getattr(self.change, 'done', False)
                    and self._quiet >= 0.8 and not self._unread()):
                self.hung_up = True
                raise Cut
        self._quiet = 0
        return self._source.recv(1 << 20)

    def _unread(self):
        size = fcntl.ioctl(self._dests[0], termios.TIOCOUTQ, b'\0' * 4)
        return struct.unpack('i', size)[0]

    def _pump_back(self):
        try:
            while head := self._exactly(REPLY.size):
                message, size = REPLY.unpack(head)
                data = self._exactly(size)
                if message == REALM_REPLY:
                    self.replies.append(data)
                    data = self.reply(data) if self.reply else data
                if self.forge is None and data is not None:
                    self._answer(message, data)
        except OSError:
            pass
        if self.forge is None:
            shut(self._source)

    def _exactly(self, size):
        """Bytes from the destination; none at its end."""
        return self._dests[0].recv(size, socket.MSG_WAITALL) if size else b''

    def records(self):
        """Everything of the Realm's that came: (kind, bytes)."""
        return [record for item in self.items for record in item.records]

    def wait(self):
        self._thread.join(LIMIT)
        if self.error:
            raise Failure(f'in the relay: {self.error!r}') from self.error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shut(self._listener)
        self._listener.close()
        self._thread.join(LIMIT)
        for end in (getattr(self, '_source', None), *self._dests):
            if end:
                end.close()
        os.unlink(self.path)


class Channels(Relay):
    """A Relay that passes channels on as well.  change.packet(relay, number,
    item) gives a list of bytes for the channel of that number, or None for
    the Item as it is; it may send to other channels by to_channel()."""

    def _run(self):
        self._source = None
        self._pairs = []                # of each channel: source, destinations
        self._ends = []                 # of all connections
        threads = []
        try:
            for _ in range(1 + CHANNELS):
                source, _ = self._listener.accept()
                self._ends.append(source)
                threads.append(threading.Thread(
                    target=self._serve, args=(source,), daemon=True))
                threads[-1].start()
        except OSError:
            pass                        # closed before all came
        for thread in threads:
            thread.join()
        for end in self._ends:
            end.close()

    def _serve(self, source):
        try:
            magic = source.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL)
            dests = [self._connect(path) for path in self._targets]
            if magic == struct.pack('>I', CHANNEL_MAGIC):
                self._pairs.append((source, dests))
                self._pump_channel(self._pairs.index((source, dests)))
                return
            self._source = source
            self._dests += dests
            threading.Thread(target=self._pump_back, daemon=True).start()
            self._pump()
        except OSError:
            pass                        # one side has gone: so do we
        except Exception as err:        # pylint: disable=broad-except
            self.error = err
        self._close()

    def _connect(self, path):
        dest = socket.socket(socket.AF_UNIX)
        self._ends.append(dest)
        dest.connect(path)
        return dest

    def _close(self):
        for end in (self._listener, *self._ends):
            shut(end)

    def _pump_channel(self, number):
        source, dests = self._pairs[number]
        splitter = ChannelSplitter(lambda: source.recv(1 << 20))
        try:
            for item in splitter:
                self.items.append(item)
                changed = (self.change.packet(self, number, item)
                           if self.change else None)
                for data in [item.data] if changed is None else changed:
                    self._send(dests, data)
        except EOFError:
            self._send(dests, splitter.reader.rest())
            for end in dests:
                shut(end)
        except Cut:
            for end in (source, *dests):
                shut(end)

    def to_channel(self, number, data):
        """At the end of an Item that another thread may just be sending:
        for attacks that hold that thread themselves."""
        self._send(self._pairs[number][1], data)


def shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


# ---- Programs ----

class Work:
    """What a worker does: one Realm, and jobs that happen to it.

    run() has the name of a job and returns a result, a dictionary with at
    least 'verdict' and 'text'; whatever it raises is a defect."""

    def __init__(self, folder, name):
        self.lab = Lab(folder, name)

    def prepare(self):
        """Before the first job, and after one that failed."""
        self.lab.boot()

    def run(self, name):
        raise NotImplementedError

    def end(self):
        if self.lab.source:
            self.lab.source.stop()
            self.lab.source = None

    def handle(self, name):
        try:
            if not self.lab.source:
                self.prepare()
            return self.run(name)
        except Exception as err:        # pylint: disable=broad-except
            trace = traceback.format_exc()
            for vm in list(Vm.running):
                vm.stop()
            self.lab.source = None
            return {'verdict': 'defect', 'text': str(err), 'trace': trace}


def work(kind_of_work, number):
    """A worker: jobs come on standard input, results go to standard output,
    one a line.  It ends when its parent does."""
    end_on_signals()
    with temporary_folder() as folder:
        worker = kind_of_work(folder, f'w{number}-')
        try:
            for line in sys.stdin:
                print(json.dumps(worker.handle(json.loads(line))), flush=True)
        finally:
            worker.end()


class Pool:
    """Processes of this program that work; see work()."""

    def __init__(self, count):
        self._lock = threading.Lock()
        self._processes = [subprocess.Popen(
            [sys.executable, os.path.realpath(sys.argv[0]), '--worker',
             str(n)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE) for n in range(count)]

    def run(self, jobs, show):
        """All jobs; calls show(job, result) as they end."""
        left = list(reversed(jobs))
        threads = [threading.Thread(target=self._feed, daemon=True,
                                    args=(process, left, show))
                   for process in self._processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _feed(self, process, left, show):
        line = ' '
        while line:
            with self._lock:
                if not left:
                    return
                job = left.pop()
            begin = time.monotonic()
            try:
                process.stdin.write(json.dumps(job) + '\n')
                process.stdin.flush()
                line = process.stdout.readline()
            except (OSError, ValueError):       # it, or we, are ending
                line = ''
            result = json.loads(line) if line else {
                'verdict': 'defect', 'text': 'the worker has ended'}
            result['seconds'] = time.monotonic() - begin
            with self._lock:
                show(job, result)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
                process.wait()


class Report:
    """Shows results as they come, and counts verdicts."""

    def __init__(self, names, log):
        self.names, self.log = names, log
        self.results = {}
        self.begin = time.monotonic()

    def show(self, name, result):
        self.results[name] = result
        print(f'{name}: {result["verdict"]} ({result["seconds"]:.2f} s): '
              f'{result["text"]}', file=self.log, flush=True)
        if result['verdict'] == 'defect':
            print(f'DEFECT: {name}: {result["text"]}', flush=True)
            print(result.get('trace', ''), file=self.log, flush=True)
        if len(self.results) % 100 == 0:
            print(f'{len(self.results)} of {len(self.names)}, '
                  f'{time.monotonic() - self.begin:.0f} s', flush=True)

    def count(self, verdict):
        return sum(result['verdict'] == verdict
                   for result in self.results.values())

    def table(self, key):
        """Prints how often each value is there."""
        counts = collections.Counter(result[key] for result
                                     in self.results.values()
                                     if key in result)
        for value, count in sorted(counts.items()):
            print(f'{count:6} {value}')


def main(description, names, kind_of_work, last):
    """A program with workers.  last(report) prints the figures, and returns
    whether all is well."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--list', action='store_true', help='name the jobs')
    parser.add_argument('--log', default=os.devnull, metavar='FILE',
                        help='what became of each')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='only each Nth job')
    parser.add_argument('--workers', type=int, default=2, metavar='N',
                        help='processes, each with a Realm (default: 2)')
    parser.add_argument('--worker', type=int, help=argparse.SUPPRESS)
    parser.add_argument('job', nargs='*', help='parts of names')
    args = parser.parse_args()
    if args.worker is not None:
        work(kind_of_work, args.worker)
        return 0
    chosen = [name for name in names
              if not args.job or any(part in name for part in args.job)
              ][::args.every]
    if args.list:
        print('\n'.join(chosen))
        return 0
    if not os.access(program(), os.X_OK):
        parser.error(f'{program()} is not there; build it, or set '
                     'QEMU_PROGRAM')
    guest_file('payload-pages')
    end_on_signals()
    with own_state(), open(args.log, 'w', encoding='utf-8') as log, \
            Pool(args.workers) as pool:
        report = Report(chosen, log)
        pool.run(chosen, report.show)
        return 0 if last(report) else 1


def own_state():
    """Keys that QEMU makes for tokens are not the user's here."""
    folder = tempfile.TemporaryDirectory(prefix='realm-state-')
    os.environ.setdefault('XDG_STATE_HOME', folder.name)
    return folder


__all__ = ['CHANNELS', 'READY', 'RECEIPT', 'Cut', 'Failure', 'Lab', 'Machine',
           'QmpError', 'Relay', 'Vm', 'VmError', 'Work', 'check_sealed',
           'last_generation', 'main', 'outcome', 'reasons', 'shut', 'token_of',
           'wait_until']
