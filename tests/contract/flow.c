/*
 * The contract of RealmBackendOps: steps that many cases share
 *
 * Purpose: see flow.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "flow.h"

Machine *loaded_machine(const char *name, const ContractSetup *setup)
{
    Machine *m = machine_new(name, setup);

    yes(m, HOST_WRITE, CONTRACT_RAM_BASE, IMAGE_WORD);
    yes(m, ADD_IMAGE, CONTRACT_RAM_BASE, CONTRACT_CHUNK);
    return m;
}

Machine *running_machine(const char *name)
{
    Machine *m = loaded_machine(name, &(ContractSetup) { 0 });

    yes(m, START);
    return m;
}

Machine *waiting_machine(const char *name)
{
    return machine_new(name, &(ContractSetup) { .incoming = true });
}

void guest_reads(Machine *m, uint64_t ipa, uint64_t value)
{
    g_assert_cmphex(yes(m, GUEST_READ, ipa)->value, ==, value);
}

void guest_writes(Machine *m, uint64_t ipa, uint64_t value)
{
    yes(m, GUEST_WRITE, ipa, value);
}

void access_fails(Machine *m, uint64_t ipa, ContractOutcome outcome)
{
    const Answer *got = ask(m, GUEST_READ, ipa);

    g_assert_false(got->ok);
    g_assert_cmpint(got->value, ==, outcome);
    got = ask(m, GUEST_WRITE, ipa, 1);
    g_assert_false(got->ok);
    g_assert_cmpint(got->value, ==, outcome);
}

void touch_chunk(Machine *m, unsigned chunk)
{
    for (unsigned i = 0; i < CHUNK_PAGES; i++) {
        guest_reads(m, PAGE_OF(chunk, i), 0);
    }
}

const RealmMigrationLimits *limits_of(Machine *m)
{
    const GByteArray *blob = yes(m, LIMITS)->blob;

    g_assert_cmpint(blob->len, ==, sizeof(RealmMigrationLimits));
    return (const RealmMigrationLimits *)blob->data;
}

void phase_is(Machine *m, RealmPhase phase)
{
    g_assert_cmpstr(realm_phase_name(yes(m, PHASE)->value), ==,
                    realm_phase_name(phase));
}

void works(Machine *m)
{
    static uint64_t count;

    guest_writes(m, PAGE_OF(0, 8), ++count);
    guest_reads(m, PAGE_OF(0, 8), count);
}

/* ---- Blobs ---- */

GByteArray *page_numbers(unsigned n, ...)
{
    GByteArray *list = g_byte_array_new();
    va_list ap;

    va_start(ap, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t number = va_arg(ap, int);

        g_byte_array_append(list, (uint8_t *)&number, sizeof(number));
    }
    va_end(ap);
    return list;
}

GByteArray *cut(const GByteArray *blob, size_t size)
{
    GByteArray *copy = g_byte_array_new();

    g_byte_array_append(copy, blob->data, MIN(size, blob->len));
    if (size > blob->len) {
        g_byte_array_set_size(copy, size);
        memset(copy->data + blob->len, 0, size - blob->len);
    }
    return copy;
}

GByteArray *changed(const GByteArray *blob, size_t at, uint8_t by)
{
    GByteArray *copy = cut(blob, blob->len);

    if (copy->len) {
        copy->data[at % copy->len] ^= by;
    }
    return copy;
}

bool bit(const GByteArray *bitmap, uint64_t page)
{
    return page < bitmap->len * 8 &&
           test_bit(page, (const unsigned long *)bitmap->data);
}

/* ---- A migration ---- */

Pair *pair_new(void)
{
    Pair *p = g_new0(Pair, 1);

    p->source = running_machine("source");
    p->destination = waiting_machine("destination");
    return p;
}

void pair_free(Pair *p)
{
    machine_free(p->source);
    machine_free(p->destination);
    g_free(p);
}

const GByteArray *offer_for(Machine *source, Machine *destination)
{
    return yes(destination, OFFER, .blob = yes(source, PREPARE)->blob)->blob;
}

void pair_bind(Pair *p)
{
    yes(p->source, ACCEPT, .blob = offer_for(p->source, p->destination));
    phase_is(p->destination, REALM_PHASE_OFFERED);
    phase_is(p->source, REALM_PHASE_ACCEPTED);
}

void pair_begin(Pair *p)
{
    yes(p->destination, IMPORT, .blob = yes(p->source, EXPORT_BEGIN)->blob);
    phase_is(p->source, REALM_PHASE_EXPORTING);
    phase_is(p->destination, REALM_PHASE_IMPORTING);
}

/* The next @max or less of the pages that @bitmap has from *@page on. */
static GByteArray *next_pages(const GByteArray *bitmap, uint64_t *page,
                              unsigned max)
{
    GByteArray *list = g_byte_array_new();

    for (; *page < bitmap->len * 8 && list->len / 8 < max; ++*page) {
        if (bit(bitmap, *page)) {
            g_byte_array_append(list, (uint8_t *)page, sizeof(*page));
        }
    }
    return list;
}

unsigned pair_pages(Pair *p, const GByteArray *bitmap)
{
    const RealmMigrationLimits *limits = limits_of(p->source);
    unsigned sum = 0, bundles = 0;

    for (uint64_t page = 0; page < bitmap->len * 8; ) {
        g_autoptr(GByteArray) list = next_pages(bitmap, &page,
                                                  limits->max_pages);
        const Answer *out;

        if (!list->len) {
            break;
        }
        out = yes(p->source, EXPORT_MEMORY, bundles++ % limits->max_streams,
                  .blob = list);
        g_assert_cmpint(out->extra, ==, list->len / 8);
        g_assert_cmpint(out->value, >, 0);
        g_assert_cmpint(yes(p->destination, IMPORT_MEMORY,
                            .blob = out->blob)->extra, ==, out->extra);
        sum += out->extra;
    }
    return sum;
}

unsigned pair_round(Pair *p)
{
    const Answer *dirty = yes(p->source, COLLECT_DIRTY);
    unsigned n = pair_pages(p, dirty->blob);

    g_assert_cmpint(n, ==, dirty->value);
    return n;
}

void pair_epoch(Pair *p)
{
    yes(p->destination, IMPORT, .blob = yes(p->source, EXPORT_EPOCH)->blob);
}

void pair_pause(Pair *p)
{
    yes(p->source, STOPPED);
    yes(p->source, PAUSE);
    phase_is(p->source, REALM_PHASE_PAUSED);
}

void pair_state(Pair *p)
{
    for (unsigned part = 0; part < 100; part++) {
        const Answer *out = ask(p->source, EXPORT_STATE, part);

        if (!out->ok || !out->value) {
            g_assert_true(out->ok);
            g_assert_cmpint(part, >, CONTRACT_CPUS);
            return;
        }
        yes(p->destination, IMPORT, .blob = out->blob);
    }
    g_assert_not_reached();
}

void pair_until_start(Pair *p)
{
    pair_begin(p);
    pair_round(p);
    pair_epoch(p);
    pair_pause(p);
    if (pair_round(p)) {
        pair_epoch(p);
    }
    pair_state(p);
}

const Answer *pair_token(Pair *p)
{
    const Answer *ready = yes(p->destination, IMPORT_READY);
    const Answer *token = yes(p->source, EXPORT_START, .blob = ready->blob);

    g_assert_cmpint(token->value, >, 0);
    g_assert_cmpint(token->value, <=, REALM_MAX_START_TOKEN);
    phase_is(p->source, REALM_PHASE_SEALED);
    phase_is(p->destination, REALM_PHASE_IMPORTING);
    return token;
}

void pair_start(Pair *p)
{
    const Answer *receipt;

    yes(p->destination, IMPORT, .blob = pair_token(p)->blob);
    phase_is(p->destination, REALM_PHASE_IMPORTING);
    yes(p->destination, COMMIT);
    phase_is(p->destination, REALM_PHASE_HERE);
    receipt = yes(p->destination, IMPORT_RECEIPT);
    yes(p->source, EXPORT_FINISH, .blob = receipt->blob);
    phase_is(p->source, REALM_PHASE_GONE);
    yes(p->destination, START);
}

void pair_migrate(Pair *p)
{
    pair_bind(p);
    pair_until_start(p);
    pair_start(p);
}
