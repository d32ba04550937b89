"""One migration that is measured: kinds of guest and of channel, loads, and
what each cost.

Lives for the length of one call; whoever wants several calls it several times.
CPU time is that of all threads but the vCPUs, which are counted apart.  Extra
memory is the peak of a process (VmHWM, set back before the migration) beyond
what it had before outside guest RAM and what guest RAM has afterwards
(/proc/PID/smaps at the addresses of the RAM blocks).

A virtual machine gives free memory back to its host, within seconds, and gets
it again at several microseconds a page: more than all else that is measured
here, and another time in each run.  So as much memory as the destination will
take is touched before, and freed while it goes, unless it shall be cold.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import contextlib
import mmap
import os
import re
import time

from shared import TICKS, fill, verify_fill
from realm_qmp import Migration, MigrationError
from realm_vm import Vm, guest_arguments, incoming, temporary_folder

PAGE = 4096
GIB = 1 << 30
RATE_MIB = 100e6 / (1 << 20)        # 100 MB/s
OF_KERNEL_MIB = 512                 # beside what a guest is filled with
FREE_STEP = 2 << 20                 # a huge page
FIRST, AHEAD = 256 << 20, 64 << 20  # of a reserve, free at first and always
PATIENCE = {True: 120, False: 900}  # s; a guest that writes may never end

Kind = collections.namedtuple('Kind', 'text realm channels tls')
KINDS = {
    'a': Kind('ordinary', False, 0, False),
    'b': Kind('ordinary, TLS', False, 0, True),
    'c': Kind('ordinary, 2 channels', False, 2, False),
    'd': Kind('ordinary, 2 channels, TLS', False, 2, True),
    'e': Kind('Realm', True, 0, False),
    'f': Kind('Realm, 2 channels', True, 2, False),
}
LOADS = {'idle': '', 'dirty': f'--dirty {RATE_MIB:.1f}', 'cold': ''}

Guest = collections.namedtuple('Guest', 'memory fill cpus mte load properties '
                                        'warm', defaults=('', '', True))


# ---- What the kernel counts of a process ----

def thread_ticks(pid, tid):
    path = f'/proc/{pid}/task/{tid}/stat'
    with open(path, encoding='utf-8') as file:
        fields = file.read().rpartition(')')[2].split()
    return int(fields[11]) + int(fields[12])


def process_ticks(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        fields = file.read().rpartition(')')[2].split()
    return int(fields[11]) + int(fields[12])


def status_bytes(pid, name):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return int(re.search(rf'{name}:\s+(\d+) kB', file.read())[1]) << 10


def ram_blocks(vm):
    """The addresses of guest RAM in QEMU, as (first, end)."""
    blocks = []
    for line in vm.qmp.hmp('info ramblock').splitlines()[1:]:
        match = re.search(r'(0x\w+)\s+(0x\w+)\s+(0x\w+)(\s+r[ow])?\s*$', line)
        if match:
            first = int(match[3], 16)
            blocks.append((first, first + int(match[2], 16)))
    return blocks


def resident_ram(vm):
    """Bytes of guest RAM that exist."""
    blocks = ram_blocks(vm)
    resident, inside = 0, False
    with open(f'/proc/{vm.process.pid}/smaps', encoding='utf-8') as file:
        for line in file:
            match = re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line)
            if match:
                first = int(match[1], 16)
                inside = any(a <= first < b for a, b in blocks)
            elif inside and line.startswith('Rss:'):
                resident += int(line.split()[1]) << 10
    return resident


class Reserve:
    """Memory that this machine's host, if it has one, has found already; it
    is freed a little ahead of what the migration has sent."""

    POPULATE = 23               # MADV_POPULATE_WRITE

    def __init__(self, size):
        self.size, self.freed = size, 0
        self.memory = mmap.mmap(-1, size,
                                mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.memory.madvise(mmap.MADV_HUGEPAGE)
        with contextlib.suppress(OSError):      # an old kernel
            self.memory.madvise(self.POPULATE)
        self.free(FIRST)

    def free(self, until):
        until = min(until - until % FREE_STEP, self.size)
        if until > self.freed:
            self.memory.madvise(mmap.MADV_DONTNEED, self.freed,
                                until - self.freed)
            self.freed = until

    def follow(self, samples):
        """Ahead by what goes in four samples."""
        sent = [sample.transferred for sample in samples[-2:]]
        self.free(sent[-1] + max(AHEAD, 4 * (sent[-1] - sent[0])))


class Cost:
    """CPU time and memory of one QEMU from here on."""

    def __init__(self, vm):
        self.vm, self.pid = vm, vm.process.pid
        self.threads = [cpu['thread-id']
                        for cpu in vm.qmp.cmd('query-cpus-fast')]
        self.other = status_bytes(self.pid, 'VmRSS') - resident_ram(vm)
        with open(f'/proc/{self.pid}/clear_refs', 'w',
                  encoding='utf-8') as file:
            file.write('5')             # VmHWM is VmRSS again
        self.vcpus, self.all = self.ticks()

    def ticks(self):
        vcpus = sum(thread_ticks(self.pid, tid) for tid in self.threads)
        return vcpus, process_ticks(self.pid)

    def figures(self, name):
        vcpus, everything = self.ticks()
        vcpus -= self.vcpus
        everything -= self.all
        peak = status_bytes(self.pid, 'VmHWM')
        extra = peak - resident_ram(self.vm) - self.other
        return {f'{name}-cpu': (everything - vcpus) / TICKS,
                f'{name}-vcpus': vcpus / TICKS,
                f'{name}-memory': max(extra, 0)}


# ---- The way ----

class Watched(Migration):
    """With samples that a curve can be drawn from."""

    reserve = None

    def poll(self):
        ended = super().poll()
        if self.reserve:
            self.reserve.follow(self.samples)
        return ended

    def wait_for_end(self):
        deadline = time.monotonic() + self.timeout
        while not self.poll():
            if time.monotonic() > deadline:
                self.cancel()
                raise MigrationError(f'not finished after {self.timeout} s: '
                                     'slower than the guest writes, or the '
                                     'machine is busy')
            time.sleep(0.05)
        self.wait_for_destination()

    def curve(self):
        """[seconds, bytes sent, bytes remaining, round] of each sample."""
        start = self.samples[0].time
        return [[round(s.time - start, 3), s.transferred, s.remaining,
                 s.rounds] for s in self.samples]


def tls_arguments(folder, endpoint):
    path = os.path.join(folder, 'keys.psk')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'qemu:{bytes(range(32)).hex()}\n')
    user = ',username=qemu' if endpoint == 'client' else ''
    return ['-object', f'tls-creds-psk,id=tls0,dir={folder},'
                       f'endpoint={endpoint}{user}']


def prepare(vm, kind):
    names = ['return-path'] + ['multifd'] * bool(kind.channels)
    vm.qmp.cmd('migrate-set-capabilities', capabilities=[
        {'capability': name, 'state': True} for name in names])
    if kind.channels:
        vm.qmp.cmd('migrate-set-parameters', multifd_channels=kind.channels)
    if kind.tls:
        vm.qmp.cmd('migrate-set-parameters', tls_creds='tls0')


def guest_pages(report):
    """Pages of guest memory that were sent, shared and private."""
    private = (report['realm'] or {}).get('private-pages', 0)
    return report['pages'] + private


def figures(report, guest):
    seconds = max(report['total-time'], 1) / 1000
    pages = guest_pages(report)
    return {'seconds': seconds, 'downtime': report['downtime'],
            'rounds': report['rounds'], 'bytes': report['bytes'],
            'pages': pages, 'throughput': pages * PAGE / GIB / seconds,
            'bytes-per-page': report['bytes'] / max(pages, 1),
            'memory': guest.memory}


class Pair:
    """A guest that is ready, and a destination that waits for it."""

    def __init__(self, stack, kind, guest, prefixes=((), ()), bandwidth=0):
        self.folder = stack.enter_context(temporary_folder())
        self.kind, self.guest, self.bandwidth = kind, guest, bandwidth
        arguments = guest_arguments(realm=kind.realm, cpus=guest.cpus,
                                    mte=guest.mte,
                                    memory=f'{guest.memory}M',
                                    properties=guest.properties)
        tls = tls_arguments if kind.tls else lambda folder, endpoint: []
        self.source = stack.enter_context(Vm(
            'source', arguments + tls(self.folder, 'client'), self.folder,
            prefix=prefixes[0]))
        fill(self.source, guest.fill, guest.load)
        self.dest = stack.enter_context(Vm(
            'destination', incoming(arguments)
            + tls(self.folder, 'server'), self.folder,
            prefix=prefixes[1]))
        for vm in self.source, self.dest:
            prepare(vm, kind)

    def move(self, uri=None, around=None):
        """Migrates; returns the figures.  around: a context to do it in."""
        way = Watched(self.source.qmp, self.dest.qmp,
                      uri or f'unix:{os.path.join(self.folder, "stream")}',
                      plain=not self.kind.realm, bandwidth=self.bandwidth,
                      timeout=PATIENCE['dirty' in self.guest.load])
        costs = {'source': Cost(self.source), 'destination': Cost(self.dest)}
        if self.guest.warm:
            way.reserve = Reserve(min(self.guest.memory, self.guest.fill
                                      + OF_KERNEL_MIB) << 20)
        with around(self) if around else contextlib.nullcontext():
            report = way.run()
        run = figures(report, self.guest)
        for name, cost in costs.items():
            run.update(cost.figures(name))
        way.reserve = None
        run['curve'] = way.curve()
        run['report'] = report
        return run

    def verify(self):
        self.source.stop()
        verify_fill(self.dest)


def migrate(kind, guest, around=None):
    with contextlib.ExitStack() as stack:
        pair = Pair(stack, kind, guest)
        run = pair.move(around=around)
        pair.verify()
        return run


def boot(realm, cpus):
    """Seconds from the start of QEMU to the guest's first program."""
    arguments = guest_arguments(realm=realm, cpus=cpus, mte=False)
    with temporary_folder() as folder, Vm('boot', arguments, folder) as vm:
        vm.console.wait_for('guest: userspace', 180)
        return {'seconds': time.monotonic() - vm.started}
