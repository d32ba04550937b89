# Thin front end; each target is one command that also works alone.
#
# SPDX-License-Identifier: GPL-2.0-or-later

BUILD ?= build
# Options for ./configure, as in: make CONFIGURE='--enable-sanitizers'. Without
# any, those of the last ./configure hold.
CONFIGURE ?=

.PHONY: build configure run check check-quick check-lib check-model coverage
.PHONY: bench bench-host bench-rmm bench-wire bench-instructions patches deps
.PHONY: lib-bench fuzz fuzz-short guest help clean
.PHONY: distclean
.PHONY: check-hostile check-cut check-fork check-secrets check-nested arm64
.PHONY: check-deps check-contract check-double check-host nested-kernel

# Two of ./configure at once would write the same qemu/; ninja is parallel anyway.
.NOTPARALLEL:

build: configure
	@ninja -C $(BUILD) qemu-system-aarch64

# The same for an aarch64 host, with KVM.
arm64:
	@$(MAKE) --no-print-directory build BUILD=$(BUILD)/arm64 CONFIGURE=--arm64

configure: deps
	@if [ -z '$(CONFIGURE)' ] && [ -x $(BUILD)/reconfigure ]; \
	then $(BUILD)/reconfigure; \
	else ./configure --build-dir=$(BUILD) $(CONFIGURE); fi

guest: deps
	@tests/guest/build

# With one of these variables: a Realm of one's own, at its console. The shell
# gets them by the environment, whatever is in them.
.PHONY: shell debian
OWN = $(KERNEL)$(INITRD)$(APPEND)$(DISK)$(SMP)$(MEM)$(MTE)$(GUEST)
START = scripts/realm-vm start "$${NAME:-realm}" --console \
    $${KERNEL:+--kernel="$$KERNEL"} $${INITRD:+--initrd="$$INITRD"} \
    $${APPEND:+--append="$$APPEND"} $${DISK:+--disk="$$DISK"} \
    $${SMP:+--smp="$$SMP"} $${MEM:+--mem="$$MEM"} $${MTE:+--mte="$$MTE"} \
    $${GUEST:+--guest="$$GUEST"}

run: build guest $(filter debian,$(GUEST))
	@$(if $(OWN),$(START),scripts/realm-demo)

shell: build guest
	@scripts/realm-vm start shell --console

# The disk of the Debian guest.
debian: build guest
	@tests/guest/debian/build

check: check-deps
	@tests/run-check

check-quick: check-deps
	@tests/run-check --quick

check-deps: deps
	@buildenv/install-packages buildenv/packages-check

check-lib: deps
	@test -f build/lib/build.ninja || meson setup build/lib
	@ninja -C build/lib test

coverage: deps
	@tests/coverage

# Until it is stopped: all targets in turn, or the one named (make fuzz
# FUZZ=import). What is found is in build/check, what is learnt in
# build/fuzz-corpus.
fuzz: deps
	@BUILD='$(abspath $(BUILD))' scripts/fuzz $(FUZZ)

fuzz-short: deps
	@BUILD='$(abspath $(BUILD))' scripts/fuzz calls=60 import=120

check-model: deps
	@tests/model/check

# The KVM backend on a kernel that stands in for arm64's.
check-double: deps
	@tests/run-check --build-dir $(BUILD) configure double

# Every backend keeps the contract of RealmBackendOps, and all do so alike.
check-contract: deps
	@tests/run-check --build-dir $(BUILD) configure contract

# A host of Realms of our own, at EL2 of the machine with an RMM.
check-host: build
	@tests/host/run
	@tests/host/replay
	@tests/host/flushes
	@tests/host/fuzz

check-hostile: build guest
	@tests/hostile/relay

check-cut: build guest
	@tests/hostile/cut

check-fork: build guest
	@tests/hostile/fork

# In a nested machine, whose Linux has KVM: our QEMU built for arm64. KERNEL is
# what the host of Realms boots; without it that is the newest Debian has.
check-nested: nested-kernel build guest arm64
	@tests/nested/build --kernel "$$KERNEL"
	@/usr/bin/python3 -m unittest discover -v -s tests/nested

# Two private daemons of libvirt, and a Realm that they migrate.
.PHONY: check-libvirt
check-libvirt: check-deps build guest
	@QEMU_PROGRAM='$(abspath $(BUILD))/qemu-system-aarch64' \
	    tests/run-check --build-dir $(BUILD) libvirt

# Before anything is built: a wrong KERNEL is refused.
nested-kernel:
	@tests/nested/build --check --kernel "$$KERNEL"

# No session key is left in memory, and none of the other secrets.
check-secrets: deps
	@test -f build/lib/build.ninja || meson setup build/lib
	@ninja -C build/lib target/arm/rmm/tests/test-secrets
	@build/lib/target/arm/rmm/tests/test-secrets --figures

# Options in BENCH, as in: make bench BENCH=--quick. Only this draws pictures, so
# only this wants the packages for it.
bench: build guest lib-bench
	@buildenv/install-packages buildenv/packages-bench
	@tests/bench/run $(BENCH)

# Over a link with a rate, a delay and losses; as root.
bench-wire: build guest
	@tests/bench/wire $(BENCH)

# Instructions of export and import, a page: no load of the machine changes them.
bench-instructions: lib-bench
	@buildenv/install-packages buildenv/packages-bench
	@tests/bench/instructions

# What it costs to be a host of Realms, and what its Realms cost.
bench-host: build guest
	@tests/bench/host

lib-bench: deps
	@test -f build/lib-bench/build.ninja || \
	    meson setup --buildtype=release build/lib-bench
	@ninja -C build/lib-bench target/arm/rmm/tests/bench-rmm \
	    target/arm/rmm/tests/bench-mig

bench-rmm: lib-bench
	@build/lib-bench/target/arm/rmm/tests/bench-rmm

# The manual, in $(BUILD)/manual. All pages are read each time: a warning has to
# appear again until it is gone.
.PHONY: docs
docs: configure
	@buildenv/install-packages buildenv/packages-check
	@sphinx-build -E -W --keep-going -q -c docs/realm docs $(BUILD)/manual
	@echo '$(BUILD)/manual/realm/index.html'

# What is refused, in which words: tests/errors/table.
.PHONY: check-errors
check-errors: build
	@QEMU_PROGRAM='$(abspath $(BUILD))/qemu-system-aarch64' \
	    tests/run-check errors

# Not built here: `make` as a user, then `sudo make install`.
.PHONY: install uninstall deb
prefix ?= /usr/local
install:
	@package/install --build-dir '$(BUILD)' --destdir '$(DESTDIR)' \
	    --prefix '$(prefix)'

uninstall:
	@package/install --build-dir '$(BUILD)' --destdir '$(DESTDIR)' \
	    --prefix '$(prefix)' --remove

deb: build
	@package/deb --build-dir '$(BUILD)'

patches: configure
	@upstream/overlay patches --build-dir $(BUILD)

deps:
	@buildenv/install-packages

help:
	@echo 'make              build $(BUILD)/qemu-system-aarch64'
	@echo 'make arm64        build $(BUILD)/arm64/qemu-system-aarch64, with KVM, for arm64;'
	@echo '                  ./configure --arm64 --enable-debug-info for debuggers'
	@echo 'make run          boot a Realm, live-migrate it, print what happened'
	@echo 'make run KERNEL=Image  a Realm of yours, at its console; also INITRD=,'
	@echo '                  APPEND=, DISK=, SMP=, MEM=, MTE=1, NAME=;'
	@echo '                  GUEST=debian: Debian, with ssh'
	@echo 'make shell        a shell in a Realm; scripts/realm-vm --help: what else'
	@echo 'make check        every check; check-quick: in a few minutes'
	@echo 'make check-lib    the RMM library and its tests alone, in seconds'
	@echo 'make coverage     what the tests of that library reach of it'
	@echo 'make fuzz         fuzz the RMM library without end; fuzz-short: three minutes'
	@echo 'make check-model  the model of Realm migration, in every state'
	@echo 'make check-double    the KVM backend on a stand-in kernel, with failures and invalid answers'
	@echo 'make check-contract  every backend against one suite, and what they did compared'
	@echo 'make check-host       a bare host at EL2 judges the machine with an RMM'
	@echo 'make check-hostile    2000 attacks on a migration by a relay'
	@echo 'make check-cut        connections that break, at every record'
	@echo 'make check-fork       attempts to get two copies of a Realm'
	@echo 'make check-libvirt    Realms with libvirt, migration included'
	@echo 'make check-nested     QEMU for arm64 with KVM, in an emulated machine;'
	@echo '                  KERNEL=Image: a kernel of yours as host of Realms'
	@echo 'make check-errors     the messages of wrong options and commands'
	@echo 'make check-secrets      look for keys in memory after migrations'
	@echo 'make bench        measure boot and migration against an ordinary guest, an'
	@echo '                  hour; BENCH=--quick: three minutes; tests/bench/run --help'
	@echo 'make bench-wire   measure migration over an emulated link; as root'
	@echo 'make bench-instructions  count those of export and import'
	@echo 'make bench-host   measure a host of Realms at EL2: boot, entry and exit,'
	@echo '                  faults, delegation, code in a Realm'
	@echo 'make bench-rmm    measure the calls of the RMM library, and its memory'
	@echo 'make docs         the manual, as HTML'
	@echo 'make install      install what was built; prefix=/usr/local, DESTDIR=;'
	@echo '                  uninstall: remove it'
	@echo 'make deb          the Debian package qemu-system-arm-realm, in $(BUILD)/deb'
	@echo 'make patches      the fork as a patch series, in $(BUILD)/patches'
	@echo 'make deps         install missing Debian packages (root or sudo)'
	@echo 'make clean        remove $(BUILD)/ and qemu/; distclean: also what was downloaded'
	@echo './configure --help lists the options; make CONFIGURE=... passes them'

clean:
	rm -rf $(BUILD) qemu

distclean: clean
	rm -rf .cache
