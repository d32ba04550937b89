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

typedef struct Walk {
    GRand *rand;
    Machine *m[2];
    const GByteArray *last[2];  /* that this machine emitted */
    const GByteArray *pages[2]; /* bundle of pages */
    const GByteArray *nonce, *ready, *receipt;
    unsigned part[2];
} Walk;

/* Calls that a session needs are in here often, so that there is one. */
static const ContractCall source_calls[] = {
    CALL_PREPARE, CALL_ACCEPT, CALL_ACCEPT, CALL_EXPORT_BEGIN,
    CALL_EXPORT_BEGIN,
    CALL_COLLECT_DIRTY, CALL_COLLECT_DIRTY, CALL_EXPORT_MEMORY,
    CALL_EXPORT_MEMORY, CALL_EXPORT_MEMORY, CALL_EXPORT_EPOCH, CALL_PAUSE,
    CALL_EXPORT_STATE, CALL_EXPORT_STATE, CALL_EXPORT_STATE, CALL_EXPORT_START,
    CALL_EXPORT_ABORT, CALL_EXPORT_RESUME, CALL_EXPORT_FINISH,
    CALL_IMPORT_ABORT, CALL_COMMIT, CALL_IMPORT_RECEIPT, CALL_PHASE,
    CALL_PHASE, CALL_PHASE,
};

static const ContractCall destination_calls[] = {
    CALL_OFFER, CALL_IMPORT, CALL_IMPORT, CALL_IMPORT_MEMORY,
    CALL_IMPORT_MEMORY, CALL_IMPORT_READY, CALL_COMMIT, CALL_IMPORT_RECEIPT,
    CALL_PREPARE, CALL_EXPORT_BEGIN, CALL_PAUSE,
    CALL_PHASE, CALL_START, CALL_EXPORT_ABORT,
};

static GByteArray *some_pages(Walk *w)
{
    GByteArray *list = g_byte_array_new();
    unsigned n = g_rand_int_range(w->rand, 1, 33);

    for (unsigned i = 0; i < n; i++) {
        uint64_t page = g_rand_int_range(w->rand, 0, 3 * CHUNK_PAGES);

        g_byte_array_append(list, (uint8_t *)&page, sizeof(page));
    }
    return list;
}

static void remember(Walk *w, unsigned who, ContractCall call,
                     const Answer *answer)
{
    if (!answer->ok || answer->value <= 0) {
        return;
    }
    switch (call) {
    case CALL_EXPORT_MEMORY:
        w->pages[who] = answer->blob;
        break;
    case CALL_PREPARE:
        w->nonce = answer->blob;
        break;
    case CALL_IMPORT_READY:
        w->ready = answer->blob;
        break;
    case CALL_IMPORT_RECEIPT:
        w->receipt = answer->blob;
        break;
    case CALL_EXPORT_STATE:
        w->part[who]++;
        /* fall through */
    case CALL_OFFER:
    case CALL_EXPORT_BEGIN:
    case CALL_EXPORT_EPOCH:
    case CALL_EXPORT_START:
    case CALL_IMPORT_ABORT:
        w->last[who] = answer->blob;
        break;
    default:
        break;
    }
}

static void call_one(Walk *w, unsigned who, ContractCall call)
{
    g_autoptr(GByteArray) list = NULL;
    Args args = { 0 };

    switch (call) {
    case CALL_ACCEPT:
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

/* A backend does not know whether a vCPU runs that was not stopped. */
static ContractCall source_call(Walk *w, bool running)
{
    ContractCall call;

    do {
        call = source_calls[g_rand_int_range(w->rand, 0,
                                             ARRAY_SIZE(source_calls))];
    } while (running && call == CALL_PAUSE);
    return call;
}

static void step(Walk *w, bool running)
{
    switch (g_rand_int_range(w->rand, 0, 4)) {
    case 0:
        if (running) {
            touch(w);
        }
        break;
    case 1:
        call_one(w, 1, destination_calls[
                     g_rand_int_range(w->rand, 0,
                                      ARRAY_SIZE(destination_calls))]);
        break;
    default:
        call_one(w, 0, source_call(w, running));
    }
}

static void walk(unsigned seed)
{
    g_autoptr(Machine) source = running_machine("source");
    g_autoptr(Machine) destination = waiting_machine("destination");
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    Walk w = { .rand = rand, .m = { source, destination } };

    touch_chunk(source, 1);
    touch_chunk(source, 2);
    for (unsigned i = 0; i < 150; i++) {
        step(&w, true);
    }
    yes(source, STOPPED);       /* from here on it may be paused */
    for (unsigned i = 0; i < 350; i++) {
        step(&w, false);
    }
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
