/*
 * A Realm backend that is strict about its callers
 *
 * Purpose: for tests of migration/realm/, in the place of an accelerator:
 * pages are version numbers, and every call that include/system/
 * realm-backend.h does not allow fails an assertion.  The source and the
 * destination are one backend, with a state for each; fake_migration.loading
 * says which of them is asked for its phase.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_REALM_FAKE_BACKEND_H
#define TESTS_UNIT_REALM_FAKE_BACKEND_H

#include "system/realm-backend.h"

#define FAKE_PAGES 10           /* no multiple of what follows */
#define FAKE_MAX_PAGES 4
#define FAKE_MAX_STREAMS 3
#define FAKE_MAX_BLOB 128
#define FAKE_STATE_PARTS 3

typedef struct FakeSource {
    RealmPhase phase;
    uint32_t nonce;                     /* the one drawn last */
    uint32_t version[FAKE_PAGES];       /* 0: never assigned */
    bool dirty[FAKE_PAGES];             /* written since the last round */
    bool due[FAKE_PAGES];               /* in this round, not yet exported */
    bool sent[FAKE_PAGES];              /* in this epoch */
    unsigned in_epoch;                  /* bundles */
    uint32_t next[FAKE_MAX_STREAMS];    /* number of the next bundle */
    bool busy[FAKE_MAX_STREAMS];        /* a bundle is being exported */
    unsigned epochs, bundles, aborts;
    unsigned parts;
} FakeSource;

typedef struct FakeDestination {
    RealmPhase phase;
    uint32_t nonce;                     /* that its offer is for */
    bool begun, dead, started, committed, given_up;
    uint32_t version[FAKE_PAGES];
    bool got[FAKE_PAGES];               /* in this epoch */
    unsigned in_epoch;                  /* bundles */
    uint32_t next[FAKE_MAX_STREAMS];    /* number of the next bundle */
    unsigned parts;
} FakeDestination;

extern FakeSource fake_source;
extern FakeDestination fake_destination;

/*
 * The function of RealmBackendOps of this name (none if NULL) fails from now
 * on: its call number @at, from 1 on, or each if 0.  @too_late: it does what
 * it is for, and then says that it has failed, as with a kernel whose answer
 * makes no sense.
 */
void fake_fail(const char *function, unsigned at, bool too_late);

/* Exports take so long, on average; each other time. */
extern unsigned fake_export_us;

/* RealmMigrationLimits; of the side that saves or loads now. */
extern size_t fake_page_size;

/* From now on exports wait, until that is over. */
void fake_hold_exports(bool hold);

/* How often the function was called, and the names of all that can fail. */
unsigned fake_calls(const char *function);
extern const char *const fake_functions[];

extern const RealmBackendOps fake_backend;

/* Both sides as at their start; all pages but the last are assigned. */
void fake_reset(void);

/* Another destination, which waits, or has made an offer for the nonce. */
void fake_destination_new(bool offered);

/* The source accepts the offer of another destination. */
void fake_agree(void);

/*
 * The destination says that it is ready; once, where @meanwhile of the fake
 * migration does it.
 */
void fake_answer(void);

/* The guest writes to a page. */
void fake_write(unsigned page);

#endif
