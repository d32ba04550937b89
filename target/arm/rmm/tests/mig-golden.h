/*
 * The golden streams: migrations of earlier releases, kept as files
 *
 * Purpose: read the streams, and make a destination with the same offer, for
 * those who import them (test-golden, fuzz-import); make the same records
 * again, for another destination (mig-peer).  The environment variable
 * GOLDEN_STREAMS names the folder, tests/data.
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIG_GOLDEN_H
#define MIG_GOLDEN_H

#include "mig-machine.h"

typedef struct Golden {
    const char *name;
    MachineParams params;
    /* The destination: which release it was */
    unsigned minor;
    uint64_t features;
    uint64_t used;              /* features of the session */
    /* Each side has a platform key of its own; the policy names both */
    bool anchors;
} Golden;

enum { GOLDEN_PAGES = 5, GOLDEN_RECS = 2, GOLDEN_STREAMS = 3 };

extern const Golden golden_streams[GOLDEN_STREAMS];

/* A file of a stream, or with NULL its folder */
char *golden_path(const char *folder, const Golden *g, const char *file);

/* NULL if there is no such file */
Record *golden_load(const Golden *g, const char *file);

/* The records behind the offer, as 01.bin and so on */
GPtrArray *golden_load_all(const Golden *g);

/* The destination, before its offer; the caller owns it */
Machine *golden_destination(const Golden *g);

/* The source, active, with GOLDEN_PAGES pages; the caller owns it */
Machine *golden_source(const Golden *g);

/* The offer of that time, but for its token: @random is what was drawn */
Record *golden_offer(Machine *m, const Record *random);

/*
 * All records of @src, which has accepted an offer: two epochs on two streams,
 * then the state.  The caller owns them.
 */
GPtrArray *golden_make_records(Machine *src);

/*
 * A digest of the Realm in words that no structure of ours changes: map,
 * measurements, RECs, pages.  The caller frees it.
 */
char *golden_describe(Machine *m);

#endif
