/*
 * Calls that must be refused: the world they meet, and tables of them
 *
 * Purpose: a row takes a call that would succeed (the base of its command) and
 * makes one thing wrong, or two where the order of checks matters.  The tests
 * prove that each row gets its status and index, and that nothing changed.
 *
 * Labels are those of the architecture compliance suite; negative-labels.h
 * says how often it has each.  A label with a + in front is one of ours.
 *
 * Lock rule: one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NEGATIVE_H
#define NEGATIVE_H

#include "fake-machine.h"
#include "granule.h"

/* IPAs of the Realms of a world: 41 bits, start level 0. */
#define IPA_PAGE        0x0ull          /* ASSIGNED, RAM */
#define IPA_FREE        0x1000ull       /* UNASSIGNED, EMPTY, in a table */
#define IPA_NO_L3       0x200000ull     /* UNASSIGNED at level 2 */
#define IPA_EMPTY_L3    0x600000ull     /* a table of nothing at level 3 */
#define IPA_NO_L2       0x40000000ull   /* UNASSIGNED at level 1 */
#define IPA_NO_L1       0x8000000000ull /* UNASSIGNED at level 0 */
#define IPA_NS          (1ull << 40)    /* where the unprotected half starts */
#define IPA_NS_PAGE     IPA_NS          /* ASSIGNED_NS at level 3 */
#define IPA_NS_FREE     (IPA_NS + 0x1000)
#define IPA_NS_BLOCK    (IPA_NS + 0x200000)     /* ASSIGNED_NS at level 2 */
#define IPA_NS_NO_L3    (IPA_NS + 0x400000)     /* UNASSIGNED_NS at level 2 */
#define IPA_END         (1ull << 41)
#define NS_DESC         (0x80000000ull | 3 << 6 | 6 << 2)

/* PAs that are neither granules nor Non-secure memory... */
#define PA_SECURE       0x0e000000ull
#define PA_ROOT         0x04000000ull
#define PA_DEVICE       0x1c090000ull
#define PA_BEYOND       (1ull << 52)
/* ...and memory of the machine that descriptors without LPA2 cannot name. */
#define PA_HIGH         (1ull << 48)

typedef enum WorldRealm {
    REALM_FRESH,                /* NEW, with a REC */
    REALM_RUNS,                 /* ACTIVE: REC 0 on, 1 off, 2 on */
    REALM_OFF,                  /* SYSTEM_OFF, with two RECs */
    REALM_EMPTY,                /* NEW, without tables and RECs */
    REALM_GONE,                 /* destroyed; its RD is DELEGATED */
    WORLD_REALMS
} WorldRealm;

typedef struct World {
    FakeMachine *m;
    FakeRealm realm[WORLD_REALMS];
    uint64_t granule[GRANULE_STATES];   /* one in each state, of no base */
    uint64_t spare;                     /* DELEGATED */
    RmmPe host;
    RmmPe guest;                /* runs REC 0 of REALM_RUNS, if it runs */
    uint64_t x[11];             /* the call: X1 to X10 */
} World;

World *world_new(void);
/* The same with LPA2: on the machine, and in each Realm. */
World *world_new_lpa2(void);
/* The same with @more granules of memory that nobody uses. */
World *world_new_large(size_t more);
void world_free(World *w);

/* The Realm's next call is the REC's; @i of REALM_RUNS. */
void world_enter(World *w, unsigned i);
/* The REC of world_enter calls, and the result stays in w->guest. */
void world_guest_call(World *w, uint64_t fid, uint64_t x1, uint64_t x2,
                      uint64_t x3);
/* It asks for RIPAS RAM in [@base, @base + @size), and the REC exits. */
void world_ask_ripas(World *w, uint64_t base, uint64_t size);

/* A step that makes a call wrong; what @a and @b are is its own. */
typedef void PieceFn(World *w, uint64_t a, uint64_t b);

typedef struct Piece {
    PieceFn *fn;
    uint64_t a, b;
} Piece;

typedef struct NegativeRow {
    const char *label;
    uint64_t x0;
    Piece piece[3];
    bool without_lpa2;          /* with it, there is nothing wrong */
    bool has_top;               /* the last output is `top` */
    uint64_t top;
} NegativeRow;

typedef enum CommandWorld { BY_HOST, BY_REALM } CommandWorld;

typedef struct NegativeCommand {
    const char *name;           /* in negative-labels.h */
    uint64_t fid;
    CommandWorld world;
    unsigned outputs;           /* X1 and up: may change */
    bool switches;              /* the base changes the PE's world... */
    uint64_t good;              /* ...or stays, with this X0 */
    void (*base)(World *w);
    const NegativeRow *rows;
    size_t num_rows;
} NegativeCommand;

extern const NegativeCommand rmi_commands[], rsi_commands[];
extern const size_t num_rmi_commands, num_rsi_commands;

/* What @c's arguments in X1 and up are, in order; X1 is [0]. */
typedef enum ArgumentKind {
    ARG_NONE,
    ARG_RD, ARG_REC, ARG_FREE,  /* granules in state RD, REC, DELEGATED */
    ARG_UNDELEGATED,            /* granule in state NS */
    ARG_NS,                     /* page of Non-secure memory */
    ARG_IPA, ARG_TOP, ARG_LEVEL,
    ARG_OTHER
} ArgumentKind;

const ArgumentKind *command_arguments(const NegativeCommand *c);

/* Issue @c as w->x says, with @more in X0 as well; returns X0. */
uint64_t world_issue(World *w, const NegativeCommand *c, uint64_t more);

/*
 * The same, and prove that it is refused with @x0 and changes nothing, with
 * the SVE hint and without.  Says @what if not.
 */
void world_refused(World *w, const NegativeCommand *c, uint64_t x0,
                   const char *what);

/* Prove that @c as w->x says is not refused. */
void world_accepted(World *w, const NegativeCommand *c, const char *what);

#endif
