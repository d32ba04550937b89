/*
 * The contract of RealmBackendOps: any call at any time
 *
 * Purpose: make a long sequence of random calls, the same for every backend.
 * Whatever the answers are, the transcripts have to be equal.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "flow.h"

typedef struct Record {
    bool memory;
    const GByteArray *blob;
} Record;

typedef struct Walk {
    GRand *rand;
    Machine *m[2];
    GPtrArray *old;             /* destinations that came to their end */
    const GByteArray *last[2];  /* that this machine emitted */
    const GByteArray *pages[2]; /* bundle of pages */
    const GByteArray *nonce, *offer, *ready, *receipt;
    GArray *way;                /* Records from source to destination */
    unsigned part[2];
} Walk;

static bool one_of(Walk *w, unsigned n)
{
    return g_rand_int_range(w->rand, 0, n) == 0;
}

/* Calls that a session needs are in here often, so that there is one. */
static const ContractCall source_calls[] = {
    CALL_ACCEPT, CALL_ACCEPT, CALL_EXPORT_BEGIN, CALL_EXPORT_BEGIN,
    CALL_COLLECT_DIRTY, CALL_COLLECT_DIRTY, CALL_EXPORT_MEMORY,
    CALL_EXPORT_MEMORY, CALL_EXPORT_MEMORY, CALL_EXPORT_EPOCH, CALL_PAUSE,
    CALL_EXPORT_STATE, CALL_EXPORT_STATE, CALL_EXPORT_STATE, CALL_EXPORT_START,
    CALL_EXPORT_START, CALL_EXPORT_ABORT, CALL_EXPORT_RESUME,
    CALL_EXPORT_FINISH, CALL_IMPORT_ABORT, CALL_COMMIT, CALL_IMPORT_RECEIPT,
    CALL_PHASE, CALL_PHASE, CALL_PHASE,
};

static const ContractCall destination_calls[] = {
    CALL_OFFER, CALL_IMPORT, CALL_IMPORT_MEMORY, CALL_IMPORT_READY,
    CALL_IMPORT_READY, CALL_IMPORT_READY, CALL_COMMIT, CALL_COMMIT,
    CALL_IMPORT_RECEIPT, CALL_PREPARE, CALL_EXPORT_BEGIN, CALL_PAUSE,
    CALL_PHASE, CALL_START, CALL_EXPORT_ABORT,
};

static GByteArray *some_pages(Walk *w)
{
    GByteArray *list = g_byte_array_new();
    bool all = one_of(w, 2);
    unsigned n = all ? 3 * CHUNK_PAGES : g_rand_int_range(w->rand, 1, 33);

    for (unsigned i = 0; i < n; i++) {
        uint64_t page = all ? i : g_rand_int_range(w->rand, 0,
                                                   3 * CHUNK_PAGES);

        g_byte_array_append(list, (uint8_t *)&page, sizeof(page));
    }
    return list;
}

static void send_record(Walk *w, bool memory, const GByteArray *blob)
{
    const Record record = { memory, blob };

    g_array_append_val(w->way, record);
}

static bool is_equal(const GByteArray *a, const GByteArray *b)
{
    return a && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void remember(Walk *w, unsigned who, ContractCall call,
                     const Answer *answer)
{
    if (!answer->ok || answer->value <= 0) {
        return;
    }
    switch (call) {
    case CALL_PREPARE:
        w->nonce = answer->blob;
        return;
    case CALL_OFFER:
        w->offer = answer->blob;
        break;
    case CALL_IMPORT_READY:
        w->ready = answer->blob;
        break;
    case CALL_IMPORT_RECEIPT:
        w->receipt = answer->blob;
        break;
    case CALL_EXPORT_MEMORY:
        w->pages[who] = answer->blob;
        send_record(w, true, answer->blob);
        return;
    case CALL_EXPORT_STATE:
        w->part[who]++;
        send_record(w, false, answer->blob);
        break;
    case CALL_EXPORT_BEGIN:
        g_array_set_size(w->way, 0);
        send_record(w, false, answer->blob);
        break;
    case CALL_EXPORT_EPOCH:
        send_record(w, false, answer->blob);
        break;
    case CALL_EXPORT_START:
        /* It may be asked for again, and comes once. */
        if (!is_equal(w->last[who], answer->blob)) {
            send_record(w, false, answer->blob);
        }
        break;
    case CALL_IMPORT_ABORT:
        break;
    default:
        return;
    }
    w->last[who] = answer->blob;
}

static void call_one(Walk *w, unsigned who, ContractCall call)
{
    g_autoptr(GByteArray) list = NULL;
    Args args = { 0 };

    switch (call) {
    case CALL_ACCEPT:
        args.blob = one_of(w, 8) ? w->last[!who] : w->offer;
        break;
    case CALL_EXPORT_RESUME:
    case CALL_IMPORT:
        args.blob = w->last[!who];
        break;
    case CALL_IMPORT_MEMORY:
        args.blob = w->pages[!who];
        break;
    case CALL_OFFER:
        args.blob = w->nonce;
        break;
    case CALL_EXPORT_START:
        args.blob = w->ready;
        break;
    case CALL_EXPORT_FINISH:
        args.blob = w->receipt;
        break;
    case CALL_EXPORT_MEMORY:
        list = some_pages(w);
        args.blob = list;
        break;
    case CALL_EXPORT_STATE:
        args.a = w->part[who];
        break;
    case CALL_EXPORT_BEGIN:
        w->part[who] = 0;
        break;
    default:
        break;
    }
    remember(w, who, call, machine_ask(w->m[who], call, &args));
}

/* The next record that the source has sent, in order. */
static void deliver(Walk *w)
{
    if (w->way->len) {
        Record record = g_array_index(w->way, Record, 0);

        g_array_remove_index(w->way, 0);
        machine_ask(w->m[1], record.memory ? CALL_IMPORT_MEMORY : CALL_IMPORT,
                    &(const Args) { .blob = record.blob });
    }
}

/* A destination makes one offer, for the nonce of the moment. */
static void offer(Walk *w)
{
    call_one(w, 0, CALL_PREPARE);
    call_one(w, 1, CALL_OFFER);
}

/* What has failed, or has the Realm, is of no more use. */
static void replace_destination(Walk *w)
{
    RealmPhase phase = ask(w->m[1], PHASE)->value;

    if (phase == REALM_PHASE_FAILED || phase == REALM_PHASE_HERE) {
        g_ptr_array_add(w->old, w->m[1]);
        w->m[1] = waiting_machine("destination");
        g_array_set_size(w->way, 0);
        offer(w);
    }
}

static void touch(Walk *w)
{
    uint64_t page = PAGE_OF(g_rand_int_range(w->rand, 0, 3),
                            g_rand_int_range(w->rand, 0, CHUNK_PAGES));

    if (g_rand_boolean(w->rand)) {
        ask(w->m[0], GUEST_WRITE, page, g_rand_int(w->rand));
    } else {
        ask(w->m[0], GUEST_READ, page);
    }
}

/* What ends a session is rare, so that some of them come far. */
static bool is_end(ContractCall call)
{
    return call == CALL_EXPORT_ABORT || call == CALL_IMPORT ||
           call == CALL_IMPORT_MEMORY;
}

static ContractCall some_call(Walk *w, const ContractCall *calls, unsigned n)
{
    ContractCall call;

    do {
        call = calls[g_rand_int_range(w->rand, 0, n)];
    } while (is_end(call) && !one_of(w, 8));
    return call;
}

/* A backend does not know whether a vCPU runs that was not stopped. */
static ContractCall source_call(Walk *w, bool running)
{
    ContractCall call;

    do {
        call = some_call(w, source_calls, ARRAY_SIZE(source_calls));
    } while (running && call == CALL_PAUSE);
    return call;
}

static void step(Walk *w, bool running)
{
    switch (g_rand_int_range(w->rand, 0, 8)) {
    case 0:
    case 1:
        if (running) {
            touch(w);
        }
        break;
    case 2:
        call_one(w, 1, some_call(w, destination_calls,
                                 ARRAY_SIZE(destination_calls)));
        break;
    case 3:
        deliver(w);
        deliver(w);
        break;
    case 4:
        if (one_of(w, 4)) {
            replace_destination(w);
        }
        break;
    default:
        call_one(w, 0, source_call(w, running));
    }
}

static void walk(unsigned seed)
{
    g_autoptr(Machine) source = running_machine("source");
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GPtrArray) old =
        g_ptr_array_new_with_free_func((GDestroyNotify)machine_free);
    g_autoptr(GArray) way = g_array_new(false, false, sizeof(Record));
    Walk w = {
        .rand = rand, .m = { source, waiting_machine("destination") },
        .old = old, .way = way,
    };

    touch_chunk(source, 1);
    touch_chunk(source, 2);
    offer(&w);
    for (unsigned i = 0; i < 150; i++) {
        step(&w, true);
    }
    yes(source, STOPPED);       /* from here on it may be paused */
    for (unsigned i = 0; i < 350; i++) {
        step(&w, false);
    }
    machine_free(w.m[1]);
}

static void any_call_at_any_time(void)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        walk(seed);
    }
}

#define CASE(name) { #name, name }

const Case walk_cases[] = {
    CASE(any_call_at_any_time),
    { NULL }
};
