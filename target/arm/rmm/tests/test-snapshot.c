/*
 * A snapshot notices a change of each kind of state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "fake-machine.h"
#include "granule.h"
#include "session.h"
#include "snapshot.h"
#include "test-keys.h"

typedef struct Fixture {
    FakeMachine *m;
    FakeRealm r;
    RmmPe pe;
    Snapshot before;
} Fixture;

/* A Realm that runs, with a token half read, and one with a session. */
static void set_up(Fixture *f, gconstpointer data)
{
    f->m = fake_machine_prepare(128);
    f->m->ops.key = test_key;
    fake_machine_start(f->m);
    f->r = fake_realm_active(f->m);
    session_of(fake_realm_object(f->m, &f->r));
    fake_enter(f->m, &f->pe, &f->r, 0);
    fake_call_pe(f->m, &f->pe, RSI_ATTESTATION_TOKEN_INIT,
                 (const uint64_t[8]){ 0 }, 8);
    f->before = snapshot_take(f->m);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    take_interrupt(f->m->rmm, &f->pe);
    fake_machine_free(f->m);
}

/* @kind, and no other, is not as before. */
static void assert_noticed(Fixture *f, SnapshotKind kind)
{
    int i;

    for (i = 0; i < SNAPSHOT_KINDS; i++) {
        bool same = snapshot_digest(f->m, i) == f->before.digest[i];

        g_assert_cmpint(same, ==, i != kind);
    }
}

static void assert_as_before(Fixture *f)
{
    g_assert_cmpstr(snapshot_difference(f->m, &f->before), ==, NULL);
}

static RmmRealm *the_realm(Fixture *f)
{
    return fake_realm_object(f->m, &f->r);
}

static MigSession *the_session(Fixture *f)
{
    return the_realm(f)->session;
}

static RmmRec *the_rec(Fixture *f)
{
    return f->pe.rec;
}

/* Part of an object that is not taken as bytes. */
typedef struct Hole {
    size_t offset, size;
} Hole;

#define HOLE(type, member) \
    { offsetof(type, member), sizeof(((type *)0)->member) }

/* A bit of each byte of @object but those in @holes. */
static void flip_each_byte(Fixture *f, SnapshotKind kind, void *object,
                           size_t size, const Hole *holes, size_t num_holes)
{
    uint8_t *bytes = object;
    size_t i, j;

    for (i = 0; i < size; i++) {
        for (j = 0; j < num_holes; j++) {
            if (i - holes[j].offset < holes[j].size) {
                break;
            }
        }
        if (j < num_holes) {
            continue;
        }
        bytes[i] ^= 1u << i % 8;
        if (snapshot_digest(f->m, kind) == f->before.digest[kind]) {
            g_error("byte %zu is not noticed", i);
        }
        bytes[i] ^= 1u << i % 8;
    }
    assert_as_before(f);
}

static void each_granule_state_is_noticed(Fixture *f, gconstpointer data)
{
    uint64_t pa = fake_granule_ns(f->m), seen[GRANULE_STATES] = { 0 };
    int state, i;

    for (state = 0; state < GRANULE_STATES; state++) {
        bool end = state <= GRANULE_DELEGATED;

        if (state != GRANULE_NS) {
            g_assert_cmphex(granule_delegate(f->m->rmm, pa), ==, 0);
        }
        if (!end) {
            g_assert_true(granule_lock(f->m->rmm, pa, GRANULE_DELEGATED));
            granule_claim(f->m->rmm, pa, false);
            granule_unlock_transition(f->m->rmm, pa, state);
        }
        seen[state] = snapshot_digest(f->m, SNAPSHOT_GRANULES);
        for (i = 0; i < state; i++) {
            g_assert_cmphex(seen[i], !=, seen[state]);
        }
        if (!end) {
            granule_release(f->m->rmm, pa, state);
        }
        if (state != GRANULE_NS) {
            g_assert_cmphex(granule_undelegate(f->m->rmm, pa), ==, 0);
        }
        assert_as_before(f);
    }
}

static void a_granule_left_locked_is_noticed(Fixture *f, gconstpointer data)
{
    g_assert_true(granule_lock(f->m->rmm, f->r.rd, GRANULE_RD));
    assert_noticed(f, SNAPSHOT_GRANULES);
    granule_unlock(f->m->rmm, f->r.rd);
    assert_as_before(f);
}

static void each_bit_of_a_descriptor_is_noticed(Fixture *f,
                                                gconstpointer data)
{
    RttWalk walk;
    unsigned bit;

    rtt_walk(the_realm(f), 0x3000, RTT_PAGE_LEVEL, &walk);
    for (bit = 0; bit < 64; bit++) {
        *walk.entry ^= 1ull << bit;
        assert_noticed(f, SNAPSHOT_CONTENTS);
        *walk.entry ^= 1ull << bit;
    }
    assert_as_before(f);
}

/* First, last and another byte of each page. */
static void flip_pages(Fixture *f, SnapshotKind kind, uint8_t *memory,
                       size_t pages, size_t size)
{
    size_t i, j;

    for (i = 0; i < pages; i++) {
        const size_t at[] = { 0, (i * 37 + 5) % size, size - 1 };

        for (j = 0; j < G_N_ELEMENTS(at); j++) {
            memory[i * size + at[j]] ^= 0x10;
            g_assert_cmphex(snapshot_digest(f->m, kind), !=,
                            f->before.digest[kind]);
            memory[i * size + at[j]] ^= 0x10;
        }
    }
    assert_as_before(f);
}

static void memory_and_tags_of_each_page_are_noticed(Fixture *f,
                                                     gconstpointer data)
{
    flip_pages(f, SNAPSHOT_CONTENTS, f->m->pool, f->m->granules,
               RMM_GRANULE_SIZE);
    flip_pages(f, SNAPSHOT_TAGS, f->m->tags, f->m->granules, RMM_TAG_BYTES);
    flip_pages(f, SNAPSHOT_NS, f->m->ns, FAKE_NS_PAGES, RMM_GRANULE_SIZE);
}

static void each_byte_of_a_realm_is_noticed(Fixture *f, gconstpointer data)
{
    static const Hole holes[] = {
        HOLE(RmmRealm, lock), HOLE(RmmRealm, session),
    };

    flip_each_byte(f, SNAPSHOT_REALMS, the_realm(f), sizeof(RmmRealm),
                   holes, G_N_ELEMENTS(holes));
}

static void each_byte_of_a_rec_is_noticed(Fixture *f, gconstpointer data)
{
    static const Hole holes[] = { HOLE(RmmRec, attest.token) };

    flip_each_byte(f, SNAPSHOT_RECS, the_rec(f), sizeof(RmmRec),
                   holes, G_N_ELEMENTS(holes));
}

static void another_token_is_noticed(Fixture *f, gconstpointer data)
{
    RmmAttest *attest = &the_rec(f)->attest;
    g_autoptr(GBytes) token = attest->token;
    gsize size;
    g_autofree uint8_t *copy = g_memdup2(g_bytes_get_data(token, &size),
                                         g_bytes_get_size(token));

    copy[size / 2] ^= 1;
    attest->token = g_bytes_new(copy, size);
    assert_noticed(f, SNAPSHOT_RECS);
    g_bytes_unref(attest->token);
    attest->token = g_bytes_ref(token);
    assert_as_before(f);
}

static void each_byte_of_a_session_is_noticed(Fixture *f, gconstpointer data)
{
    Hole holes[2 + MIG_MAX_STREAMS] = {
        HOLE(MigSession, runs),
    };
    unsigned i;

    for (i = 0; i < MIG_MAX_STREAMS; i++) {
        holes[2 + i] = (Hole) { offsetof(MigSession, streams[i].lock),
                                sizeof(RmmMutex) };
    }
    flip_each_byte(f, SNAPSHOT_SESSIONS, the_session(f), sizeof(MigSession),
                   holes, G_N_ELEMENTS(holes));
}

static void each_session_phase_is_noticed(Fixture *f, gconstpointer data)
{
    MigSession *s = the_session(f);
    int phase;

    for (phase = 0; phase < MIG_PHASES; phase++) {
        if (phase != MIG_IDLE) {
            s->phase = phase;
            assert_noticed(f, SNAPSHOT_SESSIONS);
        }
    }
    s->phase = MIG_IDLE;
    assert_as_before(f);
}

static void what_a_session_remembers_is_noticed(Fixture *f,
                                                gconstpointer data)
{
    MigSession *s = the_session(f);

    s->prepared.nonce[31] ^= 1;
    assert_noticed(f, SNAPSHOT_SESSIONS);
    s->prepared.nonce[31] ^= 1;
    g_array_set_size(s->runs, 1);
    assert_noticed(f, SNAPSHOT_SESSIONS);
    g_array_set_size(s->runs, 0);
    the_realm(f)->session = NULL;
    assert_noticed(f, SNAPSHOT_SESSIONS);
    the_realm(f)->session = s;
    assert_as_before(f);
}

static void a_realm_or_rec_less_is_noticed(Fixture *f, gconstpointer data)
{
    GHashTable *recs = f->m->rmm->recs, *realms = f->m->rmm->realms;
    RmmRealm *realm = the_realm(f);
    RmmRec *rec = the_rec(f);

    g_hash_table_steal(recs, &rec->pa);
    assert_noticed(f, SNAPSHOT_RECS);
    g_hash_table_insert(recs, &rec->pa, rec);
    g_hash_table_steal(realms, &realm->rd);
    g_assert_cmpstr(snapshot_difference(f->m, &f->before), ==, "Realms");
    g_hash_table_insert(realms, &realm->rd, realm);
    assert_as_before(f);
}

static void another_vmid_is_noticed(Fixture *f, gconstpointer data)
{
    GHashTable *vmids = f->m->rmm->vmids;
    gpointer key = GUINT_TO_POINTER(the_realm(f)->vmid + 1u);

    g_hash_table_remove(vmids, key);
    assert_noticed(f, SNAPSHOT_VMIDS);
    g_hash_table_add(vmids, GUINT_TO_POINTER(0x8001));  /* as many again */
    assert_noticed(f, SNAPSHOT_VMIDS);
    g_hash_table_remove(vmids, GUINT_TO_POINTER(0x8001));
    g_hash_table_add(vmids, key);
    assert_as_before(f);
}

static void each_byte_of_the_model_is_noticed(Fixture *f, gconstpointer data)
{
    static const Hole holes[] = {
        HOLE(Rmm, lock), HOLE(Rmm, granules),
        HOLE(Rmm, ops), HOLE(Rmm, opaque),      /* would be called */
        HOLE(Rmm, realms), HOLE(Rmm, recs), HOLE(Rmm, vmids),
        HOLE(Rmm, served),                      /* counts what fails, too */
    };

    flip_each_byte(f, SNAPSHOT_MODEL, f->m->rmm, sizeof(Rmm),
                   holes, G_N_ELEMENTS(holes));
}

static void a_lock_left_held_is_noticed(Fixture *f, gconstpointer data)
{
    unsigned stripe;

    rmm_mutex_lock(&f->m->rmm->lock);
    assert_noticed(f, SNAPSHOT_MODEL);
    rmm_mutex_unlock(&f->m->rmm->lock);
    rmm_mutex_lock(&the_realm(f)->lock);
    assert_noticed(f, SNAPSHOT_MODEL);
    rmm_mutex_unlock(&the_realm(f)->lock);
    stripe = walkers_enter(f->m->rmm);
    assert_noticed(f, SNAPSHOT_MODEL);
    walkers_leave(f->m->rmm, stripe);
    assert_as_before(f);
}

static void a_request_to_the_machine_is_noticed(Fixture *f,
                                                gconstpointer data)
{
    uint8_t byte;

    f->m->ops.tlb_invalidate(f->m, 1, 0, 0x1000);
    f->m->ops.tlb_sync(f->m);
    assert_noticed(f, SNAPSHOT_MACHINE);
    f->m->invalidations--;
    f->m->realm_pas[0] ^= true;
    assert_noticed(f, SNAPSHOT_MACHINE);
    f->m->realm_pas[0] ^= true;
    f->m->num_contexts++;
    assert_noticed(f, SNAPSHOT_MACHINE);
    f->m->num_contexts--;
    f->m->ops.random(f->m, &byte, 1);
    assert_noticed(f, SNAPSHOT_MACHINE);
}

#define TEST(name) \
    g_test_add("/rmm/snapshot/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(each_granule_state_is_noticed);
    TEST(a_granule_left_locked_is_noticed);
    TEST(each_bit_of_a_descriptor_is_noticed);
    TEST(memory_and_tags_of_each_page_are_noticed);
    TEST(each_byte_of_a_realm_is_noticed);
    TEST(each_byte_of_a_rec_is_noticed);
    TEST(another_token_is_noticed);
    TEST(each_byte_of_a_session_is_noticed);
    TEST(each_session_phase_is_noticed);
    TEST(what_a_session_remembers_is_noticed);
    TEST(a_realm_or_rec_less_is_noticed);
    TEST(another_vmid_is_noticed);
    TEST(each_byte_of_the_model_is_noticed);
    TEST(a_lock_left_held_is_noticed);
    TEST(a_request_to_the_machine_is_noticed);
    return g_test_run();
}
