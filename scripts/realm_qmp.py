"""QMP client, and live migration of a guest over two QMP sockets.

Standard library only.  Used by realm-migrate, realm-demo, the functional
tests and the benchmark.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import socket
import sys
import time


class QmpError(Exception):
    """A command was refused, or the connection is unusable or gone."""


class Qmp:
    """Connection to a QMP socket; events are kept in a list.
    path: of a unix socket, or (host, port)."""

    # QEMU answers nothing while a Realm waits for its destination: 30 s.
    def __init__(self, path, timeout=60):
        self.path = path
        self.events = []
        self._buffer = b''
        self._id = 0
        self._socket = socket.socket(socket.AF_UNIX if isinstance(path, str)
                                     else socket.AF_INET)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except OSError as err:
            raise QmpError(f'connecting to {path}: {err.strerror or err}; give '
                           'the socket of QEMU\'s -qmp unix:PATH,server=on,'
                           'wait=off') from err
        try:
            self._greet()
        except QmpError:
            self.close()
            raise

    def _greet(self):
        timeout = self._socket.gettimeout()
        self._socket.settimeout(min(timeout, 10))
        try:
            greeting = self._receive()
        except QmpError as err:
            raise QmpError(f'{self.path}: no QMP greeting; is it a QMP socket '
                           'with no other client?') from err
        if 'QMP' not in greeting:
            raise QmpError(f'{self.path}: not a QMP socket; give the socket '
                           'of -qmp, not of a console')
        self._socket.settimeout(timeout)
        self.cmd('qmp_capabilities')

    def _receive(self):
        while b'\n' not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except OSError as err:
                raise QmpError(f'{self.path}: no answer from QEMU: '
                               f'{err}') from err
            if not data:
                raise QmpError(f'{self.path}: QEMU has gone; see its log')
            self._buffer += data
        line, self._buffer = self._buffer.split(b'\n', 1)
        try:
            return json.loads(line)
        except ValueError as err:
            raise QmpError(f'{self.path}: not a QMP socket; give the socket '
                           'of -qmp, not of a console') from err

    def cmd(self, command, **arguments):
        """Runs a command.  Names with '-' are written with '_'."""
        self._id += 1
        message = {'execute': command, 'id': self._id}
        if arguments:
            message['arguments'] = {name.replace('_', '-'): value
                                    for name, value in arguments.items()}
        try:
            self._socket.sendall(json.dumps(message).encode() + b'\n')
        except OSError as err:
            raise QmpError(f'{self.path}: QEMU has gone; see its log') from err
        while True:
            answer = self._receive()
            if answer.get('id', self._id) != self._id:
                continue        # of a command that Ctrl-C interrupted
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise QmpError(f'{command}: {answer["error"]["desc"]}')
            self.events.append(answer)

    def try_cmd(self, command, **arguments):
        """As cmd(), but None if the command is refused or unknown."""
        try:
            return self.cmd(command, **arguments)
        except QmpError:
            return None

    def hmp(self, line):
        return self.cmd('human-monitor-command', command_line=line)

    def close(self):
        self._socket.close()


# ---- Progress ----

MIB = 1 << 20


class Sample:
    """The state of a migration at one moment, both kinds of memory added."""

    def __init__(self, info, realm):
        ram = info.get('ram', {})
        realm = realm or {}
        self.time = time.monotonic()
        self.status = info.get('status', 'none')
        self.transferred = ram.get('transferred', 0)
        self.remaining = ram.get('remaining', 0) + realm.get('remaining', 0)
        self.total = ram.get('total', 0) + realm.get('total', 0)
        self.rounds = realm.get('rounds', ram.get('dirty-sync-count', 0))

    @property
    def percent(self):
        if self.status == 'completed':
            return 100
        done = self.total - self.remaining
        return min(100, 100 * done // self.total) if self.total else 0


class Progress:
    """Shows samples: a line with a bar on a terminal, else a line a second."""

    def __init__(self, out=sys.stdout, prefix=''):
        self.out = out
        self.prefix = prefix
        self.bar = out.isatty()
        self.first = self.last = None
        self.shown = 0

    def rate(self, sample):
        """MiB/s since the sample before this one."""
        seconds = sample.time - self.last.time if self.last else 0
        if seconds <= 0:
            return 0
        return (sample.transferred - self.last.transferred) / MIB / seconds

    def text(self, sample):
        return (f'{sample.percent:3}%  {self.rate(sample):7.1f} MiB/s  '
                f'{sample.remaining / MIB:8.1f} MiB remaining  '
                f'rounds {sample.rounds}  {sample.status}')

    def show(self, sample):
        if not sample.total:        # still setting up
            return
        if self.bar:
            full = sample.percent * 30 // 100
            bar = '#' * full + '.' * (30 - full)
            self.out.write(f'\r{self.prefix}[{bar}] {self.text(sample)}\x1b[K')
            self.out.flush()
        elif sample.time - self.shown >= 1 or sample.status == 'completed':
            print(self.prefix + self.text(sample), file=self.out, flush=True)
            self.shown = sample.time
        self.last = sample

    def end(self):
        if self.bar and self.last:
            print(file=self.out, flush=True)


class NoProgress:
    """Shows nothing."""

    def show(self, sample):
        pass

    def end(self):
        pass


# ---- Migration ----

class MigrationError(Exception):
    """The migration did not succeed; the text holds both sides' reasons."""


class Migration:
    """One live migration from a source to a destination started with
    -incoming defer.  Use run(), or start() and poll()."""

    def __init__(self, source, dest, uri, plain=False, bandwidth=0,
                 downtime=None, timeout=None, progress=None, channels=None,
                 psk=None, compression=None):
        self.source, self.dest, self.uri = source, dest, uri
        self.source_uri = uri           # differs if there is a relay between
        self.plain = plain
        self.bandwidth = bandwidth      # bytes/s; 0: unlimited
        self.downtime = downtime        # ms; None: QEMU's own limit
        self.timeout = timeout          # s
        self.progress = progress or NoProgress()
        # Of both sides; None: as they are set.
        self.channels = channels        # of multifd; 0: without multifd
        self.psk = psk                  # TLS: folder of a keys.psk; '': without
        self.compression = compression  # of multifd, a method or 'none'
        self.offer = None
        self.accepted = False
        self.deaf = False               # the destination, for ever
        self.samples = []
        self.started = False
        self.status = None              # of the destination, at the end

    def run(self):
        """Migrates; returns report().  On Ctrl-C the migration is cancelled."""
        try:
            self.start()
            self.wait_for_end()
        except KeyboardInterrupt:
            self.cancel()
            raise
        except MigrationError as err:
            raise MigrationError(f'{err}{self.after_failure()}') from err
        except QmpError as err:
            reasons = self.reasons() if self.started else ''
            raise MigrationError(
                f'{err}{reasons}{self.after_failure()}') from err
        finally:
            self.progress.end()
        return self.report()

    def after_failure(self):
        return self.take_back() + self.used_up()

    def used_up(self):
        """After a failure: a destination that something has reached does not
        serve another try.  Returns that, as text to append."""
        info = self.dest.try_cmd('query-migrate')
        there = self.dest.try_cmd('query-realm-migration')
        if info is None or there and there['holds']:
            return ''
        offer_used = (there and there['phase'] != 'waiting'
                      and not self.belong_together())
        if info.get('status') == 'failed' or offer_used or self.deaf:
            return ('; the destination cannot be used again: end it, and '
                    'start another one with -incoming defer')
        return ''

    def whereabouts(self):
        """What became of a migration that was interrupted."""
        info = self.source.try_cmd('query-migrate') or {}
        if info.get('status') == 'completed':
            return 'the migration had completed: end the source'
        return (self.take_back().removeprefix('; ')
                or 'cancelled; the source goes on')

    def take_back(self):
        """After a failure: a source that is sealed gets its Realm back if
        the destination gives it up for good.  Returns what happened, as text
        to append."""
        state = self.source.try_cmd('query-realm-migration')
        if self.plain or not state or state.get('phase') != 'sealed':
            return ''
        there = self.dest.try_cmd('query-realm-migration')
        if there and there['holds']:
            return '; the destination has the Realm: end the source'
        if (not self.accepted and there
                and there['phase'] in ('waiting', 'offered')):
            return ''           # it was sealed for another one
        try:
            token = self.dest.cmd('realm-migration-abort')['token']
            self.source.cmd('realm-migration-resume', token=token)
            if self.was_running:
                self.source.cmd('cont')
        except QmpError as err:
            return ('; the source is sealed, and the Realm could not be taken '
                    f'back: {err}')
        return '; the destination gave the Realm up, the source has it again'

    def start(self):
        self.was_running = self.source.cmd('query-status')['running']
        parameters = {'max-bandwidth': self.bandwidth}
        if self.downtime is not None:
            parameters['downtime-limit'] = self.downtime
        self.source.cmd('migrate-set-parameters', **parameters)
        self.set_up(self.source, 'client')
        self.set_up(self.dest, 'server')
        self.listen()
        if not self.plain:
            self.agree()
            # The destination answers when it has loaded all of it.
            self.source.cmd('migrate-set-capabilities', capabilities=[
                {'capability': 'return-path', 'state': True}])
        self.source.cmd('migrate', uri=self.source_uri)
        self.started = True

    def set_up(self, qmp, endpoint):
        """What both sides have to agree about."""
        parameters = {}
        if self.channels is not None:
            qmp.cmd('migrate-set-capabilities', capabilities=[
                {'capability': 'multifd', 'state': self.channels > 0}])
        if self.channels:
            parameters['multifd_channels'] = self.channels
        if self.compression is not None:
            parameters['multifd_compression'] = self.compression
        if self.psk is not None:
            parameters['tls_creds'] = self.credentials(qmp, endpoint)
        if parameters:
            qmp.cmd('migrate-set-parameters', **parameters)

    def credentials(self, qmp, endpoint):
        """Makes an object of the pre-shared key; returns its name."""
        if not self.psk:
            return ''
        name = f'psk-{endpoint}'
        # It is there already if this is not the first try.
        qmp.try_cmd('object-add', qom_type='tls-creds-psk', id=name,
                    dir=self.psk, endpoint=endpoint)
        return name

    def belong_together(self):
        """Whether the source has accepted the offer that the destination
        made."""
        here, there = ((qmp.try_cmd('query-realm-migration') or {}).get('nonce')
                       for qmp in (self.source, self.dest))
        return here is not None and here == there

    def agree(self):
        """The source accepts an offer of the destination.  It has one already
        if an earlier try ended before anything was sent."""
        if not self.belong_together():
            nonce = self.source.cmd('realm-migration-prepare')['nonce']
            self.offer = self.dest.cmd('realm-migration-offer',
                                       nonce=nonce)['offer']
            self.source.cmd('realm-migration-accept', offer=self.offer)
        self.accepted = True

    def listen(self):
        """The destination listens, from now on or since an earlier try."""
        try:
            self.dest.cmd('migrate-incoming', uri=self.uri,
                          exit_on_error=False)
        except QmpError as err:
            info = self.dest.cmd('query-migrate')
            addresses = info.get('socket-address', [])
            if any(is_at(self.uri, address) for address in addresses):
                return
            # QEMU does not try again where it could not listen.
            self.deaf = info.get('status') == 'setup' and not addresses
            where = ' or '.join(uri_of(address) for address in addresses)
            raise QmpError(f'{err}' + (
                f'; it listens at {where}: use that, or end it and start '
                'another one' if where else '')) from err

    def poll(self):
        """Takes a sample; returns whether the source has finished."""
        info = self.source.cmd('query-migrate')
        realm = (None if self.plain
                 else self.source.try_cmd('query-realm-migration'))
        self.samples.append(Sample(info, realm))
        self.progress.show(self.samples[-1])
        if info.get('status') in ('failed', 'cancelled'):
            raise MigrationError(f'migration {info["status"]}'
                                 f'{self.reasons(wait=2)}')
        return info.get('status') == 'completed'

    def wait_for_end(self):
        """Waits until the guest is there; cancels when time is up."""
        deadline = time.monotonic() + (self.timeout or float('inf'))
        while not self.poll():
            if time.monotonic() > deadline:
                self.cancel()
                raise MigrationError(
                    f'not finished after {self.timeout} s, and cancelled; '
                    'raise the timeout or the downtime')
            time.sleep(0.25)
        self.wait_for_destination()

    def wait_for_round(self, number, limit=60):
        """Waits until it is in that round over memory, or a later one."""
        deadline = time.monotonic() + limit
        while not self.poll():
            if self.samples[-1].rounds >= number:
                return
            if time.monotonic() > deadline:
                raise MigrationError(f'not in round {number} after {limit} s; '
                                     'raise the limit or the bandwidth')
            time.sleep(0.1)
        raise MigrationError(f'completed before round {number}; lower the '
                             'bandwidth')

    def finish(self):
        """Takes the bandwidth's limit away, and waits for the end."""
        self.source.cmd('migrate-set-parameters', max_bandwidth=0)
        self.wait_for_end()

    def reasons(self, wait=0):
        """What both sides say about a failure, as text to append."""
        text = ''
        for name, qmp in ('source', self.source), ('destination', self.dest):
            deadline = time.monotonic() + wait
            info = qmp.try_cmd('query-migrate')
            while (info is not None and 'error-desc' not in info
                   and time.monotonic() < deadline):
                time.sleep(0.1)
                info = qmp.try_cmd('query-migrate')
            if info is None:
                text += f'; {name}: QEMU has gone, see its log'
            elif 'error-desc' in info:
                text += f'; {name}: {" ".join(info["error-desc"].split())}'
        return text

    def wait_for_destination(self, limit=60):
        """Until the guest is there.  It may be paused, as it was before or
        since the destination was started with -S."""
        deadline = time.monotonic() + limit
        while True:
            self.status = self.dest.cmd('query-status')['status']
            if (self.status not in ('inmigrate', 'internal-error')
                    and (self.plain or self.dest.cmd(
                        'query-realm-migration')['phase'] == 'here')):
                return
            info = self.dest.cmd('query-migrate')
            if (info.get('status') == 'failed'
                    or self.status == 'internal-error'
                    or time.monotonic() > deadline):
                raise MigrationError(
                    f'the destination does not run ({self.status})'
                    + self.reasons())
            time.sleep(0.05)

    def cancel(self):
        """Cancels and waits until the source is back to normal."""
        self.source.try_cmd('migrate_cancel')
        for _ in range(200):
            info = self.source.try_cmd('query-migrate')
            if not info or info.get('status') in ('cancelled', 'failed',
                                                  'completed'):
                return
            time.sleep(0.05)

    def report(self):
        info = self.source.cmd('query-migrate')
        ram = info.get('ram', {})
        report = {
            'total-time': info.get('total-time', 0),            # ms
            'downtime': info.get('downtime', 0),                # ms
            'setup-time': info.get('setup-time', 0),            # ms
            'bytes': ram.get('transferred', 0),
            'pages': ram.get('normal', 0),
            'zero-pages': ram.get('duplicate', 0),
            'rounds': ram.get('dirty-sync-count', 0),
            'ram': ram,
            'status': self.status,      # the destination's
            'realm': None,
        }
        if not self.plain:
            report['realm'] = self.source.try_cmd('query-realm-migration')
        return report


def uri_of(address):
    """A SocketAddress as a migration URI."""
    if address['type'] == 'inet':
        return f'tcp:{address["host"]}:{address["port"]}'
    return f'{address["type"]}:{address.get("path", "")}'


def is_at(uri, address):
    """Whether a URI leads to a SocketAddress; hosts have several names."""
    own = uri_of(address)
    if address['type'] == 'inet':
        return (uri.startswith('tcp:')
                and uri.rpartition(':')[2] == own.rpartition(':')[2])
    return uri == own


def summary(report):
    """A migration's report as one line of text."""
    seconds = max(report['total-time'], 1) / 1000
    text = (f'{report["bytes"] / MIB:.1f} MiB in {seconds:.2f} s '
            f'({report["bytes"] / MIB / seconds:.0f} MiB/s), downtime '
            f'{report["downtime"]} ms, {report["rounds"]} rounds')
    realm = report['realm']
    if realm:
        text += (f', {realm.get("private-pages", 0)} private pages, '
                 f'{realm.get("tag-pages", 0)} with tags')
    return text
