/*
 * The twin: tables, pages, RIPAS, measurements (see twin.h)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <gnutls/crypto.h>
#include "twin.h"

#define ENTRIES 512

static uint64_t rtt_error(int level)
{
    return RMI_ERROR_RTT + 256 * (uint64_t)(level & 0xff);
}

/* ---- measurements ---- */

void twin_hash(const TwinRealm *r, const void *data, size_t len,
               uint8_t out[64])
{
    memset(out, 0, 64);
    g_assert_cmpint(gnutls_hash_fast(r->hash_algo == RMI_HASH_SHA_512
                                     ? GNUTLS_DIG_SHA512
                                     : GNUTLS_DIG_SHA256, data, len, out),
                    ==, 0);
}

/* Types 0 (DATA) and 2 (RIPAS) have two words, 0 and 1 (REC) a hash. */
void twin_rim(TwinRealm *r, unsigned type, uint64_t first, uint64_t second,
              const uint8_t *hash)
{
    uint8_t d[256] = { type };
    const uint64_t length = sizeof(d);
    unsigned hash_at = type == 0 ? 0x60 : 0x50;

    memcpy(d + 0x08, &length, 8);
    memcpy(d + 0x10, r->measurement[0], 64);
    if (type != 1) {
        memcpy(d + 0x50, &first, 8);
        memcpy(d + 0x58, &second, 8);
    }
    if (hash) {
        memcpy(d + hash_at, hash, 64);
    }
    twin_hash(r, d, sizeof(d), r->measurement[0]);
}

/* ---- tables ---- */

uint64_t twin_bytes(int level)
{
    uint64_t bytes = RMM_GRANULE_SIZE;

    for (; level < 3; level++) {
        bytes *= ENTRIES;
    }
    return bytes;
}

static TwinTable *table_new(TwinRealm *r, int level, uint64_t ipa, uint64_t pa)
{
    TwinTable *table = g_new0(TwinTable, 1);

    table->level = level;
    table->ipa = ipa;
    table->pa = pa;
    g_ptr_array_add(r->tables, table);
    return table;
}

void twin_start_tables(TwinRealm *r)
{
    uint64_t bytes = twin_bytes(r->start);
    unsigned n, i;

    for (n = 0; n < r->num_start; n++) {
        TwinTable *table = table_new(r, r->start, n * ENTRIES * bytes,
                                     r->rtt_base + n * RMM_GRANULE_SIZE);

        for (i = 0; i < ENTRIES; i++) {
            if (table->ipa + i * bytes >= twin_protected_top(r)) {
                table->entry[i].kind = TWIN_UNASSIGNED_NS;
            }
        }
    }
}

/* The table at @level that translates @ipa, or NULL. */
static TwinTable *table_at(const TwinRealm *r, uint64_t ipa, int level)
{
    unsigned i;

    for (i = 0; i < r->tables->len; i++) {
        TwinTable *table = r->tables->pdata[i];

        if (table->level == level && ipa >= table->ipa &&
            ipa - table->ipa < ENTRIES * twin_bytes(level)) {
            return table;
        }
    }
    return NULL;
}

/* The deepest table for @ipa that is not deeper than @level. */
TwinWalk twin_walk(const TwinRealm *r, uint64_t ipa, int level)
{
    TwinWalk walk;

    while (!(walk.table = table_at(r, ipa, level))) {
        level--;
    }
    walk.level = level;
    walk.index = (ipa - walk.table->ipa) / twin_bytes(level);
    walk.entry = &walk.table->entry[walk.index];
    return walk;
}

static bool is_live(const TwinEntry *e)
{
    return e->kind == TWIN_ASSIGNED || e->kind == TWIN_TABLE;
}

static bool table_live(const TwinTable *table)
{
    unsigned i;

    for (i = 0; i < ENTRIES; i++) {
        if (is_live(&table->entry[i])) {
            return true;
        }
    }
    return false;
}

bool twin_start_live(const TwinRealm *r)
{
    unsigned i;

    for (i = 0; i < r->tables->len; i++) {
        TwinTable *table = r->tables->pdata[i];

        if (table->level == r->start && table_live(table)) {
            return true;
        }
    }
    return false;
}

/* @ipa if its entry is live, or lent by the host; else the next, or the end */
static uint64_t next_live(const TwinWalk *w, uint64_t ipa)
{
    unsigned i;

    for (i = w->index; i < ENTRIES; i++) {
        const TwinEntry *e = &w->table->entry[i];

        if (is_live(e) || e->kind == TWIN_ASSIGNED_NS) {
            break;
        }
    }
    return i == w->index ? ipa : w->table->ipa + i * twin_bytes(w->level);
}

static bool level_in(uint64_t level, int from, int to)
{
    return (int64_t)level >= from && (int64_t)level <= to;
}

static bool table_arguments_ok(const TwinRealm *r, uint64_t ipa,
                               uint64_t level)
{
    return level_in(level, r->start + 1, 3) && ipa < twin_ipa_top(r) &&
           ipa % twin_bytes((int)level - 1) == 0;
}

static uint64_t rtt_create(Twin *t, TwinRealm *r, uint64_t rtt, uint64_t ipa,
                           uint64_t level)
{
    TwinTable *table;
    TwinWalk w;
    unsigned i;

    if (!twin_granule_is(t, rtt, TWIN_DELEGATED) ||
        !table_arguments_ok(r, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, (int)level - 1);
    if (w.level != (int)level - 1 || w.entry->kind == TWIN_TABLE) {
        return rtt_error(w.level);
    }
    table = table_new(r, level, ipa, rtt);
    for (i = 0; i < ENTRIES; i++) {
        table->entry[i] = *w.entry;
        if (w.entry->kind == TWIN_ASSIGNED ||
            w.entry->kind == TWIN_ASSIGNED_NS) {
            table->entry[i].pa += i * twin_bytes(level);
        }
    }
    *w.entry = (TwinEntry) { .kind = TWIN_TABLE, .pa = rtt };
    twin_set_granule(t, rtt, TWIN_RTT);
    return RMI_SUCCESS;
}

static void table_delete(Twin *t, TwinRealm *r, TwinTable *table)
{
    twin_set_granule(t, table->pa, TWIN_DELEGATED);
    g_ptr_array_remove(r->tables, table);
}

static uint64_t rtt_destroy(Twin *t, TwinRealm *r, uint64_t ipa,
                            uint64_t level, uint64_t *out)
{
    TwinTable *table;
    TwinWalk w;

    if (!table_arguments_ok(r, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, (int)level - 1);
    if (w.entry->kind != TWIN_TABLE) {
        out[2] = next_live(&w, ipa);
        return rtt_error(w.level);
    }
    table = table_at(r, ipa, level);
    if (table_live(table)) {
        out[2] = ipa;
        return rtt_error(level);
    }
    out[1] = table->pa;
    table_delete(t, r, table);
    *w.entry = ipa < twin_protected_top(r)
        ? (TwinEntry) { .kind = TWIN_UNASSIGNED, .ripas = RMI_RIPAS_DESTROYED }
        : (TwinEntry) { .kind = TWIN_UNASSIGNED_NS };
    out[2] = next_live(&w, ipa);
    return RMI_SUCCESS;
}

/* A2.1.4 and A5.5.7 */
static bool homogeneous(const TwinTable *table)
{
    const TwinEntry *first = &table->entry[0];
    bool mapped = first->kind == TWIN_ASSIGNED ||
                  first->kind == TWIN_ASSIGNED_NS;
    uint64_t address = first->pa & 0x0003fffffffff000ull;
    unsigned i;

    if (first->kind == TWIN_TABLE ||
        (mapped && (table->level < 2 ||
                    address % twin_bytes(table->level - 1)))) {
        return false;
    }
    for (i = 0; i < ENTRIES; i++) {
        const TwinEntry *e = &table->entry[i];
        uint64_t pa = first->pa + (mapped ? i * twin_bytes(table->level) : 0);

        if (e->kind != first->kind || e->ripas != first->ripas ||
            e->pa != pa) {
            return false;
        }
    }
    return true;
}

static uint64_t rtt_fold(Twin *t, TwinRealm *r, uint64_t ipa, uint64_t level,
                         uint64_t *out)
{
    TwinTable *table;
    TwinWalk w;

    if (!table_arguments_ok(r, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, (int)level - 1);
    if (w.entry->kind != TWIN_TABLE) {
        return rtt_error(w.level);
    }
    table = table_at(r, ipa, level);
    if (!homogeneous(table)) {
        return rtt_error(level);
    }
    out[1] = table->pa;
    *w.entry = table->entry[0];
    table_delete(t, r, table);
    return RMI_SUCCESS;
}

static uint64_t rtt_read_entry(TwinRealm *r, uint64_t ipa, uint64_t level,
                               uint64_t *out)
{
    TwinWalk w;

    if (!level_in(level, r->start, 3) || ipa >= twin_ipa_top(r) ||
        ipa % twin_bytes(level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, level);
    out[1] = (uint64_t)(int64_t)w.level;
    switch (w.entry->kind) {
    case TWIN_ASSIGNED:
        out[2] = RMI_ASSIGNED;
        out[3] = w.entry->pa;
        out[4] = w.entry->ripas;
        break;
    case TWIN_ASSIGNED_NS:
        out[2] = RMI_ASSIGNED;
        out[3] = w.entry->pa;
        break;
    case TWIN_TABLE:
        out[2] = RMI_TABLE;
        out[3] = w.entry->pa;
        break;
    default:
        out[2] = RMI_UNASSIGNED;
        out[4] = w.entry->ripas;
        break;
    }
    return RMI_SUCCESS;
}

/* ---- memory of the host ---- */

static bool unprotected_arguments_ok(const TwinRealm *r, uint64_t ipa,
                                     uint64_t level)
{
    return level_in(level, MAX(1, r->start), 3) &&
           ipa % twin_bytes(level) == 0 &&
           ipa >= twin_protected_top(r) && ipa < twin_ipa_top(r);
}

/* Address (with LPA2 up to 52 bits), MemAttr and S2AP; MemAttr 4 is not. */
static bool host_descriptor_ok(const TwinRealm *r, uint64_t desc, int level)
{
    bool lpa2 = r->flags & RMI_REALM_LPA2;
    unsigned bit;

    for (bit = 0; bit < 64; bit++) {
        bool attr = bit >= 2 && bit <= 4, s2ap = bit == 6 || bit == 7;
        bool address = bit >= 12 && bit <= (lpa2 ? 49 : 47);
        bool high = lpa2 && (bit == 8 || bit == 9);

        if ((desc >> bit & 1) && !attr && !s2ap && !address && !high) {
            return false;
        }
        if (address && (desc >> bit & 1) && 1ull << bit < twin_bytes(level)) {
            return false;
        }
    }
    return (desc & 0x1c) != 0x10;
}

static uint64_t map_unprotected(TwinRealm *r, uint64_t ipa, uint64_t level,
                                uint64_t desc)
{
    TwinWalk w;

    if (!unprotected_arguments_ok(r, ipa, level) ||
        !host_descriptor_ok(r, desc, level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, level);
    if (w.level != (int)level || w.entry->kind != TWIN_UNASSIGNED_NS) {
        return rtt_error(w.level);
    }
    *w.entry = (TwinEntry) { .kind = TWIN_ASSIGNED_NS, .pa = desc };
    return RMI_SUCCESS;
}

static uint64_t unmap_unprotected(TwinRealm *r, uint64_t ipa, uint64_t level,
                                  uint64_t *out)
{
    uint64_t result = RMI_SUCCESS;
    TwinWalk w;

    if (!unprotected_arguments_ok(r, ipa, level)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, level);
    if (w.level != (int)level || w.entry->kind != TWIN_ASSIGNED_NS) {
        result = rtt_error(w.level);
    } else {
        *w.entry = (TwinEntry) { .kind = TWIN_UNASSIGNED_NS };
    }
    out[1] = next_live(&w, ipa);
    return result;
}

/* ---- pages ---- */

static bool page_ok(const TwinRealm *r, uint64_t ipa)
{
    return ipa % RMM_GRANULE_SIZE == 0 && ipa < twin_protected_top(r);
}

/* @src is NULL for unknown contents. */
static uint64_t data_create(Twin *t, TwinRealm *r, uint64_t data,
                            uint64_t ipa, const uint8_t *src, uint64_t flags)
{
    uint8_t hash[64] = { 0 };
    TwinWalk w;

    if (!twin_granule_is(t, data, TWIN_DELEGATED)) {
        return RMI_ERROR_INPUT;
    }
    if (src && r->state != TWIN_NEW) {
        return RMI_ERROR_REALM;
    }
    if (!page_ok(r, ipa)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, 3);
    if (w.level != 3 || w.entry->kind != TWIN_UNASSIGNED) {
        return rtt_error(w.level);
    }
    twin_set_granule(t, data, TWIN_DATA);
    w.entry->kind = TWIN_ASSIGNED;
    w.entry->pa = data;
    if (src) {
        w.entry->ripas = RMI_RIPAS_RAM;
        memcpy(twin_memory(t, data), src, RMM_GRANULE_SIZE);
        if (flags) {
            twin_hash(r, src, RMM_GRANULE_SIZE, hash);
        }
        twin_rim(r, 0, ipa, flags, hash);
    }
    return RMI_SUCCESS;
}

static uint64_t data_destroy(Twin *t, TwinRealm *r, uint64_t ipa,
                             uint64_t *out)
{
    TwinWalk w;

    if (!page_ok(r, ipa)) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(r, ipa, 3);
    if (w.level != 3 || w.entry->kind != TWIN_ASSIGNED) {
        out[2] = next_live(&w, ipa);
        return rtt_error(w.level);
    }
    out[1] = w.entry->pa;
    twin_set_granule(t, w.entry->pa, TWIN_DELEGATED);
    w.entry->kind = TWIN_UNASSIGNED;
    w.entry->pa = 0;
    if (w.entry->ripas == RMI_RIPAS_RAM) {
        w.entry->ripas = RMI_RIPAS_DESTROYED;
    }
    out[2] = next_live(&w, ipa);
    return RMI_SUCCESS;
}

/* ---- RIPAS ---- */

static uint64_t init_ripas(TwinRealm *r, uint64_t base, uint64_t top,
                           uint64_t *out)
{
    uint64_t ipa = base, bytes;
    TwinWalk w;

    if (top <= base || !page_ok(r, base) || top % RMM_GRANULE_SIZE ||
        !page_ok(r, top - RMM_GRANULE_SIZE)) {
        return RMI_ERROR_INPUT;
    }
    if (r->state != TWIN_NEW) {
        return RMI_ERROR_REALM;
    }
    w = twin_walk(r, base, 3);
    bytes = twin_bytes(w.level);
    if (base % bytes) {
        return rtt_error(w.level);
    }
    for (; w.index < ENTRIES && ipa + bytes <= top; w.index++) {
        TwinEntry *e = &w.table->entry[w.index];

        if (e->kind != TWIN_UNASSIGNED) {
            break;
        }
        e->ripas = RMI_RIPAS_RAM;
        twin_rim(r, 2, ipa, ipa + bytes, NULL);
        ipa += bytes;
    }
    if (ipa == base) {
        return rtt_error(w.level);
    }
    out[1] = ipa;
    return RMI_SUCCESS;
}

/* May the RIPAS of an entry become the one that the REC wants? */
static bool may_change(const TwinRec *rec, const TwinEntry *e)
{
    return e->ripas == rec->ripas || e->ripas != RMI_RIPAS_DESTROYED ||
           rec->change_destroyed;
}

static uint64_t set_ripas(Twin *t, uint64_t rd, uint64_t rec_pa,
                          uint64_t base, uint64_t top, uint64_t *out)
{
    TwinRec *rec = twin_rec(t, rec_pa);
    uint64_t reached = base, bytes;
    TwinWalk w;

    if (top <= base || !twin_realm(t, rd) || !rec) {
        return RMI_ERROR_INPUT;
    }
    if (rec->running || rec->realm->rd != rd) {
        return RMI_ERROR_REC;
    }
    if (rec->pending != TWIN_PENDING_RIPAS || base != rec->ripas_addr ||
        top > rec->ripas_top || top % RMM_GRANULE_SIZE) {
        return RMI_ERROR_INPUT;
    }
    w = twin_walk(rec->realm, base, 3);
    bytes = twin_bytes(w.level);
    if (base % bytes) {
        return rtt_error(w.level);
    }
    for (; w.index < ENTRIES && reached + bytes <= top; w.index++) {
        TwinEntry *e = &w.table->entry[w.index];

        if (e->kind == TWIN_TABLE || !may_change(rec, e)) {
            break;
        }
        e->ripas = rec->ripas;
        reached += bytes;
    }
    if (reached == base) {
        return rtt_error(w.level);
    }
    out[1] = rec->ripas_addr = reached;
    return RMI_SUCCESS;
}

/* ---- dispatch ---- */

static uint64_t measured_data(Twin *t, const uint64_t *in)
{
    TwinRealm *r = twin_realm(t, in[1]);
    const uint8_t *src = twin_ns(t, in[4], RMM_GRANULE_SIZE);

    if (in[5] > 1 || in[4] % RMM_GRANULE_SIZE || !src || !r) {
        return RMI_ERROR_INPUT;
    }
    return data_create(t, r, in[2], in[3], src, in[5]);
}

uint64_t twin_rtt_call(Twin *t, unsigned number, const uint64_t *in,
                       uint64_t *out)
{
    TwinRealm *r = twin_realm(t, in[1]);
    uint64_t fid = RMI_FID(number);

    if (fid == RMI_RTT_SET_RIPAS) {
        return set_ripas(t, in[1], in[2], in[3], in[4], out);
    }
    if (fid == RMI_DATA_CREATE) {
        return measured_data(t, in);
    }
    if (!r) {
        return RMI_ERROR_INPUT;
    }
    switch (fid) {
    case RMI_DATA_CREATE_UNKNOWN:
        return data_create(t, r, in[2], in[3], NULL, 0);
    case RMI_DATA_DESTROY:
        return data_destroy(t, r, in[2], out);
    case RMI_RTT_CREATE:
        return rtt_create(t, r, in[2], in[3], in[4]);
    case RMI_RTT_DESTROY:
        return rtt_destroy(t, r, in[2], in[3], out);
    case RMI_RTT_FOLD:
        return rtt_fold(t, r, in[2], in[3], out);
    case RMI_RTT_READ_ENTRY:
        return rtt_read_entry(r, in[2], in[3], out);
    case RMI_RTT_MAP_UNPROTECTED:
        return map_unprotected(r, in[2], in[3], in[4]);
    case RMI_RTT_UNMAP_UNPROTECTED:
        return unmap_unprotected(r, in[2], in[3], out);
    case RMI_RTT_INIT_RIPAS:
        return init_ripas(r, in[2], in[3], out);
    default:
        g_assert_not_reached();
    }
}

/* ---- what the Realm meets ---- */

static RmmFault translate(const TwinWalk *w, uint64_t pa, uint64_t ipa,
                          RmmTranslation *out)
{
    out->bytes = twin_bytes(w->level);
    out->pa = pa + ipa % out->bytes / RMM_GRANULE_SIZE * RMM_GRANULE_SIZE;
    return RMM_FAULT_NONE;
}

/* S2AP is in bits 7 (write) and 6 (read); LPA2 has PA bits 51:50 in 9:8. */
static RmmFault translate_unprotected(const Twin *t, const TwinRealm *r,
                                      uint64_t ipa, RmmAccess access,
                                      RmmTranslation *out)
{
    TwinWalk w = twin_walk(r, ipa, 3);
    uint64_t desc = w.entry->pa, pa = desc & 0x0003fffffffff000ull;

    if (access == RMM_ACCESS_FETCH) {
        return RMM_FAULT_SEA;
    }
    out->level = w.level;
    if (w.entry->kind != TWIN_ASSIGNED_NS) {
        return RMM_FAULT_UNPROTECTED;
    }
    out->readable = desc & 0x40;
    out->writable = desc & 0x80;
    out->executable = false;
    if (access == RMM_ACCESS_WRITE ? !out->writable : !out->readable) {
        return RMM_FAULT_PERMISSION;
    }
    translate(&w, pa + ((desc & 0x300) << 42), ipa, out);
    return twin_granule(t, out->pa) < 0 || twin_granule_is(t, out->pa, TWIN_NS)
           ? RMM_FAULT_NONE : RMM_FAULT_GPF;
}

RmmFault twin_translate(const Twin *t, const TwinRealm *r, uint64_t ipa,
                        RmmAccess access, RmmTranslation *out)
{
    TwinWalk w;

    out->level = 0;
    if (ipa >= twin_ipa_top(r)) {
        return RMM_FAULT_ADDRESS_SIZE;
    }
    if (ipa >= twin_protected_top(r)) {
        return translate_unprotected(t, r, ipa, access, out);
    }
    w = twin_walk(r, ipa, 3);
    out->level = w.level;
    if (w.entry->ripas == RMI_RIPAS_EMPTY) {
        return RMM_FAULT_SEA;
    }
    if (w.entry->ripas == RMI_RIPAS_DESTROYED) {
        return RMM_FAULT_DESTROYED;
    }
    if (w.entry->kind != TWIN_ASSIGNED) {
        return RMM_FAULT_UNASSIGNED;
    }
    out->readable = out->writable = out->executable = true;
    return translate(&w, w.entry->pa, ipa, out);
}

RmmPages twin_pages(const TwinRealm *r)
{
    RmmPages pages = { 0 };
    unsigned i, j;

    for (i = 0; i < r->tables->len; i++) {
        const TwinTable *table = r->tables->pdata[i];
        uint64_t n = twin_bytes(table->level) / RMM_GRANULE_SIZE;

        for (j = 0; j < ENTRIES; j++) {
            const TwinEntry *e = &table->entry[j];

            if (e->kind == TWIN_ASSIGNED_NS) {
                pages.lent += n;
            } else if (e->kind == TWIN_ASSIGNED) {
                pages.owned += e->ripas == RMI_RIPAS_RAM ? n : 0;
                pages.empty += e->ripas == RMI_RIPAS_EMPTY ? n : 0;
            } else if (e->kind == TWIN_UNASSIGNED) {
                pages.untouched += e->ripas == RMI_RIPAS_RAM ? n : 0;
            }
        }
    }
    return pages;
}

uint8_t *twin_realm_memory(const Twin *t, const TwinRealm *r, uint64_t ipa,
                           bool *is_empty, int *level)
{
    RmmTranslation out;
    RmmFault fault = twin_translate(t, r, ipa, RMM_ACCESS_READ, &out);

    *is_empty = fault == RMM_FAULT_SEA;
    *level = twin_walk(r, ipa, 3).level;
    return fault == RMM_FAULT_NONE
           ? twin_memory(t, out.pa) + ipa % RMM_GRANULE_SIZE : NULL;
}
