/*
 * Where the pages of a bundle go at the destination
 *
 * IMPORT_MEMORY finds its pages table by table and writes what it checked.
 * Beside it stands the slow way, page by page and from the top each time: what
 * the call has to answer, and what tables, granules and pages hold after it.
 * Hosts name granules that are not theirs, none, or one twice, forget tables,
 * and send pages in any order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "granule.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "rtt.h"
#include "session.h"

enum { PAGES = 48, TABLES = 4, MOST = 24, GRANULES = 2000 };

#define TABLE_BYTES (2ull << 20)

/* RAM, dirty, PENDING, with DBM */
#define ARRIVED (0x7dbull | 1ull << 51 | 1ull << 58)

typedef struct World {
    Machine *src, *dst;
    RmmRealm *realm;            /* at the destination */
    GRand *rand;
    uint64_t ipas[PAGES];
} World;

static unsigned below(World *w, unsigned n)
{
    return g_rand_int(w->rand) % n;
}

/* Some at both ends of neighbouring tables, the rest anywhere in them */
static void pick_pages(World *w)
{
    for (unsigned i = 0; i < PAGES;) {
        uint64_t ipa = (i / (PAGES / TABLES)) * TABLE_BYTES;
        bool known = false;

        ipa += i % 3 == 0 ? (uint64_t)i / 3 % 4 * RMM_GRANULE_SIZE :
               i % 3 == 1 ? TABLE_BYTES - (1 + i / 3 % 4) * RMM_GRANULE_SIZE :
               (uint64_t)below(w, 512) * RMM_GRANULE_SIZE;
        for (unsigned j = 0; j < i; j++) {
            known |= w->ipas[j] == ipa;
        }
        if (known) {
            ipa = (i / (PAGES / TABLES)) * TABLE_BYTES +
                  (uint64_t)(100 + i) * RMM_GRANULE_SIZE;
        }
        w->ipas[i++] = ipa;
    }
}

static World *world_new(uint32_t seed)
{
    MachineParams params = machine_defaults;
    World *w = g_new0(World, 1);
    uint64_t used;

    w->rand = g_rand_new_with_seed(seed);
    params.num_recs = 1;
    params.granules = GRANULES;
    pick_pages(w);
    w->src = machine_new(&params);
    for (unsigned i = 0; i < PAGES; i++) {
        machine_add_page(w->src, w->ipas[i]);
        machine_scribble(w->src, w->ipas[i], w->rand);
    }
    machine_activate(w->src);
    w->dst = machine_new(&params);
    /* What the host left in what it has not delegated yet */
    used = w->dst->next_granule - MACHINE_GRANULES;
    memset(w->dst->granules + used, 0xee, GRANULES * RMM_GRANULE_SIZE - used);
    memset(w->dst->tags + used / 32, 0xee,
           GRANULES * RMM_TAG_BYTES - used / 32);
    step_connect(w->src, w->dst);
    w->realm = realm_lock(w->dst->rmm, w->dst->rd);
    realm_unlock(w->realm);
    return w;
}

static void world_free(World *w)
{
    machine_free(w->src);
    machine_free(w->dst);
    g_rand_free(w->rand);
    g_free(w);
}

/* ---- the slow way ---- */

typedef struct Expected {
    uint64_t result, where;     /* X0 and X1 */
    uint64_t pa[MOST];          /* where each page is after a success */
} Expected;

/* What READ_ENTRY knows and what it does not show, for one page */
static uint64_t place_of(World *w, uint64_t ipa, uint64_t given, uint64_t *pa)
{
    RttWalk at;

    rtt_walk(w->realm, ipa, 3, &at);
    *pa = at.hipas == RTT_ASSIGNED ? at.pa : given;
    if (at.level < 3) {
        return RMI_ERROR_RTT | (uint64_t)at.level << 8;
    }
    if ((at.desc & 1) && at.desc >> 58 & 1) {
        return REFUSED(MIG_CAUSE_PAGE_REPEATED);
    }
    if (at.hipas == RTT_ASSIGNED) {
        return !given || given == at.pa ? RMI_SUCCESS : RMI_ERROR_INPUT;
    }
    return granule_state(w->dst->rmm, given) == GRANULE_DELEGATED
           ? RMI_SUCCESS : RMI_ERROR_INPUT;
}

static Expected expect(World *w, const uint64_t *ipas, const uint64_t *given,
                       unsigned n)
{
    Expected e = { .result = RMI_SUCCESS };

    for (unsigned i = 0; i < n && e.result == RMI_SUCCESS; i++) {
        e.where = ipas[i];
        e.result = place_of(w, ipas[i], given[i], &e.pa[i]);
    }
    /* One granule for two pages: the second one does not get it */
    for (unsigned i = 0; i < n && e.result == RMI_SUCCESS; i++) {
        e.where = ipas[i];
        for (unsigned j = 0; j < i; j++) {
            if (e.pa[i] == e.pa[j]) {
                e.result = RMI_ERROR_INPUT;
            }
        }
    }
    e.where = e.result == RMI_SUCCESS ? 0 : e.where;
    return e;
}

/* All entries of the tables for pages; those that are not there are ~0. */
static uint64_t *read_tables(World *w)
{
    uint64_t *all = g_new(uint64_t, TABLES * 512);

    for (unsigned i = 0; i < TABLES * 512; i++) {
        RttWalk at;

        rtt_walk(w->realm, i * RMM_GRANULE_SIZE, 3, &at);
        all[i] = at.level == 3 ? at.desc : ~0ull;
    }
    return all;
}

static GranuleState *read_states(World *w)
{
    GranuleState *all = g_new(GranuleState, GRANULES);

    for (unsigned i = 0; i < GRANULES; i++) {
        all[i] = granule_state(w->dst->rmm,
                               MACHINE_GRANULES + i * RMM_GRANULE_SIZE);
    }
    return all;
}

/* ---- hosts ---- */

/* What a host that makes no mistake names; it makes one in four of lists. */
static void name_granules(World *w, const uint64_t *ipas, uint64_t *given,
                          unsigned n, bool right)
{
    for (unsigned i = 0; i < n; i++) {
        RttWalk at;

        if (right || below(w, 8)) {
            machine_table(w->dst, ipas[i]);
        }
        rtt_walk(w->realm, ipas[i], 3, &at);
        given[i] = at.hipas == RTT_ASSIGNED
                   ? (below(w, 2) ? at.pa : 0) : machine_granule(w->dst);
    }
    if (!right) {
        uint64_t wrong[] = {
            0, 1, w->dst->rd, w->dst->next_granule, given[below(w, n)],
            given[0] + 8,
        };

        given[below(w, n)] = wrong[below(w, G_N_ELEMENTS(wrong))];
    }
}

/* @n pages of those from @first on, in any order */
static void shuffle(World *w, unsigned first)
{
    for (unsigned i = PAGES - 1; i > first; i--) {
        unsigned j = first + below(w, i - first + 1);
        uint64_t ipa = w->ipas[i];

        w->ipas[i] = w->ipas[j];
        w->ipas[j] = ipa;
    }
}

/* One call, and everything that it may change; true if it was accepted */
static bool import_once(World *w, const Record *r, const uint64_t *ipas,
                        const uint64_t *given, unsigned n)
{
    g_autofree uint64_t *before = read_tables(w), *after = NULL;
    g_autofree GranuleState *states = read_states(w), *states_after = NULL;
    Expected e = expect(w, ipas, given, n);
    uint64_t out[4];

    memcpy(machine_ns(w->dst, NS_BLOB(0)), r->data, r->len);
    memcpy(machine_ns(w->dst, NS_LIST(0)), given, n * 8);
    g_assert_cmphex(MIG_OUT(w->dst, out, MIG_IMPORT_MEMORY, NS_BLOB(0), r->len,
                            NS_LIST(0), n), ==, e.result);
    g_assert_cmphex(out[0], ==, e.where);
    for (unsigned i = 0; e.result == RMI_SUCCESS && i < n; i++) {
        before[ipas[i] / RMM_GRANULE_SIZE] = e.pa[i] | ARRIVED;
        states[(e.pa[i] - MACHINE_GRANULES) / RMM_GRANULE_SIZE] = GRANULE_DATA;
        same_page(w->src, w->dst, ipas[i]);
    }
    g_free(snapshot(w->dst));   /* what is DELEGATED is wiped or foreign */
    after = read_tables(w);
    states_after = read_states(w);
    g_assert_cmpmem(after, TABLES * 512 * 8, before, TABLES * 512 * 8);
    g_assert_cmpmem(states_after, GRANULES * sizeof(*states), states,
                    GRANULES * sizeof(*states));
    return e.result == RMI_SUCCESS;
}

/* A bundle that comes again and again until its host has it right */
static unsigned import_bundle(World *w, const uint64_t *ipas, unsigned n)
{
    Record *r = machine_send_pages(w->src, ipas, n, 0);
    uint64_t given[MOST];
    unsigned tries = 0;

    do {
        name_granules(w, ipas, given, n, tries == 3 || below(w, 4));
        tries++;
    } while (!import_once(w, r, ipas, given, n));
    g_byte_array_unref(r);
    return tries;
}

static unsigned run_world(uint32_t seed)
{
    World *w = world_new(seed);
    const uint64_t none = 0;
    unsigned tries = 0, n;
    RmmRealm *realm;
    Record *r;

    for (int epoch = 0; epoch < 4; epoch++) {
        g_array_unref(machine_collect(w->src));
        /* Not all of them each time, so that there are always new ones */
        shuffle(w, 0);
        for (unsigned i = 0; i < PAGES * 3 / 4; i += n) {
            n = 1 + below(w, MOST);
            n = MIN(n, PAGES * 3 / 4 - i);
            tries += import_bundle(w, w->ipas + i, n);
        }
        if (epoch < 3) {
            step_epoch(w->src, w->dst);
            for (unsigned i = 0; i < PAGES; i++) {
                machine_scribble(w->src, w->ipas[i], w->rand);
            }
        }
    }

    /* What came in this epoch, once more: no source does that */
    realm = realm_lock(w->src->rmm, w->src->rd);
    g_assert_true(rtt_put_pending(realm, w->ipas[1]));
    realm_unlock(realm);
    r = machine_send_pages(w->src, w->ipas + 1, 1, 0);
    g_assert_false(import_once(w, r, w->ipas + 1, &none, 1));
    g_byte_array_unref(r);
    world_free(w);
    return tries;
}

static void test_places_are_those_of_the_slow_way(void)
{
    unsigned tries = 0;

    for (uint32_t seed = 0; seed < 60; seed++) {
        tries += run_world(seed);
    }
    g_test_message("%u calls", tries);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mig/places/places_are_those_of_the_slow_way",
                    test_places_are_those_of_the_slow_way);
    return g_test_run();
}
