/*
 * A Realm backend that is strict about its callers
 *
 * Purpose: for tests of migration/realm/, in the place of an accelerator:
 * pages are version numbers, and every call that include/system/
 * realm-backend.h does not allow fails an assertion.  The source and the
 * destination are one backend, with a state for each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_REALM_FAKE_BACKEND_H
#define TESTS_UNIT_REALM_FAKE_BACKEND_H

#include "system/realm-backend.h"

#define FAKE_PAGES 10           /* no multiple of what follows */
#define FAKE_MAX_PAGES 4
#define FAKE_MAX_BLOB 128
#define FAKE_STATE_PARTS 3

typedef enum FakePhase {
    FAKE_IDLE,
    FAKE_ACCEPTED,
    FAKE_OPEN,
    FAKE_PAUSED,
    FAKE_STARTED,               /* the other side runs the Realm */
} FakePhase;

typedef struct FakeSource {
    FakePhase phase;
    uint32_t version[FAKE_PAGES];       /* 0: never assigned */
    bool dirty[FAKE_PAGES];             /* written since the last round */
    bool due[FAKE_PAGES];               /* in this round, not yet exported */
    bool sent[FAKE_PAGES];              /* in this epoch */
    unsigned in_epoch;
    unsigned epochs, bundles, aborts;
    unsigned parts;
} FakeSource;

typedef struct FakeDestination {
    bool begun, dead, started, committed, given_up;
    uint32_t version[FAKE_PAGES];
    bool got[FAKE_PAGES];               /* in this epoch */
    unsigned parts;
} FakeDestination;

extern FakeSource fake_source;
extern FakeDestination fake_destination;

/* The name of a function of RealmBackendOps that fails from now on, or NULL. */
extern const char *fake_failing;

extern const RealmBackendOps fake_backend;

/* Both sides as at their start; all pages but the last are assigned. */
void fake_reset(void);

/* The guest writes to a page. */
void fake_write(unsigned page);

#endif
