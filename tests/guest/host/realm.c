/*
 * The bare host: Realms (see realm.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "realm.h"

#define ENTRY_MS 20000

static struct realm realms[MAX_REALMS];
static uint16_t last_vmid;      /* one that was abandoned stays in use */
static spinlock lock;

asm(".section .rodata\n"
    ".balign 4096\n"
    "program:\n"
    "    .incbin \"payload.bin\"\n"
    "program_end:\n"
    ".previous\n");
extern const char program[], program_end[];

static uint64_t size_at(int level)
{
    return 1ul << (39 - 9 * level);
}

/* A call that this file needs, or the case is over. */
#define OK(call, ...) EXPECT(RMI(call, __VA_ARGS__).x0, RMI_SUCCESS, #call)

/* ---- Piece by piece ---- */

void realm_params(RmiRealmParams *params)
{
    memset(params, 0, sizeof(*params));
    params->s2sz = REALM_IPA_BITS;
    params->num_bps = params->num_wps = 1;
    params->hash_algo = RMI_HASH_SHA_256;
    params->rtt_level_start = 1;
    params->rtt_num_start = 1;
}

static struct realm *new_realm(void)
{
    for (unsigned n = 0; n < MAX_REALMS; n++) {
        if (!realms[n].used) {
            memset(&realms[n], 0, sizeof(realms[n]));
            realms[n].used = true;
            realms[n].cpu = cpu_index();
            realms[n].params.vmid = ++last_vmid;
            return &realms[n];
        }
    }
    panic("no Realm left of", MAX_REALMS);
}

struct realm *realm_create(const RmiRealmParams *params)
{
    uint64_t page = page_new(1);
    struct realm *realm;
    unsigned vmid;

    spin_lock(&lock);
    realm = new_realm();
    spin_unlock(&lock);
    vmid = realm->params.vmid;
    realm->params = *params;
    realm->params.vmid = vmid;
    realm->root = granule_new(params->rtt_num_start);
    realm->params.rtt_base = realm->root;
    realm->rd = granule_new(1);
    memcpy((void *)page, &realm->params, sizeof(realm->params));
    OK(RMI_REALM_CREATE, realm->rd, page);
    page_free(page, 1);
    __atomic_fetch_add(&figures.realms, 1, __ATOMIC_RELAXED);
    return realm;
}

static struct piece *find_piece(struct realm *realm, enum piece_kind kind,
                                int level, uint64_t ipa)
{
    for (unsigned n = 0; n < realm->num_pieces; n++) {
        struct piece *piece = &realm->pieces[n];

        if (piece->kind == kind && piece->level == level &&
            piece->ipa == ipa) {
            return piece;
        }
    }
    return NULL;
}

static struct piece *add_piece(struct realm *realm, enum piece_kind kind,
                               int level, uint64_t ipa, uint64_t pa)
{
    struct piece *piece = &realm->pieces[realm->num_pieces++];

    if (realm->num_pieces >= MAX_PIECES) {
        panic("a Realm has too many pieces:", realm->num_pieces);
    }
    *piece = (struct piece) { kind, level, ipa, pa, false };
    return piece;
}

static void remove_piece(struct realm *realm, struct piece *piece)
{
    *piece = realm->pieces[--realm->num_pieces];
}

void realm_tables(struct realm *realm, uint64_t ipa, int level)
{
    for (int l = realm->params.rtt_level_start + 1; l <= level; l++) {
        uint64_t base = ipa & -size_at(l - 1);

        if (!find_piece(realm, PIECE_TABLE, l, base)) {
            uint64_t table = granule_new(1);

            OK(RMI_RTT_CREATE, realm->rd, table, base, l);
            add_piece(realm, PIECE_TABLE, l, base, table);
        }
    }
}

void realm_forget_table(struct realm *realm, uint64_t ipa, int level)
{
    struct piece *piece = find_piece(realm, PIECE_TABLE, level, ipa);

    if (piece) {
        remove_piece(realm, piece);
    }
}

void realm_ram(struct realm *realm, uint64_t base, uint64_t top)
{
    while (base < top) {
        struct result r = RMI(RMI_RTT_INIT_RIPAS, realm->rd, base, top);

        EXPECT(r.x0, RMI_SUCCESS, "RTT_INIT_RIPAS");
        EXPECT_TRUE(r.x1 > base && r.x1 <= top, "progress of INIT_RIPAS");
        base = r.x1;
    }
}

uint64_t realm_page(struct realm *realm, uint64_t ipa, const void *from)
{
    uint64_t pa = granule_new(1);

    realm_tables(realm, ipa, 3);
    if (from) {
        OK(RMI_DATA_CREATE, realm->rd, pa, ipa, (uint64_t)from, 0);
    } else {
        OK(RMI_DATA_CREATE_UNKNOWN, realm->rd, pa, ipa);
    }
    add_piece(realm, PIECE_DATA, 3, ipa, pa);
    return pa;
}

void realm_unmap(struct realm *realm, uint64_t ipa)
{
    struct piece *piece = find_piece(realm, PIECE_DATA, 3, ipa);
    struct result r = RMI(RMI_DATA_DESTROY, realm->rd, ipa);

    EXPECT(r.x0, RMI_SUCCESS, "DATA_DESTROY");
    EXPECT_TRUE(piece && r.x1 == piece->pa, "the page that DATA_DESTROY names");
    granule_free(r.x1, 1);
    remove_piece(realm, piece);
}

void realm_lend_as(struct realm *realm, uint64_t ipa, uint64_t pa,
                   uint64_t attributes)
{
    realm_tables(realm, ipa, 3);
    OK(RMI_RTT_MAP_UNPROTECTED, realm->rd, ipa, 3, pa | attributes);
    add_piece(realm, PIECE_LENT, 3, ipa, pa);
}

uint64_t realm_lend(struct realm *realm, uint64_t ipa, uint64_t pa)
{
    bool own = !pa;

    if (own) {
        pa = page_new(1);
    }
    realm_lend_as(realm, ipa, pa, LEND_NORMAL | LEND_READ_WRITE);
    find_piece(realm, PIECE_LENT, 3, ipa)->own = own;
    return pa;
}

void realm_take_back(struct realm *realm, uint64_t ipa)
{
    struct piece *piece = find_piece(realm, PIECE_LENT, 3, ipa);

    OK(RMI_RTT_UNMAP_UNPROTECTED, realm->rd, ipa, 3);
    if (piece->own) {
        page_free(piece->pa, 1);
    }
    remove_piece(realm, piece);
}

struct rec *realm_rec(struct realm *realm, bool runnable, uint64_t pc,
                      const uint64_t gprs[8])
{
    unsigned index = realm->num_recs;
    struct rec *rec = &realm->recs[index];
    struct result r = RMI(RMI_REC_AUX_COUNT, realm->rd);
    RmiRecParams *params = (RmiRecParams *)page_new(1);

    EXPECT(r.x0, RMI_SUCCESS, "REC_AUX_COUNT");
    EXPECT_TRUE(r.x1 <= 16, "the number of auxiliary granules");
    *rec = (struct rec) { .realm = realm, .index = index, .num_aux = r.x1 };
    params->flags = runnable ? RMI_REC_RUNNABLE : 0;
    params->mpidr = index;
    params->pc = pc;
    if (gprs) {
        memcpy(params->gprs, gprs, sizeof(params->gprs));
    }
    params->num_aux = rec->num_aux;
    for (unsigned n = 0; n < rec->num_aux; n++) {
        params->aux[n] = rec->aux[n] = granule_new(1);
    }
    rec->pa = granule_new(1);
    OK(RMI_REC_CREATE, realm->rd, rec->pa, (uint64_t)params);
    page_free((uint64_t)params, 1);
    rec->run = (RmiRecRun *)page_new(1);
    realm->num_recs++;
    return rec;
}

void realm_activate(struct realm *realm)
{
    OK(RMI_REALM_ACTIVATE, realm->rd);
}

static void end_rec(struct rec *rec)
{
    OK(RMI_REC_DESTROY, rec->pa);
    granule_free(rec->pa, 1);
    for (unsigned n = 0; n < rec->num_aux; n++) {
        granule_free(rec->aux[n], 1);
    }
    page_free((uint64_t)rec->run, 1);
}

static void end_pieces(struct realm *realm, enum piece_kind kind, int level)
{
    for (unsigned n = realm->num_pieces; n--; ) {
        struct piece piece = realm->pieces[n];

        if (piece.kind != kind || piece.level != level) {
            continue;
        }
        if (kind == PIECE_DATA) {
            realm_unmap(realm, piece.ipa);
        } else if (kind == PIECE_LENT) {
            realm_take_back(realm, piece.ipa);
        } else {
            struct result r = RMI(RMI_RTT_DESTROY, realm->rd, piece.ipa,
                                  level);

            EXPECT(r.x0, RMI_SUCCESS, "RTT_DESTROY");
            EXPECT(r.x1, piece.pa, "the table that RTT_DESTROY names");
            granule_free(piece.pa, 1);
            remove_piece(realm, &realm->pieces[n]);
        }
    }
}

void realm_end(struct realm *realm)
{
    while (realm->num_recs) {
        end_rec(&realm->recs[--realm->num_recs]);
    }
    end_pieces(realm, PIECE_DATA, 3);
    end_pieces(realm, PIECE_LENT, 3);
    for (int level = 3; level > realm->params.rtt_level_start; level--) {
        end_pieces(realm, PIECE_TABLE, level);
    }
    OK(RMI_REALM_DESTROY, realm->rd);
    granule_free(realm->rd, 1);
    granule_free(realm->root, realm->params.rtt_num_start);
    realm->used = false;
}

/*
 * After a failed case.  The granules stay delegated here: granules_forget()
 * looks after them.
 */
static void abandon(struct realm *realm)
{
    while (realm->num_recs) {
        struct rec *rec = &realm->recs[--realm->num_recs];

        RMI(RMI_REC_DESTROY, rec->pa);
    }
    for (int level = 4; level > 0; level--) {
        for (unsigned n = 0; n < realm->num_pieces; n++) {
            struct piece *piece = &realm->pieces[n];

            if (piece->kind == PIECE_DATA && level == 4) {
                RMI(RMI_DATA_DESTROY, realm->rd, piece->ipa);
            } else if (piece->kind == PIECE_TABLE && piece->level == level) {
                RMI(RMI_RTT_DESTROY, realm->rd, piece->ipa, level);
            }
        }
    }
    RMI(RMI_REALM_DESTROY, realm->rd);
    realm->used = false;
}

void realm_end_all(void)
{
    for (unsigned n = 0; n < MAX_REALMS; n++) {
        if (realms[n].used) {
            abandon(&realms[n]);
        }
    }
}

/* ---- A whole Realm ---- */

void realm_load(struct realm *realm)
{
    uint64_t size = program_end - program;

    realm_tables(realm, REALM_CODE, 3);
    realm_ram(realm, REALM_CODE, REALM_CODE + BLOCK);
    for (uint64_t at = 0; at < size; at += PAGE) {
        realm_page(realm, REALM_CODE + at, program + at);
    }
}

struct realm *realm_start_with(const RmiRealmParams *params, unsigned recs,
                               bool all_runnable)
{
    struct realm *realm = realm_create(params);

    realm_load(realm);
    realm->shared = realm_lend(realm, REALM_SHARED, 0);
    for (unsigned n = 0; n < recs; n++) {
        realm_rec(realm, all_runnable || n == 0, REALM_CODE, NULL);
    }
    realm_activate(realm);
    return realm;
}

struct realm *realm_start(unsigned recs)
{
    RmiRealmParams params;

    realm_params(&params);
    return realm_start_with(&params, recs, true);
}

void realm_abandon(void)
{
    for (unsigned n = 0; n < MAX_REALMS; n++) {
        if (realms[n].cpu == cpu_index()) {
            realms[n].used = false;
        }
    }
}

/* ---- Running ---- */

/* Another CPU has ended what it did: that is no news to a case. */
static bool only_woken(const RmiRecExit *exit)
{
    if (exit->exit_reason != RMI_EXIT_IRQ ||
        (READ(ICC_HPPIR1) & 0xffffff) != SGI_WAKE) {
        return false;
    }
    gic_take();
    return true;
}

/*
 * What the host answers is answered by the first of its entries, and the
 * interrupts that it gives are in the list as the last one left it.
 */
uint64_t rec_try_enter(struct rec *rec)
{
    RmiRecRun *run = rec->run;
    uint64_t result;

    for (;;) {
        result = RMI(RMI_REC_ENTER, rec->pa, (uint64_t)run).x0;
        if (result != RMI_SUCCESS || !only_woken(&run->exit)) {
            return result;
        }
        run->enter.flags &= RMI_ENTER_TRAP_WFI | RMI_ENTER_TRAP_WFE;
        memcpy(run->enter.gicv3_lrs, run->exit.gicv3_lrs,
               sizeof(run->enter.gicv3_lrs));
    }
}

RmiRecExit *rec_enter_for(struct rec *rec, unsigned ms)
{
    RmiRecExit *exit = &rec->run->exit;

    memset(exit, 0xa5, sizeof(*exit));
    alarm_set(ms);
    EXPECT(rec_try_enter(rec), RMI_SUCCESS, "REC_ENTER");
    if (ms == ENTRY_MS && alarm_rang()) {
        EXPECT(ENTRY_MS, 0, "milliseconds without an exit");
    }
    alarm_off();
    rec->run->enter.flags = 0;
    return exit;
}

RmiRecExit *rec_enter(struct rec *rec)
{
    return rec_enter_for(rec, ENTRY_MS);
}

static void get_ready(struct rec *rec)
{
    RmiRecExit *exit = rec_enter(rec);

    EXPECT(exit->exit_reason, RMI_EXIT_HOST_CALL,
           "why the program exits at its start");
    EXPECT(exit->imm, REALM_READY, "the program's first host call");
    rec->ready = true;
}

static void prepare(struct rec *rec, const uint64_t *words, unsigned n)
{
    uint64_t *gprs = rec->run->enter.gprs;

    if (!rec->ready) {
        get_ready(rec);
    }
    memset(gprs, 0, sizeof(rec->run->enter.gprs));
    memcpy(gprs, words, n * 8);
}

RmiRecExit *rec_command(struct rec *rec, const uint64_t *words, unsigned n)
{
    prepare(rec, words, n);
    return rec_enter(rec);
}

RmiRecExit *rec_command_for(struct rec *rec, const uint64_t *words, unsigned n,
                            unsigned ms)
{
    prepare(rec, words, n);
    return rec_enter_for(rec, ms);
}

void rec_expect_done(const RmiRecExit *exit)
{
    if (exit->exit_reason == RMI_EXIT_SYNC) {
        EXPECT(exit->esr, 0, "ESR of an exit where a host call was expected");
    }
    EXPECT(exit->exit_reason, RMI_EXIT_HOST_CALL, "the exit's reason");
    EXPECT(exit->imm, REALM_DONE, "the host call's number");
}

void realm_wait_for_spin(const struct realm *realm)
{
    const volatile uint64_t *sign = (uint64_t *)realm->shared + 1;
    uint64_t end = ticks() + ticks_of_ms(10000);

    while (!*sign) {
        EXPECT_TRUE(ticks() < end, "that the REC runs");
    }
}

static RmiRecExit *execute(struct rec *rec, struct snippet snippet,
                           const uint64_t x[5], unsigned ms)
{
    uint64_t words[15] = { REALM_EXECUTE, snippet.end - snippet.code };

    if (words[1] > 16) {
        panic("too many instructions for the Realm:", words[1]);
    }
    memcpy(words + 2, snippet.code, words[1] * 4);
    memcpy(words + 10, x, 5 * sizeof(*x));
    return rec_command_for(rec, words, 15, ms);
}

RmiRecExit *rec_execute(struct rec *rec, struct snippet snippet, uint64_t x0,
                        uint64_t x1, uint64_t x2)
{
    return execute(rec, snippet, (const uint64_t[5]) { x0, x1, x2 }, ENTRY_MS);
}

RmiRecExit *rec_execute_for(struct rec *rec, struct snippet snippet,
                            unsigned ms)
{
    return execute(rec, snippet, (const uint64_t[5]) { 0 }, ms);
}

RmiRecExit *rec_smc(struct rec *rec, uint64_t fid, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4)
{
    return execute(rec, SNIPPET("smc #0"),
                   (const uint64_t[5]) { fid, a1, a2, a3, a4 }, ENTRY_MS);
}

RmiRecExit *rec_executed(struct rec *rec, struct snippet snippet, uint64_t x0,
                         uint64_t x1, uint64_t x2)
{
    RmiRecExit *exit = rec_execute(rec, snippet, x0, x1, x2);

    rec_expect_done(exit);
    return exit;
}
