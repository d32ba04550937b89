/*
 * A machine for tests: granules, Non-secure memory, and short ways to call
 *
 * Lock rule: fake_call may be used by one thread at a time for one machine;
 * fake_call_pe by any number, with one RmmPe each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <glib.h>
#include "interrupt.h"
#include "rec.h"
#include "rmm-internal.h"
#include "rtt.h"

#define FAKE_POOL_BASE 0x880000000ull
#define FAKE_NS_BASE   0x40000000ull
#define FAKE_NS_PAGES  64

/* Pages of Non-secure memory with a fixed use. */
#define FAKE_NS_PARAMS (FAKE_NS_BASE + 0x0000)
#define FAKE_NS_SRC    (FAKE_NS_BASE + 0x1000)
#define FAKE_NS_RUN(i) (FAKE_NS_BASE + 0x2000 + (i) * 0x1000ull)
/* From here on they are the test's own. */
#define FAKE_NS_FREE   (FAKE_NS_BASE + 0x10000)

/* A REC's registers in this machine (RmmOps.context_new). */
typedef struct FakeContext {
    RmmRecConfig config;
    uint64_t value;             /* stands for all of them; 0 at reset */
} FakeContext;

typedef struct FakeMachine {
    RmmOps ops;                 /* a test may replace members and call them */
    RmmPlatform platform;
    Rmm *rmm;
    uint8_t *pool;
    uint8_t *tags;
    uint8_t *ns;
    size_t granules;
    size_t next;                /* granule that fake_granule gives next */
    RmmPe pe;                   /* of fake_call */
    gint invalidations;
    /* If set: all that a call took away is out of the tables, but PEs know. */
    void (*on_sync)(void *opaque);
    void *on_sync_opaque;
    uint64_t last_base;
    uint64_t last_top;
    uint64_t seed;              /* of ops.random */
    uint64_t now;               /* of ops.seconds */
    GHashTable *contexts;       /* set of those that exist */
    gint num_contexts;          /* made so far */
    bool *realm_pas;            /* by granule */
    RmmExitState exit;          /* of fake_exit_state */
    uint16_t vmid;              /* of the last Realm */
} FakeMachine;

FakeMachine *fake_machine_new(size_t granules);
/* With members of @ops or @platform changed first. */
FakeMachine *fake_machine_prepare(size_t granules);
void fake_machine_start(FakeMachine *m);
void fake_machine_free(FakeMachine *m);

/*
 * For ops.exit_state: saves the `value` that @pe has in X30 in its context, and
 * gives m->exit.
 */
void fake_exit_state(void *opaque, const RmmPe *pe, RmmExitState *state);
/* The context that @pe has, which is one that exists. */
FakeContext *fake_context(FakeMachine *m, const RmmPe *pe);

/* PA of a granule not given before; delegated, or as it is (NS). */
uint64_t fake_granule(FakeMachine *m);
uint64_t fake_granule_ns(FakeMachine *m);
uint64_t fake_granules(FakeMachine *m, size_t count);
void *fake_host(FakeMachine *m, uint64_t pa);
uint8_t *fake_host_tags(FakeMachine *m, uint64_t pa);
void *fake_ns(FakeMachine *m, uint64_t pa);

/* Call @fid with X1 and up; the results are in m->pe.x, X0 is returned. */
#define fake_call(m, fid, ...) \
    fake_call_pe((m), &(m)->pe, (fid), (const uint64_t[]){ __VA_ARGS__ }, \
                 sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))
uint64_t fake_call_pe(FakeMachine *m, RmmPe *pe, uint64_t fid,
                      const uint64_t *args, size_t num);

#define FAKE_RECS 8

typedef struct FakeRealm {
    uint64_t rd;
    uint64_t tables;
    unsigned num_tables;
    unsigned ipa_bits;
    int level;
    uint64_t rec[FAKE_RECS];
    unsigned num_recs;
} FakeRealm;

/* Parameters that REALM_CREATE takes, at FAKE_NS_PARAMS. */
RmiRealmParams *fake_realm_params(FakeMachine *m, FakeRealm *r,
                                  unsigned ipa_bits, int level);
/* As they are: create it.  X0 is returned. */
uint64_t fake_realm_try(FakeMachine *m, FakeRealm *r);
/* A Realm in state NEW: 33 bits of IPA, start level 1. */
FakeRealm fake_realm_new(FakeMachine *m);
/* Tables down to level 3 for @ipa. */
void fake_tables(FakeMachine *m, const FakeRealm *r, uint64_t ipa);
/* Pages [@ipa, @ipa + @pages) as measured data, all bytes @fill. */
void fake_data(FakeMachine *m, const FakeRealm *r, uint64_t ipa,
               unsigned pages, uint8_t fill);
/* The same without contents; returns the granule of the last one. */
uint64_t fake_data_unknown(FakeMachine *m, const FakeRealm *r, uint64_t ipa,
                           unsigned pages);
/* RIPAS RAM for [@base, @top), page by page (state NEW). */
void fake_ram(FakeMachine *m, const FakeRealm *r, uint64_t base,
              uint64_t top);
uint64_t fake_rec(FakeMachine *m, FakeRealm *r, uint64_t flags, uint64_t pc);
/* RAM of 16 pages at 0, two RECs (one runnable), active. */
FakeRealm fake_realm_active(FakeMachine *m);
/* Take it all apart again, as a host does. */
void fake_realm_destroy(FakeMachine *m, FakeRealm *r);

/* Enter REC @i with the run page @i; the Realm runs afterwards. */
void fake_enter(FakeMachine *m, RmmPe *pe, const FakeRealm *r, unsigned i);
RmiRecRun *fake_run(FakeMachine *m, unsigned i);
/* The RMM's object, for asserts on its insides. */
RmmRealm *fake_realm_object(FakeMachine *m, const FakeRealm *r);

#endif
