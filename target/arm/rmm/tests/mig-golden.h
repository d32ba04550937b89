/*
 * The golden streams: migrations of earlier releases, kept as files
 *
 * Purpose: read the streams, and make a destination with the same offer, for
 * those who import them (test-golden, fuzz-import); make the same records
 * again, for another destination (mig-peer).  The environment variable
 * GOLDEN_STREAMS names the folder, tests/data.
 *
 * Invariant: the payloads of tokens are in the keys, so a destination has the
 * keys of a stream only if it says the same of itself: its software is the
 * stream's, whatever the library is made of.
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
    uint64_t unknown;           /* features that it offers, and nobody has */
    uint64_t used;              /* features of the session */
    /* Each side has a platform key of its own.  The policy names the source's,
       an authority that vouches for the destination's, and their software. */
    bool anchors;
} Golden;

enum { GOLDEN_PAGES = 5, GOLDEN_RECS = 2, GOLDEN_STREAMS = 4 };

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

/* The offer of @m, for the nonce that it has */
Record *golden_offer(const Golden *g, Machine *m);

/* That of nonce.bin and random.bin: the offer of that time, but for how it is
   signed */
Record *golden_offer_again(const Golden *g, Machine *m);

/*
 * All records but the start token of @src, which has accepted an offer: two
 * epochs on three streams, then the state.  The caller owns them.
 */
GPtrArray *golden_make_records(Machine *src);

/*
 * A digest of the Realm in words that no structure of ours changes: map,
 * measurements, history, RECs, pages.  The caller frees it.
 */
char *golden_describe(Machine *m);

#endif
