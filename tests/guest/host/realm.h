/*
 * The bare host: Realms, built by RMI calls and run by RMI_REC_ENTER
 *
 * Purpose: what every case needs around the one thing that it is about.  A
 * call that does not succeed here ends the case, so a case says only what it
 * expects beyond success.
 *
 * Invariant: a Realm knows each granule that it got, so that realm_end() and,
 * after a failed case, realm_end_all() give all of them back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_HOST_REALM_H
#define TESTS_HOST_REALM_H

#include "realm-abi.h"
#include "rmi.h"
#include "test.h"

struct rec {
    struct realm *realm;
    uint64_t pa;
    RmiRecRun *run;
    unsigned index;
    unsigned num_aux;
    uint64_t aux[16];
    bool ready;             /* it has made its first host call */
};

enum piece_kind { PIECE_TABLE, PIECE_DATA, PIECE_LENT };

struct piece {
    enum piece_kind kind;
    int level;
    uint64_t ipa, pa;
    bool own;               /* lent: a page of the pool's, freed with it */
};

#define MAX_PIECES  512
#define MAX_REALMS  8

struct realm {
    bool used;
    unsigned cpu;           /* that made it */
    uint64_t rd;
    uint64_t root;
    RmiRealmParams params;
    unsigned num_recs;
    struct rec recs[REALM_MAX_RECS];
    unsigned num_pieces;
    struct piece pieces[MAX_PIECES];
    uint64_t shared;        /* PA of the page lent at REALM_SHARED */
};

/* ---- Piece by piece ---- */

/* The defaults: REALM_IPA_BITS, SHA-256, nothing optional; vmid is set. */
void realm_params(RmiRealmParams *params);
struct realm *realm_create(const RmiRealmParams *params);
/* Makes tables so that @ipa has an entry at @level. */
void realm_tables(struct realm *realm, uint64_t ipa, int level);
/* A table that the case itself destroyed. */
void realm_forget_table(struct realm *realm, uint64_t ipa, int level);
void realm_ram(struct realm *realm, uint64_t base, uint64_t top);
/* A page with what @from has (measured not), or unknown if that is NULL. */
uint64_t realm_page(struct realm *realm, uint64_t ipa, const void *from);
/* Forgets the page and destroys it; its granule is free again. */
void realm_unmap(struct realm *realm, uint64_t ipa);
/* Lends the page at @pa, or a new one if that is 0; returns it. */
uint64_t realm_lend(struct realm *realm, uint64_t ipa, uint64_t pa);
void realm_lend_as(struct realm *realm, uint64_t ipa, uint64_t pa,
                   uint64_t attributes);
void realm_take_back(struct realm *realm, uint64_t ipa);
#define LEND_NORMAL     (6ul << 2)      /* MemAttr, FWB: write-back */
#define LEND_READ       (1ul << 6)
#define LEND_READ_WRITE (3ul << 6)
struct rec *realm_rec(struct realm *realm, bool runnable, uint64_t pc,
                      const uint64_t gprs[8]);
void realm_activate(struct realm *realm);
/* All of it is destroyed, and all granules are free and zero. */
void realm_end(struct realm *realm);
/* Whatever there is, as far as that goes. */
void realm_end_all(void);
/* Forgets those that this CPU made, which stay as they are. */
void realm_abandon(void);

/* ---- A whole Realm ---- */

/*
 * With the program of payload.c, @recs RECs (all runnable, or the first alone),
 * a page lent at REALM_SHARED, and the rest of the program's block RAM without
 * pages; active.
 */
struct realm *realm_start(unsigned recs);
struct realm *realm_start_with(const RmiRealmParams *params, unsigned recs,
                               bool all_runnable);
/* The program and the RAM around it, in a Realm that is new. */
void realm_load(struct realm *realm);

/* ---- Running ---- */

/*
 * One entry.  The Realm may run for 20 seconds, then an interrupt ends it and
 * the case.  rec_try_enter returns what RMI_REC_ENTER did.
 */
uint64_t rec_try_enter(struct rec *rec);
RmiRecExit *rec_enter(struct rec *rec);
/* An interrupt ends it after @ms at most; that is no failure. */
RmiRecExit *rec_enter_for(struct rec *rec, unsigned ms);
/*
 * Gives the command to the program in the Realm; before the first one, runs it
 * until it asks.  Returns the first exit, which is not REALM_DONE if the
 * command did something that the host hears of.
 */
RmiRecExit *rec_command(struct rec *rec, const uint64_t *words, unsigned n);
RmiRecExit *rec_command_for(struct rec *rec, const uint64_t *words, unsigned n,
                            unsigned ms);
#define COMMAND(rec, ...) \
    rec_command(rec, (const uint64_t[]) { __VA_ARGS__ }, \
                sizeof((const uint64_t[]) { __VA_ARGS__ }) / 8)
void rec_expect_done(const RmiRecExit *exit);
/* REALM_SPIN of REALM_SHARED, [3] for it, and the wait until it has begun */
#define SPIN_SIGN   (REALM_SHARED + 8)
void realm_wait_for_spin(const struct realm *realm);

/* Instructions for REALM_EXECUTE: SNIPPET("mov x0, #1\n ...") */
struct snippet {
    const uint32_t *code, *end;
};
#define SNIPPET(text) ({ \
    struct snippet snippet_; \
    asm("adr %0, 1f\n adr %1, 2f\n b 2f\n1: " text "\n2:\n" \
        : "=&r"(snippet_.code), "=r"(snippet_.end)); \
    snippet_; })
#define WORD(word) ({ \
    static const uint32_t word_[1] = { word }; \
    (struct snippet) { word_, word_ + 1 }; })
/* With @x0, @x1 and @x2 in these registers. */
RmiRecExit *rec_execute(struct rec *rec, struct snippet snippet, uint64_t x0,
                        uint64_t x1, uint64_t x2);
RmiRecExit *rec_execute_for(struct rec *rec, struct snippet snippet,
                            unsigned ms);
/* As rec_execute; the command has to end without any exit in between. */
RmiRecExit *rec_executed(struct rec *rec, struct snippet snippet, uint64_t x0,
                         uint64_t x1, uint64_t x2);

/* SMC of the Realm, with X0 to X4; the first exit, or the end. */
RmiRecExit *rec_smc(struct rec *rec, uint64_t fid, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4);

/* Of an exit after REALM_EXECUTE */
#define GOT_EXCEPTIONS(exit)    ((exit)->gprs[8])
#define GOT_ESR(exit)           ((exit)->gprs[9])
#define GOT_FAR(exit)           ((exit)->gprs[10])
#define GOT_ELR(exit)           ((exit)->gprs[11])
#define GOT_INTERRUPTS(exit)    ((exit)->gprs[13])
#define GOT_INTID(exit)         ((exit)->gprs[14])

#endif
